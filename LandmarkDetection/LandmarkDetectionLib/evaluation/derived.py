"""Errors of what follows from landmarks: standard planes and measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from ..errors import LandmarkDetectionError
from ..landmarks import LandmarkSet
from ..measurements import MeasurementDefinition, measure_landmarks
from ..planes import PlaneDefinition, PlaneErrors, plane_errors, standard_plane

Derived = TypeVar("Derived")
_PLANE_ERRORS = tuple(PlaneErrors.__dataclass_fields__)


def summarise_planes(
    definitions: Sequence[PlaneDefinition], truths: Sequence[LandmarkSet], predictions: Sequence[LandmarkSet | None]
) -> dict[str, dict[str, Any]]:
    """By plane: cases with a true plane, failed (no predicted one), and {mean, sd} of every field of PlaneErrors."""
    summaries = {}
    for definition in definitions:
        pairs = list(_pairs(lambda points, one=definition: standard_plane(one, points), truths, predictions))
        errors = [plane_errors(predicted, true) for true, predicted in pairs if predicted is not None]
        spreads = {name: _mean_and_sd([getattr(error, name) for error in errors]) for name in _PLANE_ERRORS}
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
        pairs = list(_pairs(lambda points, one=definition: measure_landmarks(one, points, {}), truths, predictions))
        measured = np.array([(true.value, found.value) for true, found in pairs if found is not None]).reshape(-1, 2)
        errors = np.abs(measured[:, 1] - measured[:, 0])
        summaries[definition.name] = {
            "unit": definition.unit,
            "cases": len(pairs),
            "failed": len(pairs) - len(measured),
            "mean_true": _mean([true.value for true, _ in pairs]),
            "mean_absolute_error": _mean(errors),
            "mean_absolute_percentage_error": _mean(100.0 * errors / measured[:, 0]),
        }
    return summaries


def _pairs(
    derive: Callable[[LandmarkSet], Derived],
    truths: Sequence[LandmarkSet],
    predictions: Sequence[LandmarkSet | None],
) -> Iterator[tuple[Derived, Derived | None]]:
    """The true and the predicted one, case by case, leaving out the cases without a true one."""
    for truth, prediction in zip(truths, predictions, strict=True):
        true = _try(derive, truth)
        if true is not None:
            yield true, None if prediction is None else _try(derive, prediction)


def _try(derive: Callable[[LandmarkSet], Derived], landmarks: LandmarkSet) -> Derived | None:
    try:
        return derive(landmarks)
    except LandmarkDetectionError:
        return None


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _mean_and_sd(values: Sequence[float]) -> dict[str, float | None]:
    return {"mean": _mean(values), "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None}
