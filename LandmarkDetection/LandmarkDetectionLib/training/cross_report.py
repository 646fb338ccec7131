"""What a cross-validation says: the calibration of the final model, and reports of how well that would have held."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from ..detectors.calibrated import calibrated
from ..evaluation.cropping import ShortCase
from ..evaluation.evaluate import evaluate_predictions
from ..evaluation.outcome import Evaluation
from ..evaluation.pooling import pooled
from ..evaluation.reference import Reference
from ..evaluation.report_files import REPORT_FILE, write_report
from ..files.dataset import Dataset
from ..landmarks import Detection
from ..models.calibration import Calibration
from .calibration import HeldOut, fit_calibration
from .cross_validation import REPORT_FOLDER, FoldResult
from .folders import work_folder

SHORT_FOLDER = "cut-short"


def calibration_of(results: Sequence[FoldResult]) -> Calibration:
    """The calibration that the held-out cases of all folds give."""
    whole, short = (
        list(chain.from_iterable(getattr(result, kind) for result in results)) for kind in ("whole", "short")
    )
    origin = f"{len(results)} folds over train and validation, each case detected by a model that had no part of it"
    return fit_calibration(results[0].card, whole, short, origin)


def report_of_folds(bundle: Path) -> Path:
    """The file that says how well the models of the folds did that calibrated a bundle."""
    return work_folder(bundle) / REPORT_FOLDER / REPORT_FILE


def write_cross_validation(
    dataset: Dataset, name: str, results: Sequence[FoldResult], seed: int, folder: Path
) -> Evaluation:
    """Write the reports of the held-out cases: in whole volumes, and within that folder in volumes cut short.

    Each detection is calibrated by the cases of the other folds, so that coverage and presence are those of new cases.

    Args:
        dataset: of the cases.
        name: of the model.
        results: of all folds.
        seed: of the cuts.
        folder: of the training; gets a folder for the reports.

    Returns:
        The evaluation of the whole volumes.
    """
    output = folder / REPORT_FOLDER
    if all(result.short for result in results):
        short = evaluate_folds(dataset, name, results, short_seed=seed)
        write_report(pooled(short, f"{len(results)} folds, cut short"), output / SHORT_FOLDER)
    whole = pooled(evaluate_folds(dataset, name, results), f"{len(results)} folds")
    write_report(whole, output)
    return whole


def evaluate_folds(
    dataset: Dataset, name: str, results: Sequence[FoldResult], *, short_seed: int | None = None
) -> list[Evaluation]:
    """The evaluation of each fold's held-out cases, calibrated by those of the other folds.

    Args:
        dataset: of the cases.
        name: of the model.
        results: of all folds.
        short_seed: of the cuts, to evaluate the volumes cut short; None for the whole volumes.
    """
    by_name = {case.name: case for case in dataset.cases}
    evaluations = []
    for number, result in enumerate(results, 1):
        calibration = calibration_of([other for other in results if other is not result])
        held_out = result.whole if short_seed is None else result.short
        cases = [by_name[case] for case in result.fold.held_out]
        if short_seed is not None:
            shown = {one.case.name for one in held_out}
            cases = [ShortCase.of(case, short_seed) for case in cases if case.name in shown]
        training = [by_name[case] for case in result.fold.training]
        title = f"fold {number} of {len(results)}"
        reference = Reference.of_cases(dataset, title, result.card.labels, cases, training)
        card = dataclasses.replace(result.card, name=name)
        evaluations.append(evaluate_predictions(reference, _calibrated(held_out, calibration), card))
    return evaluations


def _calibrated(held_out: Sequence[HeldOut], calibration: Calibration) -> Mapping[str, Detection]:
    return {
        one.case.name: dataclasses.replace(
            one.detection, landmarks=calibrated(one.detection.landmarks, one.case.volume, calibration)
        )
        for one in held_out
    }
