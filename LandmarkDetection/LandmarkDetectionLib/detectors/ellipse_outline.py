"""An ellipse by points of its outline in place of the ends of its axes, which nobody can tell where it is nearly round.

Those who look for the ends themselves find the mean of all places where they might be, which lies within the ellipse.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import LandmarkDetectionError
from ..geometry import FloatArray
from ..models.card import ModelCard

LEAST_POINTS = 6
"""An ellipse has five degrees of freedom."""
_ROUNDS = 10
_FAR = 3.0
"""Times the median distance from the ellipse at which a point counts half."""
_LEAST_SHARE = 1e-6
"""Of an ellipse's extent that still counts as one."""


@dataclass(frozen=True)
class EllipseOutline:
    """The outline of an ellipse whose axes end in four landmarks of a picture.

    Attributes:
        count: points of the outline, seen from its centre at equal angles from the picture's first axis in array order.
        long_axis, short_axis: numbers of the landmarks at their ends.
        others: numbers of the landmarks that lie in its centre.
    """

    count: int
    long_axis: tuple[int, int]
    short_axis: tuple[int, int]
    others: tuple[int, ...]

    @classmethod
    def of(cls, card: ModelCard, count: int) -> EllipseOutline:
        """The outline for a card that names two pairs of interchangeable ends, those of the long axis first.

        Raises:
            LandmarkDetectionError: if these are not the landmarks of the card, but for one in the centre.
        """
        pairs = [tuple(card.labels.index(label) for label in pair) for pair in card.interchangeable]
        others = tuple(set(range(len(card.labels))) - {number for pair in pairs for number in pair})
        if card.dimension != 2 or len(pairs) != 2 or len(others) > 1:
            message = (
                f"{card.name}: outline_points is for pictures whose landmarks are the ends of an ellipse's long and "
                'short axis, as two "interchangeable" pairs, and its centre; set it to 0.'
            )
            raise LandmarkDetectionError(message)
        return cls(count, pairs[0], pairs[1], others)

    @property
    def landmark_count(self) -> int:
        """How many landmarks the ellipse has."""
        return 4 + len(self.others)

    def points(self, landmarks: Tensor) -> Tensor:
        """Points (..., count, 2) of the outline for landmarks (..., n, 2); NaN where an end is missing.

        An ellipse that was stretched is one still, though its axes are no longer at right angles.
        """
        ends = landmarks[..., [*self.long_axis, *self.short_axis], :]
        first, second = ((ends[..., [end], :] - ends[..., [end - 1], :]) / 2 for end in (1, 3))
        angles = torch.arange(self.count).to(landmarks) * (2 * torch.pi / self.count)
        directions = torch.stack([angles.cos(), angles.sin()], -1)
        # Shares of the half-axes in the directions: their length is how much of the way to the outline one unit is.
        shares = (
            torch.stack([_area(directions, second), _area(first, directions)], -1) / _area(first, second)[..., None]
        )
        return ends.mean(-2, keepdim=True) + directions / shares.norm(dim=-1, keepdim=True)

    def landmarks(self, points: FloatArray) -> FloatArray:
        """Landmarks (..., n, 2) of the ellipses that fit points (..., m, 2) of their outlines best.

        The ends of the long axis are ordered by the last coordinate, those of the short one by the first. All lie in
        the middle of points that no ellipse fits.
        """
        found = np.empty((*points.shape[:-2], self.landmark_count, 2))
        for index in np.ndindex(points.shape[:-2]):
            centre, first, second = fitted_ellipse(points[index])
            first, second = first * (-1 if first[1] < 0 else 1), second * (-1 if second[0] < 0 else 1)
            found[index][list(self.long_axis)] = centre - first, centre + first
            found[index][list(self.short_axis)] = centre - second, centre + second
            found[index][list(self.others)] = centre
        return found


def _area(first: Tensor, second: Tensor) -> Tensor:
    """Signed area (...) of the parallelogram of vectors (..., 2)."""
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]


def fitted_ellipse(points: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Centre, long and short half-axis (2,) of the ellipse that fits points (m, 2) best.

    Least squares of the conic's equation under 4ac - b^2 = 1, in the form that is numerically stable [Halir and
    Flusser, Numerically stable direct least squares fitting of ellipses, WSCG 1998], repeated with less weight for
    points that lie farther from the ellipse than most. Points on a line have an ellipse without extent in their middle.
    """
    middle = points.mean(0)
    scale = np.abs(points - middle).max()
    if scale == 0:
        return middle, np.zeros(2), np.zeros(2)
    around_zero = (points - middle) / scale
    weights = np.ones(len(points))
    try:
        for _ in range(_ROUNDS):
            centre, first, second = _axes_of_conic(_fitted_conic(around_zero, weights))
            distances = _distances(centre, first, second, around_zero)
            weights = 1.0 / (1.0 + (distances / (_FAR * max(np.median(distances), _LEAST_SHARE))) ** 2)
    except np.linalg.LinAlgError:
        return middle, np.zeros(2), np.zeros(2)
    return middle + scale * centre, scale * first, scale * second


def _distances(centre: FloatArray, first: FloatArray, second: FloatArray, points: FloatArray) -> FloatArray:
    """Distances (m,) of points from an ellipse, along the lines from its centre."""
    offsets = points - centre
    reach = np.hypot(offsets @ first / (first @ first), offsets @ second / (second @ second))
    return np.linalg.norm(offsets, axis=1) * np.abs(1.0 - 1.0 / np.maximum(reach, _LEAST_SHARE))


def _fitted_conic(points: FloatArray, weights: FloatArray) -> FloatArray:
    """Coefficients (6,) of x^2, xy, y^2, x, y and 1."""
    x, y = points.T
    quadratic, linear = np.stack([x * x, x * y, y * y], 1), np.stack([x, y, np.ones_like(x)], 1)
    weighted = weights[:, None] * linear
    eliminated = -np.linalg.solve(weighted.T @ linear, weighted.T @ quadratic)
    reduced = (weights[:, None] * quadratic).T @ quadratic + (weighted.T @ quadratic).T @ eliminated
    _, vectors = np.linalg.eig(np.stack([reduced[2] / 2, -reduced[1], reduced[0] / 2]))
    vectors = vectors.real
    is_ellipse = 4 * vectors[0] * vectors[2] - vectors[1] ** 2 > 0
    if not is_ellipse.any():
        raise np.linalg.LinAlgError
    best = vectors[:, is_ellipse.argmax()]
    return np.concatenate([best, eliminated @ best])


def _axes_of_conic(conic: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Centre, long and short half-axis (2,) of an ellipse by its coefficients."""
    form = np.array([[conic[0], conic[1] / 2], [conic[1] / 2, conic[2]]])
    centre = np.linalg.solve(-2 * form, conic[3:5])
    level = -(conic[5] + conic[3:5] @ centre / 2)
    # The sign of all coefficients is open, and the smaller a quotient, the longer its axis.
    values, vectors = np.linalg.eigh(form / level)
    if values[0] <= 0:
        raise np.linalg.LinAlgError
    long_axis, short_axis = vectors.T / np.sqrt(values)[:, None]
    return centre, long_axis, short_axis
