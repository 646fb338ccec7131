"""landmark-detection evaluate: a model, or predictions made earlier, against the truth of a dataset folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..progress import Progress
from .arguments import add_device_argument
from .output import add_json_argument, print_json


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command and its arguments."""
    text = "compare a model, or predictions made earlier, with the truth"
    parser = commands.add_parser("evaluate", help=text, description=text)
    parser.add_argument("--dataset", metavar="FOLDER", type=Path, required=True, help="volumes with their landmarks")
    parser.add_argument("--split", default="test", help="which cases (default: test)")
    judged = parser.add_mutually_exclusive_group(required=True)
    judged.add_argument("--model", metavar="NAME|FOLDER|ZIP")
    judged.add_argument("--predictions", metavar="FOLDER", type=Path, help="results of detect, or markups files")
    parser.add_argument("--output", metavar="FOLDER", type=Path, required=True, help="for report.json and index.html")
    add_device_argument(parser)
    add_json_argument(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, print the summary, and say where the report is."""
    from ..detectors.registry import load_detector
    from ..evaluation.evaluate import evaluate_model
    from ..evaluation.report import format_summary
    from ..files.dataset import Dataset
    from ..models.bundle import load_bundle
    from ..models.registry import find_model

    dataset = Dataset.load(arguments.dataset)
    judged = arguments.predictions or load_detector(load_bundle(find_model(arguments.model)), arguments.device)
    with Progress(parts=1) as progress:
        report = evaluate_model(dataset, arguments.split, judged, arguments.output, progress=progress.show)
    if arguments.json:
        print_json(report)
    else:
        print(f"{format_summary(report)}\n\nThe whole report: {arguments.output / 'index.html'}")
    return int(bool(report["failed"]))
