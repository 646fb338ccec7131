"""One point of a markups file, in the coordinate system of memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..geometry import FloatArray


@dataclass(frozen=True, eq=False)
class ControlPoint:
    """A labelled position in RAS millimetres, None where it is missing."""

    label: str
    position_ras: FloatArray | Sequence[float] | None
    description: str = ""


def flip_x_y(position: Sequence[float]) -> list[float]:
    """A position turned from LPS to RAS or back, without negative zeros."""
    x, y, z = (float(value) for value in position)
    return [0.0 - x, 0.0 - y, z + 0.0]
