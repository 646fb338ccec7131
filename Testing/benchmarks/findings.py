"""The papers' own findings, asked for again on data that we have, and one page about them.

    python Testing/benchmarks/findings.py DATA [--claim NAME] [--claim NAME]
    python Testing/benchmarks/findings.py

Given the folder of the datasets, it trains and measures what results.csv does not hold yet, which takes hours; then, or
without that folder at once, it writes findings.md. Variants that differ in detection alone share their trainings.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from case_errors import read_case_errors
from claims import CLAIMS, Claim, Run
from findings_page import page
from recording import all_recorded
from training_results import TrainingResult, read_results

from LandmarkDetectionLib.files.atomic import whole_file

PAGE = Path(__file__).with_name("findings.md")


def missing_runs(claims: Sequence[Claim], results: Sequence[TrainingResult]) -> list[Run]:
    """Those that have no row yet, each once, whichever claims need it."""
    there = {result.key for result in results}
    wanted = {run.key: run for claim in claims for run in claim.runs}
    return [run for key, run in wanted.items() if key not in there]


def main() -> int:
    """Run what is missing, one after the other, and write the page; 1 if a run failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", metavar="DATA", type=Path, nargs="?", help="folder of the folders brain and spine")
    names = [claim.name for claim in CLAIMS]
    parser.add_argument("--claim", choices=names, action="append", help="run what this one lacks alone, or several")
    asked = parser.parse_args()
    claims = [claim for claim in CLAIMS if asked.claim is None or claim.name in asked.claim]
    runs = [] if asked.data is None else missing_runs(claims, read_results())
    is_complete = all_recorded(run.arguments(asked.data) for run in runs)
    with whole_file(PAGE) as path:
        path.write_text(page(CLAIMS, read_results(), read_case_errors()), encoding="utf-8")
    return 0 if is_complete else 1


if __name__ == "__main__":
    sys.exit(main())
