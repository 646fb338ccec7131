"""Evaluation of a model, or of predictions made earlier, on one split of a dataset folder."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DetectionCancelled, LandmarkDetectionError
from ..failures import unexpected_failure
from ..files.dataset import Case, Dataset
from ..landmarks import LandmarkSet
from ..volume import Volume
from .baselines import mean_position_baseline, translated_mean_shape_oracle
from .derived import summarise_measurements, summarise_planes
from .metrics import error_table, summarise, summarise_landmarks
from .outcome import CaseOutcome, Evaluation
from .predictions import FolderPredictor, ModelPredictor, Predictor
from .reference import Reference
from .report_files import write_report

if TYPE_CHECKING:
    from ..detectors.base import Detector

ProgressCallback = Callable[[float, str], None]


def evaluate_model(
    dataset: Dataset,
    split: str,
    model: Detector | Path,
    output: Path,
    *,
    seed: int = 0,
    progress: ProgressCallback | None = None,
) -> dict[str, Any]:
    """Evaluate as `evaluate` does, and write report.json, errors.csv and index.html.

    Args:
        output: folder for the report; made if need be.

    Returns:
        The contents of report.json.

    Raises:
        LandmarkDetectionError: as `evaluate`, or if the output cannot be written.
    """
    predictor = _predictor(model, seed)
    reference = Reference.load(dataset, split, _common_labels(dataset, predictor))
    _check_writable(output)
    evaluation = _evaluate(reference, predictor, progress)
    write_report(evaluation, output)
    return dict(evaluation.report)


def evaluate(
    dataset: Dataset,
    split: str,
    model: Detector | Path,
    *,
    seed: int = 0,
    progress: ProgressCallback | None = None,
) -> Evaluation:
    """Compare a model with the truth, and with what needs no model.

    A case that cannot be read or detected never stops the others: it counts as failed, with its message.

    Args:
        dataset: where the volumes and the truth are; its split "train" gives the baselines.
        split: the split to evaluate.
        model: a detector, or a folder with one prediction a case.
        seed: of every detection.
        progress: called with a fraction from 0 to 1 and a text.

    Raises:
        LandmarkDetectionError: if the split is not there or has no truth, or the model knows none of its landmarks.
    """
    predictor = _predictor(model, seed)
    return _evaluate(Reference.load(dataset, split, _common_labels(dataset, predictor)), predictor, progress)


def _predictor(model: Detector | Path, seed: int) -> Predictor:
    return FolderPredictor(model) if isinstance(model, Path) else ModelPredictor(model, seed)


def _evaluate(reference: Reference, predictor: Predictor, progress: ProgressCallback | None) -> Evaluation:
    outcomes = tuple(_evaluate_cases(reference, predictor, progress or (lambda _fraction, _text: None)))
    return _evaluation(reference, predictor, outcomes)


def _common_labels(dataset: Dataset, predictor: Predictor) -> tuple[str, ...]:
    labels = predictor.known_labels(dataset.labels)
    if not labels:
        name = predictor.identity().name
        message = f"The model {name} finds none of the landmarks of {dataset.name}: choose a model made for them."
        raise LandmarkDetectionError(message)
    return labels


def _check_writable(output: Path) -> None:
    """Find out before the long work whether its result can be written."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=output).close()
    except OSError as error:
        message = f"{output} cannot be written to ({error.strerror}): choose a folder you may write to."
        raise LandmarkDetectionError(message) from error


def _evaluate_cases(reference: Reference, predictor: Predictor, progress: ProgressCallback) -> Iterator[CaseOutcome]:
    for index, (case, truth) in enumerate(zip(reference.cases, reference.truths, strict=True)):
        progress(index / len(reference.cases), case.name)
        yield _evaluate_case(case, truth, predictor)
    progress(1.0, "Writing the report")


def _evaluate_case(case: Case, truth: LandmarkSet, predictor: Predictor) -> CaseOutcome:
    outcome = CaseOutcome(case, truth, None)
    try:
        volume = case.read_volume()
        outcome = dataclasses.replace(outcome, counted_truth=_inside(volume, truth))
        outcome = dataclasses.replace(outcome, prediction=predictor.predict(case.name, volume))
        errors_mm = predictor.shape_space_error_mm(volume, outcome.counted_truth)
        return dataclasses.replace(outcome, shape_space_mm=errors_mm)
    except DetectionCancelled:
        raise
    except LandmarkDetectionError as error:
        return dataclasses.replace(outcome, message=str(error))
    except Exception as error:
        return dataclasses.replace(outcome, message=unexpected_failure(error))


def _inside(volume: Volume, truth: LandmarkSet) -> LandmarkSet:
    present = truth.present
    is_inside = volume.contains(truth.to_array(present))
    return LandmarkSet({label: truth[label] for label, inside in zip(present, is_inside, strict=True) if inside})


def _evaluation(reference: Reference, predictor: Predictor, outcomes: tuple[CaseOutcome, ...]) -> Evaluation:
    labels, pairs = reference.labels, reference.dataset.interchangeable
    truths = [outcome.counted_truth for outcome in outcomes]
    flagged = [outcome.prediction.flagged if outcome.prediction else () for outcome in outcomes]
    table = error_table(truths, _positions(outcomes), labels, pairs, flagged)
    mean_position = oracle = None
    if reference.training:
        mean_position = error_table(truths, mean_position_baseline(reference.training, truths), labels, pairs)
        oracle = error_table(truths, translated_mean_shape_oracle(reference.training, truths), labels, pairs)
    observers = {
        name: error_table(_shared(truths, readings), readings, labels, pairs)
        for name, readings in reference.observers.items()
    }
    thresholds = reference.dataset.sdr_thresholds_mm
    report = {
        **_description(reference, predictor, outcomes),
        "overall": summarise(table, thresholds, _mean_seconds(outcomes)),
        "per_landmark": summarise_landmarks(table, thresholds),
        "mean_position_baseline": mean_position and summarise(mean_position, thresholds),
        "translated_mean_shape_oracle": oracle and summarise(oracle, thresholds),
        "observers": {name: summarise(one, thresholds) for name, one in observers.items()},
        "planes": summarise_planes(predictor.planes, reference.truths, _positions(outcomes)),
        "measurements": summarise_measurements(predictor.measurements, reference.truths, _positions(outcomes)),
        "shape_space_mm": _mean_shape_space_mm(outcomes),
    }
    return Evaluation(report, outcomes, table, mean_position, oracle, observers)


def _description(reference: Reference, predictor: Predictor, outcomes: Sequence[CaseOutcome]) -> dict[str, Any]:
    """The part of a report that says what was evaluated on what, and what went wrong."""
    return {
        "dataset": reference.dataset.name,
        "split": reference.split,
        "model": dataclasses.asdict(predictor.identity()),
        "cases": len(outcomes),
        "landmarks": len(reference.labels),
        "landmarks_unknown_to_model": [one for one in reference.dataset.labels if one not in reference.labels],
        "failed": [{"case": one.case.name, "message": one.message} for one in outcomes if one.message],
    }


def _positions(outcomes: Sequence[CaseOutcome]) -> list[LandmarkSet | None]:
    return [outcome.prediction and outcome.prediction.positions for outcome in outcomes]


def _shared(truths: Sequence[LandmarkSet], readings: Sequence[LandmarkSet]) -> list[LandmarkSet]:
    """The truth at the points an observer placed: what an observer did not read is no failure."""
    return [
        LandmarkSet({label: truth[label] for label in truth if reading.get(label) is not None})
        for truth, reading in zip(truths, readings, strict=True)
    ]


def _mean_seconds(outcomes: Sequence[CaseOutcome]) -> float | None:
    seconds = [one.prediction.seconds for one in outcomes if one.prediction and one.prediction.seconds is not None]
    return float(np.mean(seconds)) if seconds else None


def _mean_shape_space_mm(outcomes: Sequence[CaseOutcome]) -> float | None:
    errors = [outcome.shape_space_mm for outcome in outcomes if outcome.shape_space_mm is not None]
    known = np.array([error for case_errors in errors for error in case_errors if not np.isnan(error)])
    return float(known.mean()) if len(known) else None
