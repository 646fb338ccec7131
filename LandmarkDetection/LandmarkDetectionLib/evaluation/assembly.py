"""From the outcomes of single cases to the tables and the report over all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry import FloatArray
from ..landmarks import LandmarkSet
from .absence import summarise_absence
from .agreement import summarise_agreement
from .confidence import confidence_table
from .derived import measured_values, spread_of, summarise_measurements, summarise_planes
from .identification import summarise_identification
from .metrics import (
    error_table,
    macro_averages,
    outlier_threshold_mm,
    summarise,
    summarise_landmarks,
)
from .observers import between_observers, observer_tables
from .outcome import CaseOutcome, Evaluation, Study
from .plane_images import ImageSimilarity
from .predictions import Prediction
from .rivals import rival_tables
from .statistics import paired_tests
from .uncertainty import summarise_uncertainty

_SIMILARITIES = tuple(ImageSimilarity.__dataclass_fields__)


def assembled(study: Study, outcomes: Sequence[CaseOutcome]) -> Evaluation:
    """Everything that follows from the outcomes of all cases; no image is read."""
    outcomes = tuple(outcomes)
    labels, pairs = study.labels, study.interchangeable
    truths = [outcome.counted_truth for outcome in outcomes]
    predictions = [outcome.prediction for outcome in outcomes]
    positions = [one and one.positions for one in predictions]
    flagged = [one.flagged if one else () for one in predictions]
    table = error_table(truths, positions, labels, pairs, flagged)
    confidence = confidence_table(table, predictions, _is_absent(study, outcomes))
    mean_position = oracle = None
    if all(outcome.mean_position is not None and outcome.oracle is not None for outcome in outcomes):
        mean_position = error_table(truths, [outcome.mean_position for outcome in outcomes], labels, pairs)
        oracle = error_table(truths, [outcome.oracle for outcome in outcomes], labels, pairs)
    observers = observer_tables(study, outcomes)
    evaluation = Evaluation(study, outcomes, {}, table, confidence, mean_position, oracle, observers)
    return dataclasses.replace(evaluation, report=_report(evaluation))


def _is_absent(study: Study, outcomes: Sequence[CaseOutcome]) -> NDArray[np.bool_]:
    """(cases, n); whether the annotation says that the image does not show a landmark."""
    rows = [
        [label in outcome.truth and outcome.counted_truth.get(label) is None for label in study.labels]
        for outcome in outcomes
    ]
    return np.array(rows, dtype=bool).reshape(len(outcomes), len(study.labels))


def _report(evaluation: Evaluation) -> dict[str, Any]:
    study, outcomes, table = evaluation.study, evaluation.outcomes, evaluation.table
    confidence, thresholds = evaluation.confidence, study.thresholds_mm
    name, rivals = study.model.name, rival_tables(evaluation)
    tests = paired_tests({name: table, **rivals}, [(name, rival) for rival in rivals])
    return {
        **_description(study, outcomes),
        "overall": summarise(table, thresholds, _mean_seconds(outcomes)),
        "macro": macro_averages(table),
        "per_landmark": summarise_landmarks(table, thresholds),
        "mean_position_baseline": evaluation.mean_position and summarise(evaluation.mean_position, thresholds),
        "translated_mean_shape_oracle": evaluation.oracle and summarise(evaluation.oracle, thresholds),
        "observers": {name: summarise(one, thresholds) for name, one in evaluation.observers.items()},
        "between_observers": {
            pair: summarise(one, thresholds) for pair, one in between_observers(study, outcomes).items()
        },
        "tests": tests,
        "identification": summarise_identification(table),
        "absence": summarise_absence(table, confidence, outlier_threshold_mm(thresholds)),
        "uncertainty": summarise_uncertainty(table, confidence, study.dimension),
        "agreement": summarise_agreement(table, study.dimension, measured_by_name(study, outcomes)),
        "planes": _planes(study, outcomes),
        "measurements": summarise_measurements(study.measurements, *_truths_and_predictions(outcomes)),
        "shape_space_mm": _mean_shape_space_mm(outcomes),
    }


def measured_by_name(study: Study, outcomes: Sequence[CaseOutcome]) -> dict[str, tuple[FloatArray, FloatArray]]:
    """True and predicted values (m,) of each measurement, of the cases that have both."""
    values = {}
    for definition in study.measurements:
        true, found = measured_values(definition, *_truths_and_predictions(outcomes))
        values[definition.name] = true, np.array([one.value for one in found])
    return values


def _truths_and_predictions(outcomes: Sequence[CaseOutcome]) -> tuple[list[LandmarkSet], list[Prediction | None]]:
    """What planes and measurements follow from: all that was annotated, and all best estimates."""
    return [outcome.truth for outcome in outcomes], [outcome.prediction for outcome in outcomes]


def _description(study: Study, outcomes: Sequence[CaseOutcome]) -> dict[str, Any]:
    """The part of a report that says what was evaluated on what, and what went wrong."""
    return {
        "dataset": study.dataset,
        "dataset_path": study.dataset_path,
        "split": study.split,
        "model": dataclasses.asdict(study.model),
        "cases": len(outcomes),
        "landmarks": len(study.labels),
        "landmarks_unknown_to_model": list(study.unknown_labels),
        "failed": [{"case": one.case.name, "message": one.message} for one in outcomes if one.message],
    }


def _planes(study: Study, outcomes: Sequence[CaseOutcome]) -> dict[str, dict[str, Any]]:
    """Errors of the planes, and how like their pictures are."""
    truths, predictions = _truths_and_predictions(outcomes)
    positions = [prediction and prediction.positions for prediction in predictions]
    summaries = summarise_planes(study.planes, truths, positions)
    for name, summary in summaries.items():
        likenesses = [outcome.plane_images[name] for outcome in outcomes if name in outcome.plane_images]
        summary |= {key: spread_of([getattr(likeness, key) for likeness in likenesses]) for key in _SIMILARITIES}
    return summaries


def _mean_seconds(outcomes: Sequence[CaseOutcome]) -> float | None:
    seconds = [one.prediction.seconds for one in outcomes if one.prediction and one.prediction.seconds is not None]
    return float(np.mean(seconds)) if seconds else None


def _mean_shape_space_mm(outcomes: Sequence[CaseOutcome]) -> float | None:
    errors = [outcome.shape_space_mm for outcome in outcomes if outcome.shape_space_mm is not None]
    known = np.array([error for case_errors in errors for error in case_errors if not np.isnan(error)])
    return float(known.mean()) if len(known) else None
