"""landmark-detection dataset check | pack: every problem of a dataset folder; all of it in one file."""

from __future__ import annotations

import argparse
import dataclasses
from itertools import groupby
from pathlib import Path

from ..progress import Progress
from ..wording import counted
from .output import add_json_argument, print_json


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command, its actions and their arguments."""
    text = "check a dataset folder, or pack it into one file"
    parser = commands.add_parser("dataset", help=text, description=text)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    text = "list every problem of a dataset folder, by case; exit status 1 if there is one"
    check = actions.add_parser("check", help=text, description=text)
    check.add_argument("folder", metavar="FOLDER", type=Path)
    add_json_argument(check)
    check.set_defaults(run=run_check)
    text = "write one file that train and evaluate take in place of the folder, its images decoded"
    pack = actions.add_parser("pack", help=text, description=text)
    pack.add_argument("folder", metavar="FOLDER", type=Path)
    pack.add_argument("file", metavar="FILE", type=Path, help="for example brain.zip")
    add_json_argument(pack)
    pack.set_defaults(run=run_pack)


def run_check(arguments: argparse.Namespace) -> int:
    """Print the problems."""
    from ..files.dataset import Dataset
    from ..files.dataset_check import check_dataset, missing_splits

    problems = check_dataset(arguments.folder)
    if arguments.json:
        print_json([dataclasses.asdict(problem) for problem in problems])
        return int(bool(problems))
    for case, of_case in groupby(problems, key=lambda problem: problem.case):
        print(case or "the folder")
        for problem in of_case:
            print(f"  {problem.message}")
    found = f"{counted(len(problems), 'problem')} in" if problems else "There is no problem in"
    print(f"{found} {arguments.folder}.")
    if missing := missing_splits(Dataset.load(arguments.folder)):
        named = " or ".join(f'"{name}"' for name in missing)
        needs = 'train needs "train" and "validation", evaluate "test"'
        print(f'Note: under "split" in its dataset.json no case is named as {named}; {needs}.')
    return int(bool(problems))


def run_pack(arguments: argparse.Namespace) -> int:
    """Pack, and say what is in the file and on which terms it may be handed on."""
    from ..files.dataset import Dataset
    from ..files.dataset_pack import write_pack

    dataset = Dataset.load(arguments.folder)
    with Progress(parts=1) as progress:
        write_pack(arguments.file, dataset, dataset.cases, progress.show)
    packed = {
        "file": str(arguments.file),
        "cases": len(dataset.cases),
        "landmarks": len(dataset.labels),
        "megabytes": round(arguments.file.stat().st_size / 1e6, 1),
        "licence": dataset.licence,
    }
    if arguments.json:
        print_json(packed)
    else:
        of_what = f"{counted(packed['cases'], 'case')}, {counted(packed['landmarks'], 'landmark')}"
        size = f"{arguments.file}: {of_what}, {packed['megabytes']} MB."
        print(f"{size} It holds the images, whose licence is: {dataset.licence or 'not stated'}")
    return 0
