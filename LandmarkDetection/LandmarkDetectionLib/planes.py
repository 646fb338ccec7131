"""Standard planes: their definitions, which are data of the model card, and the planes that landmarks put in space."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np

from .errors import LandmarkDetectionError
from .geometry import FloatArray, angle_between_deg, fit_line, fit_plane, rotation_matrix
from .landmarks import LandmarkSet
from .wording import missing_landmarks

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


@dataclass(frozen=True, eq=False)
class StandardPlane:
    """A plane in space with a picture on it. Its axes are unit vectors, right-handed: normal = x_axis x y_axis.

    The picture is drawn with x to the right and y down, so the normal points away from the viewer.

    Attributes:
        name: name of its definition.
        origin_ras: centre (3,) of the picture.
        x_axis, y_axis, normal: directions (3,) in RAS.
        size_mm: width (along x) and height (along y) of the picture.
    """

    name: str
    origin_ras: FloatArray
    x_axis: FloatArray
    y_axis: FloatArray
    normal: FloatArray
    size_mm: tuple[float, float]

    @property
    def plane_to_ras(self) -> FloatArray:
        """4x4 matrix from millimetres along (x, y, normal) to RAS."""
        matrix = np.eye(4)
        matrix[:3] = np.column_stack((self.x_axis, self.y_axis, self.normal, self.origin_ras))
        return matrix


def standard_plane(definition: PlaneDefinition, landmarks: LandmarkSet) -> StandardPlane:
    """The plane that landmarks define.

    Raises:
        LandmarkDetectionError: if a landmark is missing, or the landmarks lie on one line or coincide.
    """
    missing = [label for label in definition.labels if landmarks.get(label) is None]
    if missing:
        message = f'Plane "{definition.name}" needs {missing_landmarks(missing)} first.'
        raise LandmarkDetectionError(message)
    fit_points = _means(definition.fit, landmarks)
    extent_mm, breadth_mm = _spreads_mm(fit_points)[:2]
    if breadth_mm <= max(_RELATIVE_TOLERANCE * extent_mm, _ABSOLUTE_TOLERANCE_MM):
        message = (
            f'Plane "{definition.name}": its landmarks lie on one line, which defines no plane; check their positions.'
        )
        raise LandmarkDetectionError(message)
    centroid, normal = fit_plane(fit_points)
    normal = _with_sense(normal, definition.normal_towards, np.cross(*(fit_points[1:3] - fit_points[0])))

    axis_points = _projected(_means(definition.axis, landmarks), centroid, normal)
    if _spreads_mm(axis_points)[0] <= max(_RELATIVE_TOLERANCE * extent_mm, _ABSOLUTE_TOLERANCE_MM):
        message = (
            f'Plane "{definition.name}": the landmarks of its x axis fall on one point of it; check their positions.'
        )
        raise LandmarkDetectionError(message)
    x_axis = _with_sense(fit_line(axis_points)[1], definition.x_towards, axis_points[-1] - axis_points[0])

    origin = _projected(_means(definition.origin, landmarks).mean(axis=0), centroid, normal)
    return StandardPlane(definition.name, origin, x_axis, np.cross(normal, x_axis), normal, definition.size_mm)


@dataclass(frozen=True)
class PlaneErrors:
    """How far a predicted plane lies from the true one.

    Attributes:
        offset_mm: distance of the true origin from the predicted plane.
        origin_distance_mm: distance between the two origins.
        normal_angle_deg: angle between the two normals, 0 to 180; a flipped normal counts as 180.
        in_plane_angle_deg: angle between the two x axes, 0 to 180, once the smallest rotation has brought the predicted
            normal onto the true one (exactly opposite normals: a half turn about the predicted x axis).
    """

    offset_mm: float
    origin_distance_mm: float
    normal_angle_deg: float
    in_plane_angle_deg: float


def plane_errors(predicted: StandardPlane, truth: StandardPlane) -> PlaneErrors:
    """Compare a predicted plane with the true one."""
    between_origins = truth.origin_ras - predicted.origin_ras
    normal_angle_deg = angle_between_deg(predicted.normal, truth.normal)
    hinge = np.cross(predicted.normal, truth.normal)
    if np.linalg.norm(hinge) < 1e-12:
        hinge = predicted.x_axis
    turned_x_axis = rotation_matrix(hinge, normal_angle_deg) @ predicted.x_axis
    return PlaneErrors(
        offset_mm=float(abs(between_origins @ predicted.normal)),
        origin_distance_mm=float(np.linalg.norm(between_origins)),
        normal_angle_deg=normal_angle_deg,
        in_plane_angle_deg=angle_between_deg(turned_x_axis, truth.x_axis),
    )


def _means(points: tuple[Point, ...], landmarks: LandmarkSet) -> FloatArray:
    """Positions (n, 3) of n points."""
    return np.array([landmarks.to_array(labels).mean(axis=0) for labels in points])


def _spreads_mm(points: FloatArray) -> FloatArray:
    """How far points (n, 3) spread along their principal axes, widest first."""
    return np.linalg.svd(points - points.mean(axis=0), compute_uv=False)


def _projected(points: FloatArray, centroid: FloatArray, normal: FloatArray) -> FloatArray:
    return points - ((points - centroid) @ normal)[..., np.newaxis] * normal


def _with_sense(direction: FloatArray, sense: Sense, points_order: FloatArray) -> FloatArray:
    wanted = points_order if sense == "order" else _DIRECTIONS_RAS[sense]
    return -direction if direction @ wanted < 0 else direction
