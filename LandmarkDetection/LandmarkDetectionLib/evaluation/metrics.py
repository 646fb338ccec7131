"""Radial errors of landmarks, cases by landmarks, and the numbers that sum them up."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files.dataset_json import DEFAULT_SDR_THRESHOLDS_MM
from ..geometry import FloatArray
from ..landmarks import LandmarkSet

_OUTLIER_FACTOR = 2.5
"""An outlier errs by more than this many times the largest threshold: 10 mm where that is the usual 4 mm."""

_CURVE_STEPS, _STEPS_TO_LARGEST = 10, 8
"""The curve of success rates has ten steps; the eighth is the largest threshold: 0.5 to 5 mm where that is 4 mm."""


@dataclass(frozen=True, eq=False)
class ErrorTable:
    """The radial error of every landmark in every case.

    Attributes:
        labels: landmarks, one per column.
        errors_mm: (cases, n); NaN where there is no truth, or no prediction.
        is_counted: (cases, n); whether there is truth: these points make up every share.
        is_flagged: (cases, n); whether the prediction was flagged missing although there is truth.
        predicted_ras: (cases, n, 3) the positions compared with the truth, interchangeable ends put right; NaN where
            there is no prediction.
        true_ras: (cases, n, 3); NaN where there is no truth.
        assignment: (cases, n) the column of the prediction, as it was given, that each landmark is compared with:
            another than its own where interchangeable ends were put right.
    """

    labels: tuple[str, ...]
    errors_mm: FloatArray
    is_counted: NDArray[np.bool_]
    is_flagged: NDArray[np.bool_]
    predicted_ras: FloatArray
    true_ras: FloatArray
    assignment: NDArray[np.intp]

    def of_landmark(self, label: str) -> ErrorTable:
        """The one column of a landmark."""
        column = [self.labels.index(label)]
        arrays = {name: value[:, column] for name, value in vars(self).items() if name != "labels"}
        return replace(self, labels=(label,), **arrays)


def error_table(
    truths: Sequence[LandmarkSet],
    predictions: Sequence[LandmarkSet | None],
    labels: Sequence[str],
    interchangeable: Sequence[tuple[str, str]] = (),
    flagged: Sequence[Collection[str]] | None = None,
) -> ErrorTable:
    """Compare predictions with truth, case by case, matched by label.

    Args:
        truths: one set a case; a label that is absent or missing is not counted.
        predictions: one set of best estimates a case, None for a case without a prediction.
        labels: the landmarks to compare.
        interchangeable: pairs of labels whose ends cannot be told apart: in each case each pair takes the assignment
            with the smaller summed error.
        flagged: per case, the labels the prediction flagged as missing; their best estimates count all the same.
    """
    labels = tuple(labels)
    nothing = LandmarkSet({})
    true_ras = np.array([truth.to_array(labels) for truth in truths]).reshape(-1, len(labels), 3)
    predicted_ras = np.array([(one or nothing).to_array(labels) for one in predictions]).reshape(true_ras.shape)
    is_flagged = np.zeros(true_ras.shape[:2], dtype=bool)
    for row, case_labels in enumerate(flagged or ()):
        is_flagged[row] = [label in case_labels for label in labels]
    pairs = [(labels.index(a), labels.index(b)) for a, b in interchangeable if a in labels and b in labels]
    assignment = np.empty(is_flagged.shape, dtype=np.intp)
    for row, truth in enumerate(true_ras):
        assignment[row] = order = _better_assignment(truth, predicted_ras[row], pairs)
        predicted_ras[row], is_flagged[row] = predicted_ras[row][order], is_flagged[row][order]
    errors_mm = np.linalg.norm(predicted_ras - true_ras, axis=-1)
    is_counted = ~np.isnan(true_ras).any(axis=-1)
    return ErrorTable(labels, errors_mm, is_counted, is_flagged & is_counted, predicted_ras, true_ras, assignment)


def _better_assignment(truth: FloatArray, predicted: FloatArray, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """For each row of truth (n, 3), the row of the prediction it is compared with."""
    order = list(range(len(truth)))
    for first, second in pairs:
        ends = [first, second]
        kept, swapped = (np.linalg.norm(truth[ends] - predicted[other], axis=-1) for other in (ends, ends[::-1]))
        if (np.isnan(swapped).sum(), np.nansum(swapped)) < (np.isnan(kept).sum(), np.nansum(kept)):
            order[first], order[second] = second, first
    return order


def outlier_threshold_mm(thresholds_mm: Sequence[float]) -> float:
    """The error beyond which a point is an outlier: 10 mm with the usual thresholds, less for tiny anatomy."""
    return _OUTLIER_FACTOR * max(thresholds_mm)


def summarise(
    table: ErrorTable,
    thresholds_mm: Sequence[float] = DEFAULT_SDR_THRESHOLDS_MM,
    seconds_per_case: float | None = None,
) -> dict[str, Any]:
    """The summary of a report, all points pooled (micro average); None where there are too few points for a number.

    Mean, deviation (n - 1) and quantiles are over the points with a prediction; the success detection rates `sdr`
    (error <= threshold) are over every counted point, so a point without a prediction fails at every threshold, and
    is an outlier.

    Returns:
        points (counted), failed (counted, without a prediction), mre_mm, sd_mm, median_mm, iqr_mm, p95_mm, max_mm,
        sdr {threshold: share}, sdr_curve (the same in ten even steps), outliers {threshold_mm, count, share}, missing
        (counted, but flagged missing), seconds_per_case.
    """
    errors = table.errors_mm[~np.isnan(table.errors_mm)]
    points = int(table.is_counted.sum())
    quartile1, median, quartile3, p95 = np.percentile(errors, (25, 50, 75, 95)) if len(errors) else [None] * 4
    outlier_mm = outlier_threshold_mm(thresholds_mm)
    outliers = points - int((errors <= outlier_mm).sum())
    return {
        "points": points,
        "failed": points - len(errors),
        **mean_and_sd(errors),
        "median_mm": _number(median),
        "iqr_mm": float(quartile3 - quartile1) if len(errors) else None,
        "p95_mm": _number(p95),
        "max_mm": float(errors.max()) if len(errors) else None,
        "sdr": {str(float(limit)): _share(errors, limit, points) for limit in thresholds_mm},
        "sdr_curve": {str(limit): _share(errors, limit, points) for limit in _curve_thresholds_mm(thresholds_mm)},
        "outliers": {"threshold_mm": outlier_mm, "count": outliers, "share": outliers / points if points else None},
        "missing": int(table.is_flagged.sum()),
        "seconds_per_case": seconds_per_case,
    }


def summarise_landmarks(
    table: ErrorTable, thresholds_mm: Sequence[float] = DEFAULT_SDR_THRESHOLDS_MM
) -> Mapping[str, dict[str, Any]]:
    """The summary of each landmark by label."""
    return {label: summarise(table.of_landmark(label), thresholds_mm) for label in table.labels}


def macro_averages(table: ErrorTable) -> dict[str, dict[str, Any]]:
    """Mean and deviation of the mean errors of the cases, and of the landmarks: each counts once, however many points
    it has."""
    rows = {"cases": case_means_mm(table.errors_mm), "landmarks": case_means_mm(table.errors_mm.T)}
    known = {name: means[~np.isnan(means)] for name, means in rows.items()}
    return {name: {"count": len(means), **mean_and_sd(means)} for name, means in known.items()}


def case_means_mm(errors_mm: FloatArray) -> FloatArray:
    """The mean error (cases,) of each row of errors (cases, n); NaN where a row has none."""
    count = (~np.isnan(errors_mm)).sum(axis=1)
    return np.divide(np.nansum(errors_mm, axis=1), count, out=np.full(len(errors_mm), np.nan), where=count > 0)


def mean_and_sd(errors_mm: FloatArray) -> dict[str, float | None]:
    """mre_mm and sd_mm (n - 1) of errors (m,) without gaps."""
    return {
        "mre_mm": float(errors_mm.mean()) if len(errors_mm) else None,
        "sd_mm": float(errors_mm.std(ddof=1)) if len(errors_mm) > 1 else None,
    }


def _curve_thresholds_mm(thresholds_mm: Sequence[float]) -> list[float]:
    return [round(step * max(thresholds_mm) / _STEPS_TO_LARGEST, 6) for step in range(1, _CURVE_STEPS + 1)]


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _share(errors: FloatArray, limit: float, points: int) -> float | None:
    return float((errors <= limit).sum() / points) if points else None
