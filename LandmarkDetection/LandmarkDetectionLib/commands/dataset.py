"""landmark-detection dataset check: every problem of a dataset folder, by case."""

from __future__ import annotations

import argparse
import dataclasses
from itertools import groupby
from pathlib import Path

from .output import add_json_argument, print_json


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command and its arguments."""
    parser = commands.add_parser("dataset", help="check a dataset folder")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    text = "list every problem of a dataset folder, by case; exit status 1 if there is one"
    check = actions.add_parser("check", help=text, description=text)
    check.add_argument("folder", metavar="FOLDER", type=Path)
    add_json_argument(check)
    check.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the problems."""
    from ..files.dataset_check import check_dataset

    problems = check_dataset(arguments.folder)
    if arguments.json:
        print_json([dataclasses.asdict(problem) for problem in problems])
        return int(bool(problems))
    for case, of_case in groupby(problems, key=lambda problem: problem.case):
        print(case or "the folder")
        for problem in of_case:
            print(f"  {problem.message}")
    print(f"{len(problems)} problems in {arguments.folder}." if problems else f"{arguments.folder} has no problem.")
    return int(bool(problems))
