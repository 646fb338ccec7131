"""landmark-detection demo: the shipped models on the images shipped with them."""

from __future__ import annotations

import argparse
from pathlib import Path

from .output import add_json_argument
from .run_report import RunReport


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command and its arguments."""
    text = "detect landmarks with every shipped model on the image shipped with it"
    parser = commands.add_parser("demo", help=text, description=text)
    parser.add_argument(
        "--output", metavar="FOLDER", type=Path, default=Path("demo-output"), help="default: ./demo-output"
    )
    add_json_argument(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Detect, and say where to look."""
    from ..batch import DetectionRun
    from ..demo import load_demonstrations

    demonstrations = load_demonstrations()
    with (
        DetectionRun(arguments.output, with_planes=True, resume=False, seed=0) as detection_run,
        RunReport(len(demonstrations), in_full=True, as_json=arguments.json) as report,
    ):
        for case, detector in demonstrations:
            report.tell(detection_run.process(case, detector, report.progress))
    return report.conclude(detection_run)
