"""Pictures of the cases with the largest single errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..landmarks import LandmarkSet
from ..pictures import landmark_picture
from .outcome import Evaluation

_COUNT = 6
_PICTURE_HEIGHT_PX, _VOLUME_HEIGHT_PX = 520, 360


@dataclass(frozen=True)
class WorstCase:
    """A case, the landmark of its largest error, and a picture (PNG) of its predicted and true landmarks there."""

    case: str
    label: str
    max_mm: float
    mean_mm: float
    is_picture: bool
    png: bytes


def worst_cases(evaluation: Evaluation) -> Iterator[WorstCase]:
    """The six cases with the largest single errors, the worst first; their volumes are read again."""
    table = evaluation.table
    errors_mm = np.where(np.isnan(table.errors_mm), -1.0, table.errors_mm)
    columns_of_largest = errors_mm.argmax(axis=1)
    largest_mm = errors_mm.max(axis=1)
    rows = [row for row in np.argsort(-largest_mm, kind="stable") if largest_mm[row] >= 0.0]
    for row in rows[:_COUNT]:
        label = table.labels[columns_of_largest[row]]
        case = evaluation.outcomes[row].case
        positions = (table.predicted_ras[row], table.true_ras[row])
        predicted, truth = (LandmarkSet.from_array(table.labels, one) for one in positions)
        volume = case.read_volume()
        is_picture = volume.dimension == 2
        height_px = _PICTURE_HEIGHT_PX if is_picture else _VOLUME_HEIGHT_PX
        picture = landmark_picture(volume, predicted, truth, focus_ras=truth[label], named=[label], height_px=height_px)
        mean_mm = float(np.nanmean(table.errors_mm[row]))
        yield WorstCase(case.name, label, float(largest_mm[row]), mean_mm, is_picture, picture)
