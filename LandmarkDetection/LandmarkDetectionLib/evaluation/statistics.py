"""Paired tests between methods, and intervals that respect that the points of a case belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..geometry import FloatArray
from .metrics import ErrorTable, case_means_mm

SIGNIFICANT_P = 0.05
_RESAMPLES = 2000


def paired_tests(tables: Mapping[str, ErrorTable], pairs: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Wilcoxon signed-rank tests between methods, Holm-corrected within each unit.

    The unit to judge by is the case: both methods' mean errors over the points of a case that both located. The points
    of one case are not independent of each other, so the test on single points promises too much; it is there because
    papers report it.

    Args:
        tables: by method, of the same cases and landmarks.
        pairs: the comparisons that belong together.

    Returns:
        For each unit ("case", then "point") and pair: unit, first, second, pairs (how many were compared),
        mean_difference_mm and median_difference_mm (first - second), statistic (the smaller rank sum), p (two-sided),
        p_holm, and better: the method with the smaller errors, None unless p_holm is below 0.05.
    """
    tests = []
    for unit in ("case", "point"):
        found = [_paired_test(tables, first, second, unit) for first, second in pairs]
        for test, p_holm in zip(found, holm([test["p"] for test in found]), strict=True):
            is_sure = p_holm is not None and p_holm < SIGNIFICANT_P
            smaller = test["first"] if (test["median_difference_mm"] or 0.0) < 0.0 else test["second"]
            tests.append({**test, "p_holm": p_holm, "better": smaller if is_sure else None})
    return tests


def _paired_test(tables: Mapping[str, ErrorTable], first: str, second: str, unit: str) -> dict[str, Any]:
    errors = [tables[name].errors_mm for name in (first, second)]
    errors = [np.where(np.isnan(errors[0] + errors[1]), np.nan, one) for one in errors]
    one, other = (case_means_mm(table) if unit == "case" else table.ravel() for table in errors)
    differences = (one - other)[~np.isnan(one)]
    statistic, p = wilcoxon(differences)
    return {
        "unit": unit,
        "first": first,
        "second": second,
        "pairs": len(differences),
        "mean_difference_mm": float(np.mean(differences)) if len(differences) else None,
        "median_difference_mm": float(np.median(differences)) if len(differences) else None,
        "statistic": statistic,
        "p": p,
    }


def wilcoxon(differences: FloatArray) -> tuple[float | None, float | None]:
    """Statistic and two-sided p of the signed-rank test on paired differences (m,); equal pairs are left out.

    Exact up to 50 pairs without ties, else by the normal approximation (scipy's choice). None without any pair; p is 1
    if all pairs are equal.
    """
    from scipy import stats

    if len(differences) == 0:
        return None, None
    if not np.any(differences):
        return 0.0, 1.0
    result = stats.wilcoxon(differences)
    return float(result.statistic), float(result.pvalue)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjusted p of tests that belong together [Holm 1979]; a test without a p has none and does not count."""
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        adjusted[index] = largest
    return adjusted


def case_bootstrap_interval(hits: ArrayLike, counts: ArrayLike, seed: int = 0) -> list[float] | None:
    """95 % interval of the share sum(hits) / sum(counts), from 2000 resamples of the cases (percentiles).

    Args:
        hits: (cases,) how many points of each case are hits.
        counts: (cases,) out of how many.
        seed: of the resampling.

    Returns:
        Its two ends; None with fewer than two cases that have points.
    """
    hits, counts = (np.asarray(values, dtype=np.float64) for values in (hits, counts))
    hits, counts = hits[counts > 0], counts[counts > 0]
    if len(counts) < 2:
        return None
    chosen = np.random.default_rng(seed).integers(0, len(counts), (_RESAMPLES, len(counts)))
    shares = hits[chosen].sum(axis=1) / counts[chosen].sum(axis=1)
    return np.percentile(shares, (2.5, 97.5)).tolist()
