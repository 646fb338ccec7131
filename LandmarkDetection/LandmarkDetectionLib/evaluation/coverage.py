"""Do the regions a model draws around its landmarks hold the truth as often as they promise?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry import FloatArray
from .confidence import ConfidenceTable
from .metrics import ErrorTable
from .statistics import case_bootstrap_interval

_REGION_LEVELS = (0.90, 0.95)
_CALIBRATION_LEVELS = tuple(round(0.05 * step, 2) for step in range(1, 20))
_SMALLEST_VARIANCE_MM2 = 1e-12
"""A direction without any spread: the truth is in the region if it does not leave it that way by a micrometre."""


def summarise_radius90(table: ErrorTable, confidence: ConfidenceTable) -> dict[str, Any] | None:
    """How often the calibrated 90 % radius holds the truth, over all points with a truth and a radius; None without.

    Returns:
        points, coverage, interval95 (bootstrap over cases), mean_radius_mm, median_radius_mm, per_landmark {label:
        coverage}.
    """
    is_known = ~np.isnan(table.errors_mm) & ~np.isnan(confidence.radius90_mm)
    if not is_known.any():
        return None
    is_held = is_known & (table.errors_mm <= confidence.radius90_mm)
    radii_mm = confidence.radius90_mm[is_known]
    columns = zip(table.labels, is_held.sum(axis=0), is_known.sum(axis=0), strict=True)
    return {
        **_coverage(is_held, is_known),
        "mean_radius_mm": float(radii_mm.mean()),
        "median_radius_mm": float(np.median(radii_mm)),
        "per_landmark": {label: float(held / count) if count else None for label, held, count in columns},
    }


def summarise_regions(table: ErrorTable, confidence: ConfidenceTable, dimension: int) -> dict[str, Any] | None:
    """Coverage and size of the regions of 90 % and 95 % of the predicted covariances, taken as normal distributions.

    They are ellipsoids in a volume, ellipses in a picture. Coverage and region size as in Jonkers 2025; the calibration
    error is the mean distance between promised and found coverage over the levels 5 %, 10 %, ... 95 %; the scale is
    what a temperature does to a heatmap [McCouat 2022]: the covariances times it would cover 90 % of these points.

    Returns:
        levels {"0.9", "0.95": {points, coverage, interval95, mean_size, median_size}}, unit of the sizes (mm^3 or
        mm^2), calibration {promised, found, expected_error}, variance_scale90; None without covariances.
    """
    from scipy import stats

    squared, sizes = _squared_distances_and_sizes(table, confidence, dimension)
    is_known = ~np.isnan(squared)
    if not is_known.any():
        return None
    levels = {}
    for level in _REGION_LEVELS:
        limit = stats.chi2.ppf(level, dimension)
        size = sizes[is_known] * limit ** (dimension / 2)
        spread = {"mean_size": float(size.mean()), "median_size": float(np.median(size))}
        levels[str(level)] = {**_coverage(is_known & (squared <= limit), is_known), **spread}
    promised = np.array(_CALIBRATION_LEVELS)
    found = (squared[is_known][:, None] <= stats.chi2.ppf(promised, dimension)).mean(axis=0)
    return {
        "unit": f"mm^{dimension}",
        "levels": levels,
        "calibration": {
            "promised": promised.tolist(),
            "found": found.tolist(),
            "expected_error": float(np.abs(found - promised).mean()),
        },
        "variance_scale90": float(np.quantile(squared[is_known], 0.9) / stats.chi2.ppf(0.9, dimension)),
    }


def _coverage(is_held: NDArray[np.bool_], is_known: NDArray[np.bool_]) -> dict[str, Any]:
    return {
        "points": int(is_known.sum()),
        "coverage": float(is_held.sum() / is_known.sum()),
        "interval95": case_bootstrap_interval(is_held.sum(axis=1), is_known.sum(axis=1)),
    }


def _squared_distances_and_sizes(
    table: ErrorTable, confidence: ConfidenceTable, dimension: int
) -> tuple[FloatArray, FloatArray]:
    """Squared Mahalanobis distance (cases, n) of each error, NaN where unknown, and size of the region of distance 1.

    Along the widest two axes only in a picture, across which nothing spreads.
    """
    is_known = ~np.isnan(table.errors_mm) & ~np.isnan(confidence.spread_mm)
    squared, sizes = np.full((2, *is_known.shape), np.nan)
    variances, axes = np.linalg.eigh(confidence.covariances_ras[is_known])
    errors_ras = (table.predicted_ras - table.true_ras)[is_known]
    along_axes = np.einsum("pij,pi->pj", axes, errors_ras)[:, -dimension:]
    variances = np.maximum(variances[:, -dimension:], 0.0)
    squared[is_known] = (along_axes**2 / np.maximum(variances, _SMALLEST_VARIANCE_MM2)).sum(axis=1)
    unit_ball = np.pi if dimension == 2 else 4.0 / 3.0 * np.pi
    sizes[is_known] = unit_ball * np.sqrt(variances.prod(axis=1))
    return squared, sizes
