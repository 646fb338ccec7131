"""What predictions say about themselves, cases by landmarks, beside the errors they made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..geometry import FloatArray
from ..landmarks import LandmarkSet
from .metrics import ErrorTable
from .predictions import Prediction

_NOTHING = Prediction(LandmarkSet({}))


@dataclass(frozen=True, eq=False)
class ConfidenceTable:
    """Presence and uncertainty of every landmark in every case; rows and columns as in the error table.

    Attributes:
        is_absent: (cases, n); whether it is known that the image does not show the landmark.
        is_answered: (cases, n); whether the prediction says anything: a position, or that the landmark is missing.
        is_flagged: (cases, n); whether the prediction says that it is missing.
        presence: (cases, n) probability that the image shows the landmark; NaN where the prediction gives none.
        covariances_ras: (cases, n, 3, 3) in square millimetres; NaN where the prediction gives none.
        radius90_mm: (cases, n) calibrated radius that should hold the truth in 90 %; NaN where there is none.
    """

    is_absent: NDArray[np.bool_]
    is_answered: NDArray[np.bool_]
    is_flagged: NDArray[np.bool_]
    presence: FloatArray
    covariances_ras: FloatArray
    radius90_mm: FloatArray

    @property
    def spread_mm(self) -> FloatArray:
        """(cases, n) standard deviation of the distance from the estimate: the root of the covariance's trace."""
        return np.sqrt(np.maximum(np.trace(self.covariances_ras, axis1=-2, axis2=-1), 0.0))


def confidence_table(
    table: ErrorTable, predictions: Sequence[Prediction | None], is_absent: NDArray[np.bool_]
) -> ConfidenceTable:
    """What the predictions of an error table say, interchangeable ends put right as there.

    Args:
        table: errors of the same predictions.
        predictions: one a case.
        is_absent: (cases, n) whether the truth is known to be absent.
    """
    given = [prediction or _NOTHING for prediction in predictions]

    def aligned(rows: list[ArrayLike], *shape: int) -> NDArray:
        values = np.array(rows).reshape(*table.assignment.shape, *shape)
        return np.take_along_axis(values, table.assignment.reshape(*table.assignment.shape, *[1] * len(shape)), axis=1)

    is_flagged = aligned([[label in one.flagged for label in table.labels] for one in given])
    return ConfidenceTable(
        is_absent=is_absent,
        is_answered=is_flagged | ~np.isnan(table.predicted_ras).any(axis=-1),
        is_flagged=is_flagged,
        presence=aligned([_values(one.presence, table.labels, np.nan) for one in given]),
        covariances_ras=aligned(
            [_values(one.covariances_ras, table.labels, np.full((3, 3), np.nan)) for one in given], 3, 3
        ),
        radius90_mm=aligned([_values(one.radius90_mm, table.labels, np.nan) for one in given]),
    )


def _values(by_label: Mapping[str, ArrayLike], labels: Sequence[str], unknown: ArrayLike) -> list[ArrayLike]:
    return [by_label.get(label, unknown) for label in labels]
