"""Does a model flag the landmarks that an image does not show? Volumes of a dataset, cut short between their landmarks.

python Testing/benchmarks/cut_off_landmarks.py MODEL --data FOLDER [--split validation] [--output FOLDER]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from LandmarkDetectionLib.detectors.base import Detector
from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.evaluation.cropping import short_dataset
from LandmarkDetectionLib.evaluation.evaluate import evaluate_model
from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.models.bundle import load_bundle
from LandmarkDetectionLib.models.registry import find_model
from LandmarkDetectionLib.text_table import text_table


def measure(detector: Detector, dataset: Dataset, split: str, seed: int, output: Path) -> dict[str, dict[str, Any]]:
    """Reports of the images as they are ("whole") and cut short ("cut"), each in a folder of that name."""
    kinds = {"whole": dataset, "cut": short_dataset(dataset, seed)}
    return {name: evaluate_model(some, split, detector, output / name) for name, some in kinds.items()}


def table(reports: dict[str, dict[str, Any]]) -> str:
    """Recall of what is cut off, false alarms about what is not, and the error of that."""
    rows = []
    for name, report in reports.items():
        flags = report["absence"]
        right, wrong = (
            f"{flags['flagged_absent']} of {flags['absent']}",
            f"{flags['false_alarms']} of {flags['present']}",
        )
        median = f"{report['overall']['median_mm']:.2f}"
        rows.append([name, right, _percent(flags["recall"]), wrong, _percent(flags["false_alarm_rate"]), median])
    return text_table(["images", "flagged", "recall", "false alarms", "rate", "median error (mm)"], rows)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="name, folder or zip")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--seed", type=int, default=0, help="of the cuts")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=Path, help="for the two reports; default: they are not kept")
    arguments = parser.parse_args()
    detector = load_detector(load_bundle(find_model(arguments.model)), arguments.device)
    with tempfile.TemporaryDirectory() as temporary:
        output = arguments.output or Path(temporary)
        print(table(measure(detector, Dataset.load(arguments.data), arguments.split, arguments.seed, output)))


if __name__ == "__main__":
    main()
