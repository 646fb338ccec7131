"""What reduced precision costs a trained model: how far bf16 moves its landmarks, and its error with and without it.

python Testing/benchmarks/half_precision.py BUNDLE DATASET [--split validation] [--cases 5]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from markdown_table import markdown_table
from measuring import in_full_precision

from LandmarkDetectionLib.detectors.precision import has_bfloat16
from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.evaluation.metrics import ErrorTable, error_table
from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.models.bundle import ModelBundle, load_bundle
from LandmarkDetectionLib.models.registry import find_model
from LandmarkDetectionLib.volume import Volume

HEADINGS = (
    "model",
    "method",
    "cases",
    "moved on average (mm)",
    "moved at most (mm)",
    "error in bf16 (mm)",
    "error in float32 (mm)",
)


def errors_of(bundle: ModelBundle, volumes: Sequence[Volume], truths: Sequence[LandmarkSet]) -> ErrorTable:
    """The error of every landmark, flagged missing or not, on the processor."""
    detector, card = load_detector(bundle, "cpu"), bundle.card
    detections = [detector.detect(volume) for volume in volumes]
    found = [LandmarkSet({mark.label: mark.position_ras for mark in one.landmarks}) for one in detections]
    return error_table(truths, found, card.labels, card.interchangeable)


def measure(bundle: ModelBundle, dataset: Dataset, split: str, count: int) -> list[str]:
    """A row of the table."""
    cases = dataset.split(split)[:count]
    volumes, truths = [case.read_volume() for case in cases], [case.read_landmarks() for case in cases]
    reduced = errors_of(bundle, volumes, truths)
    with in_full_precision():
        full = errors_of(bundle, volumes, truths)
    moved_mm = np.linalg.norm(reduced.predicted_ras - full.predicted_ras, axis=-1)
    numbers = np.mean(moved_mm), np.max(moved_mm), np.nanmean(reduced.errors_mm), np.nanmean(full.errors_mm)
    return [bundle.card.name, bundle.card.method, str(len(cases)), *(f"{number:.3f}" for number in numbers)]


def main() -> int:
    """Parse the command line, measure, and print a table in Markdown; 1 if there is nothing to measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", help="name, folder or zip of a trained model")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--cases", type=int, default=5, help="as many of the split's first (default: 5)")
    arguments = parser.parse_args()
    if not has_bfloat16(torch.device("cpu")):
        print("This processor lacks bf16, so that detection has one precision here.")
        return 1
    bundle = load_bundle(find_model(arguments.bundle))
    row = measure(bundle, Dataset.load(arguments.dataset), arguments.split, arguments.cases)
    print(markdown_table(HEADINGS, [row]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
