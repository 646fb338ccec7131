"""Errors of what follows from landmarks: standard planes and measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from ..errors import LandmarkDetectionError
from ..geometry import FloatArray
from ..landmarks import LandmarkSet
from ..measurements import MeasurementDefinition, measure_landmarks
from ..planes import PlaneDefinition, PlaneErrors, StandardPlane, plane_errors, standard_plane

Derived = TypeVar("Derived")
_PLANE_ERRORS = tuple(PlaneErrors.__dataclass_fields__)


def summarise_planes(
    definitions: Sequence[PlaneDefinition], truths: Sequence[LandmarkSet], predictions: Sequence[LandmarkSet | None]
) -> dict[str, dict[str, Any]]:
    """By plane: cases with a true plane, failed (no predicted one), and {mean, sd} of every field of PlaneErrors."""
    summaries = {}
    for definition in definitions:
        pairs = list(_pairs(lambda points, one=definition: plane_or_none(one, points), truths, predictions))
        errors = [plane_errors(predicted, true) for true, predicted in pairs if predicted is not None]
        spreads = {name: spread_of([getattr(error, name) for error in errors]) for name in _PLANE_ERRORS}
        summaries[definition.name] = {"cases": len(pairs), "failed": len(pairs) - len(errors), **spreads}
    return summaries


def summarise_measurements(
    definitions: Sequence[MeasurementDefinition],
    truths: Sequence[LandmarkSet],
    predictions: Sequence[LandmarkSet | None],
) -> dict[str, dict[str, Any]]:
    """By measurement: unit, cases with a true value, failed (no predicted one), the mean of the true values, and the
    mean absolute error, in the unit and as a percentage of the true value."""
    summaries = {}
    for definition in definitions:
        pairs = list(_measured(definition, truths, predictions))
        true, found = measured_values(definition, truths, predictions)
        errors = np.abs(found - true)
        summaries[definition.name] = {
            "unit": definition.unit,
            "cases": len(pairs),
            "failed": len(pairs) - len(found),
            "mean_true": _mean([value for value, _ in pairs]),
            "mean_absolute_error": _mean(errors),
            "mean_absolute_percentage_error": _mean(100.0 * errors / true),
        }
    return summaries


def measured_values(
    definition: MeasurementDefinition, truths: Sequence[LandmarkSet], predictions: Sequence[LandmarkSet | None]
) -> tuple[FloatArray, FloatArray]:
    """True and predicted values (m,), of the cases that have both."""
    pairs = [pair for pair in _measured(definition, truths, predictions) if pair[1] is not None]
    true, found = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    return true, found


def plane_or_none(definition: PlaneDefinition, landmarks: LandmarkSet) -> StandardPlane | None:
    """The plane, or None if the landmarks define none."""
    try:
        return standard_plane(definition, landmarks)
    except LandmarkDetectionError:
        return None


def spread_of(values: Sequence[float]) -> dict[str, float | None]:
    """{mean, sd} of values, sd with n - 1; None where there are too few."""
    return {"mean": _mean(values), "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None}


def _measured(
    definition: MeasurementDefinition, truths: Sequence[LandmarkSet], predictions: Sequence[LandmarkSet | None]
) -> Iterator[tuple[float, float | None]]:
    def value_or_none(landmarks: LandmarkSet) -> float | None:
        try:
            return measure_landmarks(definition, landmarks, {}).value
        except LandmarkDetectionError:
            return None

    return _pairs(value_or_none, truths, predictions)


def _pairs(
    derive: Callable[[LandmarkSet], Derived | None],
    truths: Sequence[LandmarkSet],
    predictions: Sequence[LandmarkSet | None],
) -> Iterator[tuple[Derived, Derived | None]]:
    """The true and the predicted one, case by case, leaving out the cases without a true one."""
    for truth, prediction in zip(truths, predictions, strict=True):
        true = derive(truth)
        if true is not None:
            yield true, None if prediction is None else derive(prediction)


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None
