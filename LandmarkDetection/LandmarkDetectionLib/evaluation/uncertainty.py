"""Does a model know where it errs? Its predicted spread beside its error."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..geometry import FloatArray
from .confidence import ConfidenceTable
from .coverage import summarise_radius90, summarise_regions
from .metrics import ErrorTable, case_means_mm

_BINS = 5
"""As many quantile bins as Schobs 2023 settles on."""
_SMALLEST_VARIATION = 1e-9
"""A row that varies by less than this part of its mean does so by rounding alone."""


def summarise_uncertainty(table: ErrorTable, confidence: ConfidenceTable, dimension: int) -> dict[str, Any] | None:
    """Everything about predicted spread (root of the covariance's trace) and calibrated radius; None without either.

    Returns:
        correlation {points, cases, per_landmark {label}}: each {points, pearson_r, pearson_p, spearman_r, spearman_p}
        of spread against error, with one point per case and landmark (`points`), per case (`cases`, means over its
        landmarks), or per case for one landmark; expected_radial_error_mm [McCouat 2022]; quantile_bins [Schobs 2023];
        regions, radius90: see coverage.py.
    """
    spread_mm = np.where(np.isnan(table.errors_mm), np.nan, confidence.spread_mm)
    errors_mm = np.where(np.isnan(spread_mm), np.nan, table.errors_mm)
    radius90 = summarise_radius90(table, confidence)
    if np.isnan(errors_mm).all() and radius90 is None:
        return None
    columns = zip(table.labels, spread_mm.T, errors_mm.T, strict=True)
    return {
        "correlation": {
            "points": correlation(spread_mm.ravel(), errors_mm.ravel()),
            "cases": correlation(case_means_mm(spread_mm), case_means_mm(errors_mm)),
            "per_landmark": {label: correlation(spread, error) for label, spread, error in columns},
        },
        "expected_radial_error_mm": _expected_radial_error_mm(confidence.covariances_ras[~np.isnan(errors_mm)]),
        "quantile_bins": quantile_bins(spread_mm.ravel(), errors_mm.ravel()),
        "regions": summarise_regions(table, confidence, dimension),
        "radius90": radius90,
    }


def correlation(spread_mm: FloatArray, errors_mm: FloatArray) -> dict[str, Any]:
    """Pearson's and Spearman's coefficients of two rows (m,) with their two-sided p; pairs with NaN are left out.

    None below three pairs, or where one of the rows does not vary.
    """
    from scipy import stats

    is_known = ~np.isnan(spread_mm + errors_mm)
    spread_mm, errors_mm = spread_mm[is_known], errors_mm[is_known]
    numbers = dict.fromkeys(("pearson_r", "pearson_p", "spearman_r", "spearman_p"))
    if len(errors_mm) >= 3 and all(np.ptp(row) > _SMALLEST_VARIATION * row.mean() for row in (spread_mm, errors_mm)):
        found = (*stats.pearsonr(spread_mm, errors_mm), *stats.spearmanr(spread_mm, errors_mm))
        numbers = dict(zip(numbers, map(float, found), strict=True))
    return {"points": len(errors_mm), **numbers}


def quantile_bins(spread_mm: FloatArray, errors_mm: FloatArray) -> list[dict[str, Any]]:
    """Points in five equal bins of rising spread, and how they really err [Schobs 2023].

    Bins and error quantiles are those of these very points; the paper fits its bins on other cases. jaccard is the
    overlap of a bin with the fifth of the points that err that much: 1 if the spread ranks as the error does, 1/9 on
    average if it says nothing.

    Returns:
        For each bin: points, spread_mm [lowest, highest], mre_mm, median_mm, p95_mm, jaccard; empty below five points.
    """
    is_known = ~np.isnan(spread_mm + errors_mm)
    spread_mm, errors_mm = spread_mm[is_known], errors_mm[is_known]
    if len(errors_mm) < _BINS:
        return []
    by_spread, by_error = (np.array_split(np.argsort(row, kind="stable"), _BINS) for row in (spread_mm, errors_mm))
    bins = []
    for chosen, of_this_error in zip(by_spread, by_error, strict=True):
        median_mm, p95_mm = np.percentile(errors_mm[chosen], (50, 95))
        shared = len(np.intersect1d(chosen, of_this_error))
        bins.append(
            {
                "points": len(chosen),
                "spread_mm": [float(spread_mm[chosen].min()), float(spread_mm[chosen].max())],
                "mre_mm": float(errors_mm[chosen].mean()),
                "median_mm": float(median_mm),
                "p95_mm": float(p95_mm),
                "jaccard": shared / (len(chosen) + len(of_this_error) - shared),
            }
        )
    return bins


def _expected_radial_error_mm(covariances: FloatArray) -> float | None:
    """Mean length of normal deviates of covariances (m, 3, 3), over all of them; None if there are none.

    The mean of a length is that of chi with three degrees of freedom, sqrt(8/pi), times the mean of sqrt(u' C u) over
    all directions u: Carlson's integral R_G of the three variances.
    """
    from scipy import special

    if len(covariances) == 0:
        return None
    variances = np.maximum(np.linalg.eigvalsh(covariances), 0.0)
    return float(np.mean(np.sqrt(8.0 / np.pi) * special.elliprg(*variances.T)))
