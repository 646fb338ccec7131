"""One report over all cases of a small dataset: those held out from the folds, and the test split by the final model.

landmark-detection train --dataset FOLDER --method METHOD --output BUNDLE --folds 5
python Testing/benchmarks/cross_validated.py BUNDLE --data FOLDER --output FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path

from LandmarkDetectionLib.detectors.registry import load_detector, resolve_device
from LandmarkDetectionLib.evaluation.evaluate import evaluate
from LandmarkDetectionLib.evaluation.outcome import Evaluation
from LandmarkDetectionLib.evaluation.pooling import pooled
from LandmarkDetectionLib.evaluation.report import format_summary
from LandmarkDetectionLib.evaluation.report_files import write_report
from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.models.bundle import load_bundle
from LandmarkDetectionLib.training.cases import CaseReader
from LandmarkDetectionLib.training.cross_report import evaluate_folds
from LandmarkDetectionLib.training.cross_validation import read_plan, run_folds
from LandmarkDetectionLib.training.folders import work_folder


def evaluate_all(dataset: Dataset, model: Path, device: str) -> Evaluation:
    """Every case of a dataset, judged by a model that has not seen it."""
    bundle, folder = load_bundle(model), work_folder(model)
    plan = read_plan(folder)
    results = run_folds(plan, CaseReader(dataset), folder, device=resolve_device(device))
    test = evaluate(dataset, "test", load_detector(bundle, device), seed=plan.seed)
    return pooled([*evaluate_folds(dataset, bundle.card.name, results), test], f"{len(results)} folds and test")


def main() -> None:
    """Parse the command line, evaluate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder of a bundle that was trained with --folds")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="for the report")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    evaluation = evaluate_all(Dataset.load(arguments.data), arguments.model.absolute(), arguments.device)
    write_report(evaluation, arguments.output)
    print(format_summary(evaluation.report))


if __name__ == "__main__":
    main()
