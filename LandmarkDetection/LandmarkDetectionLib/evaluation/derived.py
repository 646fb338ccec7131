"""Errors of what follows from landmarks: standard planes and measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np

from ..errors import LandmarkDetectionError
from ..geometry import FloatArray
from ..landmarks import LandmarkSet
from ..measurements import Measurement, MeasurementDefinition, measure_landmarks
from ..planes import PlaneDefinition, PlaneErrors, StandardPlane, plane_errors, standard_plane
from .predictions import Prediction
from .statistics import case_bootstrap_interval

Derived = TypeVar("Derived")
_NORMAL_90 = 1.645
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
    predictions: Sequence[Prediction | None],
) -> dict[str, dict[str, Any]]:
    """By measurement: unit, cases with a true value, failed (no predicted one), the mean of the true values, the mean
    absolute error, in the unit and, of a length, as a percentage of the true value, the mean standard deviation that is
    stated, and how often the truth lies in the 90 % interval that follows from it if errors are normal."""
    summaries = {}
    for definition in definitions:
        true, found = measured_values(definition, truths, predictions)
        values, deviations = (np.array([getattr(one, name) for one in found], np.float64) for name in ("value", "sd"))
        errors = np.abs(values - true)
        all_true = [value_or_none(definition, truth) for truth in truths]
        all_true = [value for value in all_true if value is not None]
        summaries[definition.name] = {
            "unit": definition.unit,
            "cases": len(all_true),
            "failed": len(all_true) - len(found),
            "mean_true": _mean(all_true),
            "mean_absolute_error": _mean(errors),
            "mean_absolute_percentage_error": _mean(100.0 * errors / true) if definition.unit == "mm" else None,
            "mean_sd": _mean(deviations[~np.isnan(deviations)]),
            "interval90": _summarise_interval90(errors, deviations),
        }
    return summaries


def measured_values(
    definition: MeasurementDefinition, truths: Sequence[LandmarkSet], predictions: Sequence[Prediction | None]
) -> tuple[FloatArray, list[Measurement]]:
    """True values (m,) and what was measured, of the cases that have both."""
    pairs = []
    for truth, prediction in zip(truths, predictions, strict=True):
        true = value_or_none(definition, truth)
        if true is not None and prediction is not None:
            with suppress(LandmarkDetectionError):
                found = measure_landmarks(definition, prediction.positions, prediction.covariances_ras)
                pairs.append((true, found))
    return np.array([true for true, _ in pairs]), [found for _, found in pairs]


def value_or_none(definition: MeasurementDefinition, landmarks: LandmarkSet) -> float | None:
    """The measured value, or None if the landmarks do not allow it."""
    try:
        return measure_landmarks(definition, landmarks, {}).value
    except LandmarkDetectionError:
        return None


def plane_or_none(definition: PlaneDefinition, landmarks: LandmarkSet) -> StandardPlane | None:
    """The plane, or None if the landmarks define none."""
    try:
        return standard_plane(definition, landmarks)
    except LandmarkDetectionError:
        return None


def spread_of(values: Sequence[float]) -> dict[str, float | None]:
    """{mean, sd} of values, sd with n - 1; None where there are too few."""
    return {"mean": _mean(values), "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None}


def _summarise_interval90(errors: FloatArray, deviations: FloatArray) -> dict[str, Any] | None:
    """How often the truth lies within 1.645 standard deviations: cases, coverage, interval95; None without any."""
    is_known = ~np.isnan(deviations)
    if not is_known.any():
        return None
    is_held = errors[is_known] <= _NORMAL_90 * deviations[is_known]
    interval95 = case_bootstrap_interval(is_held, np.ones(len(is_held)))
    return {"cases": len(is_held), "coverage": float(is_held.mean()), "interval95": interval95}


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
