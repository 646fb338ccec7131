"""landmark-detection evaluate: models, or predictions made earlier, against the truth of a dataset folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..progress import Progress
from .arguments import add_device_argument
from .output import add_json_argument, print_json, terminal_width


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command and its arguments."""
    text = "compare models, or predictions made earlier, with the truth"
    parser = commands.add_parser("evaluate", help=text, description=text)
    parser.add_argument("--dataset", metavar="FOLDER|FILE", type=Path, required=True, help="folder, or packed file")
    parser.add_argument("--split", default="test", help="which cases (default: test)")
    judged = parser.add_mutually_exclusive_group(required=True)
    judged.add_argument(
        "--model", metavar="NAME|FOLDER|ZIP", action="append", default=[], help="several are compared with each other"
    )
    judged.add_argument(
        "--predictions",
        metavar="FOLDER",
        type=Path,
        action="append",
        default=[],
        help="results of detect, or markups files; several are compared with each other",
    )
    parser.add_argument("--output", metavar="FOLDER", type=Path, required=True, help="for report.json and index.html")
    add_device_argument(parser)
    add_json_argument(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, print the summary, and say where the report is."""
    from ..detectors.registry import load_detector
    from ..evaluation.comparison_tables import format_comparison
    from ..evaluation.evaluate import evaluate_model, evaluate_models
    from ..evaluation.report import format_summary
    from ..files.dataset import Dataset
    from ..models.bundle import load_bundle
    from ..models.registry import find_model

    dataset = Dataset.load(arguments.dataset)
    judged = arguments.predictions or [
        load_detector(load_bundle(find_model(model)), arguments.device) for model in arguments.model
    ]
    with Progress(parts=1) as progress:
        settings = {"output": arguments.output, "progress": progress.show}
        if len(judged) == 1:
            report = evaluate_model(dataset, arguments.split, judged[0], **settings)
            summary, reports = format_summary(report, terminal_width()), [report]
        else:
            report = evaluate_models(dataset, arguments.split, judged, **settings)
            summary, reports = format_comparison(report, terminal_width()), report["methods"].values()
    if arguments.json:
        print_json(report)
    else:
        print(f"{summary}\n\nThe whole report: {arguments.output / 'index.html'}")
    return int(any(one["failed"] for one in reports))
