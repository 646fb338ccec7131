"""Radial errors of landmarks, cases by landmarks, and the numbers that sum them up."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files.dataset_json import DEFAULT_SDR_THRESHOLDS_MM
from ..geometry import FloatArray
from ..landmarks import LandmarkSet


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
    """

    labels: tuple[str, ...]
    errors_mm: FloatArray
    is_counted: NDArray[np.bool_]
    is_flagged: NDArray[np.bool_]
    predicted_ras: FloatArray
    true_ras: FloatArray

    def of_landmark(self, label: str) -> ErrorTable:
        """The one column of a landmark."""
        column = [self.labels.index(label)]
        return ErrorTable(
            (label,),
            self.errors_mm[:, column],
            self.is_counted[:, column],
            self.is_flagged[:, column],
            self.predicted_ras[:, column],
            self.true_ras[:, column],
        )


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
    for row, truth in enumerate(true_ras):
        order = _better_assignment(truth, predicted_ras[row], pairs)
        predicted_ras[row], is_flagged[row] = predicted_ras[row][order], is_flagged[row][order]
    errors_mm = np.linalg.norm(predicted_ras - true_ras, axis=-1)
    is_counted = ~np.isnan(true_ras).any(axis=-1)
    return ErrorTable(labels, errors_mm, is_counted, is_flagged & is_counted, predicted_ras, true_ras)


def _better_assignment(truth: FloatArray, predicted: FloatArray, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """For each row of truth (n, 3), the row of the prediction it is compared with."""
    order = list(range(len(truth)))
    for first, second in pairs:
        ends = [first, second]
        kept, swapped = (np.linalg.norm(truth[ends] - predicted[other], axis=-1) for other in (ends, ends[::-1]))
        if (np.isnan(swapped).sum(), np.nansum(swapped)) < (np.isnan(kept).sum(), np.nansum(kept)):
            order[first], order[second] = second, first
    return order


def summarise(
    table: ErrorTable,
    thresholds_mm: Sequence[float] = DEFAULT_SDR_THRESHOLDS_MM,
    seconds_per_case: float | None = None,
) -> dict[str, Any]:
    """The summary of a report, all points pooled; None where there are too few points for a number.

    Mean, deviation (n - 1) and quantiles are over the points with a prediction; the success detection rates `sdr`
    (error <= threshold) are over every counted point, so a point without a prediction fails at every threshold.

    Returns:
        points (counted), failed (counted, without a prediction), mre_mm, sd_mm, median_mm, iqr_mm, p95_mm, max_mm,
        sdr {threshold: share}, missing (counted, but flagged missing), seconds_per_case.
    """
    errors = table.errors_mm[~np.isnan(table.errors_mm)]
    points = int(table.is_counted.sum())
    quartile1, median, quartile3, p95 = np.percentile(errors, (25, 50, 75, 95)) if len(errors) else [None] * 4
    return {
        "points": points,
        "failed": points - len(errors),
        "mre_mm": float(errors.mean()) if len(errors) else None,
        "sd_mm": float(errors.std(ddof=1)) if len(errors) > 1 else None,
        "median_mm": _number(median),
        "iqr_mm": float(quartile3 - quartile1) if len(errors) else None,
        "p95_mm": _number(p95),
        "max_mm": float(errors.max()) if len(errors) else None,
        "sdr": {str(float(limit)): _share(errors, limit, points) for limit in thresholds_mm},
        "missing": int(table.is_flagged.sum()),
        "seconds_per_case": seconds_per_case,
    }


def summarise_landmarks(
    table: ErrorTable, thresholds_mm: Sequence[float] = DEFAULT_SDR_THRESHOLDS_MM
) -> Mapping[str, dict[str, Any]]:
    """The summary of each landmark by label."""
    return {label: summarise(table.of_landmark(label), thresholds_mm) for label in table.labels}


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _share(errors: FloatArray, limit: float, points: int) -> float | None:
    return float((errors <= limit).sum() / points) if points else None
