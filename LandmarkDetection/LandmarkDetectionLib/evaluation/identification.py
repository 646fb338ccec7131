"""Right level: is the truth nearest to a predicted landmark the one of the same label?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .metrics import ErrorTable

_ID_DISTANCE_MM = 20.0
"""Of VerSe [Sekuboyina 2021]: identified means nearest and closer than this."""


def nearest_truth(table: ErrorTable) -> NDArray[np.intp]:
    """For each prediction (cases, n), the column of the true landmark of its case nearest to it; -1 without either.

    Of truths equally near, its own counts.
    """
    distances = np.linalg.norm(table.predicted_ras[:, :, None] - table.true_ras[:, None], axis=-1)
    distances = np.where(np.isnan(distances), np.inf, distances)
    nearest = distances.argmin(axis=2)
    own = np.arange(len(table.labels))
    is_own_as_near = distances[:, own, own] <= distances.min(axis=2)
    nearest = np.where(is_own_as_near, own, nearest)
    return np.where(np.isfinite(distances.min(axis=2)), nearest, -1)


def summarise_identification(table: ErrorTable) -> dict[str, Any]:
    """Shares of the counted points whose prediction is nearest to their own truth among the truths of the case.

    A point without a prediction is at no level. None of it means anything where there is one landmark.

    Returns:
        right_level_rate; id_rate, for which the error must be below id_distance_mm (20) too [VerSe]; cases, and
        cases_all_right: how many have every landmark at the right level; per_landmark {label: right_level_rate}.
    """
    is_right = (nearest_truth(table) == np.arange(len(table.labels))) & table.is_counted
    is_identified = is_right & (table.errors_mm < _ID_DISTANCE_MM)
    has_truth = table.is_counted.any(axis=1)
    is_all_right = (is_right | ~table.is_counted).all(axis=1)
    columns = zip(table.labels, is_right.sum(axis=0), table.is_counted.sum(axis=0), strict=True)
    points = table.is_counted.sum()
    return {
        "right_level_rate": _share(is_right.sum(), points),
        "id_rate": _share(is_identified.sum(), points),
        "id_distance_mm": _ID_DISTANCE_MM,
        "cases": int(has_truth.sum()),
        "cases_all_right": int((is_all_right & has_truth).sum()),
        "per_landmark": {label: _share(right, count) for label, right, count in columns},
    }


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None
