"""Standard planes: their definitions, which are data of the model card, and the planes that landmarks put in space."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np

from .errors import LandmarkDetectionError

Point = tuple[str, ...]
"""Labels whose mean is meant: one landmark, the midpoint of two, or the centre of several."""

Sense = Literal["R", "L", "A", "P", "S", "I", "order"]
"""Which of a line's two directions is meant: the one closer to an anatomical direction, or the one its points' order
gives."""

_DIRECTIONS_RAS = {
    "R": (1.0, 0.0, 0.0),
    "L": (-1.0, 0.0, 0.0),
    "A": (0.0, 1.0, 0.0),
    "P": (0.0, -1.0, 0.0),
    "S": (0.0, 0.0, 1.0),
    "I": (0.0, 0.0, -1.0),
}

_RELATIVE_TOLERANCE = 1e-3
"""Points that leave a line (or a point) by less than this part of their spread are taken to lie on it."""

_ABSOLUTE_TOLERANCE_MM = 1e-6


@dataclass(frozen=True)
class PlaneDefinition:
    """How a plane and the axes of its picture follow from landmarks. Plain data: it is stored in the model card.

    Attributes:
        name: what the user calls the plane, for example "TV".
        description: what the plane shows.
        fit: at least three points; the plane is the least-squares (SVD) plane through them.
        normal_towards: sense of the normal. "order" (three points a, b, c only): that of (b - a) x (c - a).
        axis: at least two points; the x axis is the least-squares line through their projections on the plane.
        x_towards: sense of the x axis. "order" (two points only): from the first to the second.
        origin: points whose mean, projected on the plane, is the centre of the picture.
        size_mm: width (along x) and height (along y) of the picture.

    Raises:
        LandmarkDetectionError: if the points are too few, or the size is not positive.
    """

    name: str
    description: str
    fit: tuple[Point, ...]
    normal_towards: Sense
    axis: tuple[Point, ...]
    x_towards: Sense
    origin: tuple[Point, ...]
    size_mm: tuple[float, float]

    def __post_init__(self) -> None:
        if len(self.fit) < 3 or (self.normal_towards == "order" and len(self.fit) != 3):
            self._refuse('"fit" needs at least three points, and exactly three if the normal follows their order')
        if len(self.axis) < 2 or (self.x_towards == "order" and len(self.axis) != 2):
            self._refuse('"axis" needs at least two points, and exactly two if the x axis follows their order')
        if not self.origin or not all(chain(self.fit, self.axis, self.origin)):
            self._refuse("every point, the origin too, needs at least one landmark")
        if len(self.size_mm) != 2 or not all(np.isfinite(self.size_mm)) or min(self.size_mm) <= 0:
            self._refuse("its size is a positive width and height in millimetres")

    def _refuse(self, reason: str) -> None:
        message = f'Plane definition "{self.name}": {reason}; correct the definition.'
        raise LandmarkDetectionError(message)

    @property
    def labels(self) -> tuple[str, ...]:
        """Every landmark the plane depends on, once each."""
        return tuple(dict.fromkeys(chain.from_iterable(chain(self.fit, self.axis, self.origin))))
