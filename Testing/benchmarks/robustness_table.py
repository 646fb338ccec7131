"""What does a model stand? Its errors on images that were turned, cut short, made noisy ..., as a Markdown table.

python Testing/benchmarks/robustness_table.py MODEL DATASET [--split test] [--cases N] [--heads]

Landmarks follow each change exactly. One that is cut off is none of the errors; the last column tells whether it was
flagged missing. Every change is the same at every call.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from changed_cases import Change, changes
from markdown_table import markdown_table

from LandmarkDetectionLib.detectors.base import Detector
from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.evaluation.cells import mean_and_deviation, millimetres, percent, threshold
from LandmarkDetectionLib.evaluation.evaluate import evaluate
from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.models.bundle import load_bundle
from LandmarkDetectionLib.models.registry import find_model
from LandmarkDetectionLib.wording import counted


def changed_dataset(dataset: Dataset, split: str, change: Change, count: int | None = None) -> Dataset:
    """The first cases of a split, each changed, and nothing else."""
    cases = tuple(change(case) for case in dataset.split(split)[:count])
    return replace(dataset, cases=cases, splits={split: tuple(case.name for case in cases)}, observers=())


def robustness_table(
    detector: Detector, dataset: Dataset, split: str, count: int | None = None, *, of_heads: bool = False
) -> str:
    """A title, the table, and what was said of cases that failed.

    Raises:
        LandmarkDetectionError: if there is no such split, or nothing in it to compare with.
    """
    reports = {
        name: evaluate(changed_dataset(dataset, split, change, count), split, detector).report
        for name, change in changes(dataset.dimension, of_heads=of_heads).items()
    }
    limits = [threshold(limit) for limit in dataset.sdr_thresholds_mm]
    within = [f"within {limit} mm" for limit in limits]
    headings = ["change", "MRE ± SD (mm)", "median (mm)", *within, "flagged missing", "of those cut off"]
    cases = counted(reports["unchanged"]["cases"], "case")
    title = f"{detector.card.name} {detector.card.version} on {dataset.name}, {split}: {cases}"
    failures = [f"- {name}: {one['case']}: {one['message']}" for name, of in reports.items() for one in of["failed"]]
    table = markdown_table(headings, [_row(name, report) for name, report in reports.items()])
    return "\n\n".join([f"### {title}", table, *(["\n".join(failures)] if failures else [])])


def _row(name: str, report: dict[str, Any]) -> list[str]:
    """Every error, flagged or not; flags as a share of the landmarks that are shown, then of those that are not."""
    overall, flags = report["overall"], report["absence"]
    return [
        name,
        mean_and_deviation(overall, "mre_mm", "sd_mm"),
        millimetres(overall["median_mm"]),
        *(percent(share) for share in overall["sdr"].values()),
        percent(flags["false_alarm_rate"]),
        f"{percent(flags['recall'])} of {flags['absent']}" if flags["absent"] else "",
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="name, folder or zip")
    parser.add_argument("dataset", type=Path, help="folder, or packed file")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--cases", type=int, metavar="N", help="only the first N of the split")
    parser.add_argument("--heads", action="store_true", help="without skull and without face too")
    parser.add_argument("--device", default="auto")
    asked = parser.parse_args(arguments)
    detector = load_detector(load_bundle(find_model(asked.model)), asked.device)
    dataset = Dataset.load(asked.dataset)
    print(robustness_table(detector, dataset, asked.split, asked.cases, of_heads=asked.heads))


if __name__ == "__main__":
    main()
