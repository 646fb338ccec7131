"""A random fetal head of 20 to 24 weeks: its measurements, its pose, and where its ten landmarks lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..geometry import FloatArray, rotation_matrix
from ..landmarks import LandmarkDefinition, LandmarkSet

PHANTOM_LANDMARKS = (
    LandmarkDefinition("centerHead", "On the midline echo, half way between frontHead and backHead"),
    LandmarkDefinition("frontHead", "Outer border of the frontal skull on the midline, in the transventricular plane"),
    LandmarkDefinition("backHead", "Outer border of the occipital skull on the midline, in the transventricular plane"),
    LandmarkDefinition(
        "rightHead", "Outer border of the right skull at its widest, in the transventricular plane", "right"
    ),
    LandmarkDefinition(
        "leftHead", "Outer border of the left skull at its widest, in the transventricular plane", "left"
    ),
    LandmarkDefinition(
        "rightVentInner", "Medial wall of the right lateral ventricle at the atrium, where it is widest", "right"
    ),
    LandmarkDefinition(
        "rightVentOuter", "Lateral wall of the right lateral ventricle at the atrium, where it is widest", "right"
    ),
    LandmarkDefinition("rightCerebellar", "Lateral tip of the right cerebellar hemisphere", "right"),
    LandmarkDefinition("leftCerebellar", "Lateral tip of the left cerebellar hemisphere", "left"),
    LandmarkDefinition("CSP", "Centre of the cavum septi pellucidi"),
)
MAXIMUM_ROTATION_DEG = 20.0
"""About each of the right, anterior and superior axes; uniform in plus or minus."""
MAXIMUM_SHIFT_MM = 15.0
"""Along each axis; uniform in plus or minus."""


@dataclass(frozen=True)
class Ventricle:
    """A lateral ventricle: a curved tube along the front-back direction, widest at the atrium.

    Attributes:
        side: 1 for right, -1 for left.
        atrium_x_mm, atrium_y_mm: the axis at the atrium, x measured from the midline towards the side.
        width_mm: atrial width, perpendicular to the axis.
        slope, curvature_per_mm: how x changes with y along the axis.
        rise: how z changes with y along the axis.
        front_mm, back_mm: length in front of and behind the atrium.
    """

    side: int
    atrium_x_mm: float
    atrium_y_mm: float
    width_mm: float
    slope: float
    curvature_per_mm: float
    rise: float
    front_mm: float
    back_mm: float


@dataclass(frozen=True, eq=False)
class Cerebellum:
    """Two hemispheres, half ellipsoids that meet at the vermis.

    Attributes:
        centre_mm: (3,) between the hemispheres, in head coordinates.
        axes: (3, 3), columns are the directions right, front and top of the cerebellum in head coordinates.
        right_mm, left_mm: from the centre to the lateral tips; their sum is the transcerebellar diameter.
        depth_mm, height_mm: half sizes of a hemisphere along front and top.
    """

    centre_mm: FloatArray
    axes: FloatArray
    right_mm: float
    left_mm: float
    depth_mm: float
    height_mm: float


@dataclass(frozen=True, eq=False)
class Head:
    """A fetal head in head coordinates: x right, y front, z top, millimetres; z = 0 is the transventricular plane.

    The skull's outer border is (x/width)^2 + (y/length)^2 + (z/height)^2 = 1, where each half size depends on the sign
    of its coordinate and the width also changes linearly from front to back (`taper_*`).

    Attributes:
        weeks: gestational age.
        right_mm, left_mm: half widths at y = 0; taper_right, taper_left: their relative loss towards the front.
        front_mm, back_mm, top_mm, base_mm: half sizes.
        skull_mm: thickness of the skull.
        midline_bow_mm: how far the midline deviates to the right at y = 0.
        csp_y_mm: centre of the cavum septi pellucidi on the midline; csp_size_mm (3,) its width, length and height.
        ventricles: right and left.
        head_to_ras: 4x4, the pose.
    """

    weeks: float
    right_mm: float
    left_mm: float
    taper_right: float
    taper_left: float
    front_mm: float
    back_mm: float
    top_mm: float
    base_mm: float
    skull_mm: float
    midline_bow_mm: float
    csp_y_mm: float
    csp_size_mm: FloatArray
    ventricles: tuple[Ventricle, Ventricle]
    cerebellum: Cerebellum
    head_to_ras: FloatArray

    def midline_x_mm(self, y_mm: FloatArray | float) -> FloatArray | float:
        """Where the midline lies at a front-back position: on x = 0 at both ends of the head."""
        return self.midline_bow_mm * (1.0 - (y_mm / np.where(y_mm > 0, self.front_mm, self.back_mm)) ** 2)

    def landmarks(self) -> LandmarkSet:
        """The ten landmarks, RAS millimetres."""
        centre_y = (self.front_mm - self.back_mm) / 2
        inner, outer = _atrium_walls(self, self.ventricles[0])
        cerebellum = self.cerebellum
        positions = {
            "centerHead": (self.midline_x_mm(centre_y), centre_y, 0.0),
            "frontHead": (0.0, self.front_mm, 0.0),
            "backHead": (0.0, -self.back_mm, 0.0),
            "rightHead": _widest_point(self.right_mm, self.taper_right, self.back_mm),
            "leftHead": _widest_point(-self.left_mm, self.taper_left, self.back_mm),
            "rightVentInner": inner,
            "rightVentOuter": outer,
            "rightCerebellar": cerebellum.centre_mm + cerebellum.axes[:, 0] * cerebellum.right_mm,
            "leftCerebellar": cerebellum.centre_mm - cerebellum.axes[:, 0] * cerebellum.left_mm,
            "CSP": (self.midline_x_mm(self.csp_y_mm), self.csp_y_mm, 0.0),
        }
        descriptions = {definition.label: definition.description for definition in PHANTOM_LANDMARKS}
        return LandmarkSet(positions, descriptions).transformed(self.head_to_ras)


def random_head(seed: int) -> Head:
    """The head of a seed. Gestational age is uniform in 20 to 24 weeks; the sources of its sizes are in the package."""
    random = np.random.default_rng([seed, 0])
    weeks = random.uniform(20.0, 24.0)
    biparietal = _normal(random, 47.9 + 2.9 * (weeks - 20), 1.9)
    occipitofrontal = _normal(random, 61.5 + 3.4 * (weeks - 20), 2.0)
    asymmetry = _normal(random, 0.0, 0.012)
    taper_right, taper_left = (float(random.uniform(0.04, 0.16)) for _ in range(2))
    front = occipitofrontal * _normal(random, 0.5, 0.012)
    csp_size = np.array([random.uniform(3.0, 5.0), random.uniform(8.0, 11.0), random.uniform(6.0, 8.0)])
    csp_y = _normal(random, 0.40, 0.04) * front
    bow = _normal(random, 0.0, 0.6)
    return Head(
        weeks=weeks,
        right_mm=biparietal * (0.5 + asymmetry) / _relative_width(taper_right)[1],
        left_mm=biparietal * (0.5 - asymmetry) / _relative_width(taper_left)[1],
        taper_right=taper_right,
        taper_left=taper_left,
        front_mm=front,
        back_mm=occipitofrontal - front,
        top_mm=biparietal * _normal(random, 0.47, 0.02),
        base_mm=biparietal * _normal(random, 0.45, 0.02),
        skull_mm=float(random.uniform(1.4, 2.2)),
        midline_bow_mm=bow,
        csp_y_mm=csp_y,
        csp_size_mm=csp_size,
        ventricles=(
            _random_ventricle(random, 1, biparietal, occipitofrontal),
            _random_ventricle(random, -1, biparietal, occipitofrontal),
        ),
        cerebellum=_random_cerebellum(random, weeks, csp_y, occipitofrontal),
        head_to_ras=_random_pose(random),
    )


def _normal(random: np.random.Generator, mean: float, deviation: float) -> float:
    """A normal number cut at two standard deviations, as biometry charts cover it."""
    return mean + deviation * float(np.clip(random.standard_normal(), -2.0, 2.0))


def _random_ventricle(random: np.random.Generator, side: int, biparietal: float, occipitofrontal: float) -> Ventricle:
    return Ventricle(
        side=side,
        atrium_x_mm=biparietal * _normal(random, 0.205, 0.012),
        atrium_y_mm=-occipitofrontal * _normal(random, 0.175, 0.02),
        width_mm=_normal(random, 6.5, 0.6),
        slope=_normal(random, -0.10, 0.05),
        curvature_per_mm=_normal(random, -0.005, 0.001),
        rise=_normal(random, 0.0, 0.06),
        front_mm=occipitofrontal * _normal(random, 0.36, 0.02),
        back_mm=occipitofrontal * _normal(random, 0.14, 0.02),
    )


def _random_cerebellum(random: np.random.Generator, weeks: float, csp_y: float, occipitofrontal: float) -> Cerebellum:
    """On the transcerebellar plane, which passes through the CSP and falls backwards by 15 to 30 degrees."""
    tilt = rotation_matrix((1.0, 0.0, 0.0), float(random.uniform(15.0, 30.0)))
    distance = occipitofrontal * _normal(random, 0.44, 0.02)
    centre = np.array([_normal(random, 0.0, 0.5), csp_y, 0.0]) - tilt[:, 1] * distance
    yaw = rotation_matrix((0.0, 0.0, 1.0), _normal(random, 0.0, 3.0))
    roll = rotation_matrix((0.0, 1.0, 0.0), _normal(random, 0.0, 3.0))
    diameter = _normal(random, 20.4 + 1.15 * (weeks - 20), 0.7)
    right = diameter * _normal(random, 0.5, 0.015)
    depth, height = diameter * _normal(random, 0.23, 0.015), diameter * _normal(random, 0.24, 0.015)
    return Cerebellum(centre, tilt @ roll @ yaw, right, diameter - right, depth, height)


def _random_pose(random: np.random.Generator) -> FloatArray:
    head_to_ras = np.eye(4)
    for axis in np.eye(3):
        angle_deg = float(random.uniform(-MAXIMUM_ROTATION_DEG, MAXIMUM_ROTATION_DEG))
        head_to_ras[:3, :3] = rotation_matrix(axis, angle_deg) @ head_to_ras[:3, :3]
    head_to_ras[:3, 3] = random.uniform(-MAXIMUM_SHIFT_MM, MAXIMUM_SHIFT_MM, 3)
    return head_to_ras


def _relative_width(taper: float) -> tuple[float, float]:
    """Where (1 - taper t) sqrt(1 - t^2) is largest, and its value there: its derivative is 2 taper t^2 - t - taper."""
    position = (1.0 - np.sqrt(1.0 + 8.0 * taper**2)) / (4.0 * taper)
    return position, (1.0 - taper * position) * np.sqrt(1.0 - position**2)


def _widest_point(half_width: float, taper: float, back_mm: float) -> tuple[float, float, float]:
    position, value = _relative_width(taper)
    return half_width * value, position * back_mm, 0.0


def _atrium_walls(head: Head, ventricle: Ventricle) -> tuple[FloatArray, FloatArray]:
    y = ventricle.atrium_y_mm
    centre = np.array([head.midline_x_mm(y) + ventricle.side * ventricle.atrium_x_mm, y, 0.0])
    across = np.array([ventricle.side, -ventricle.slope, 0.0]) / np.hypot(1.0, ventricle.slope)
    return centre - across * ventricle.width_mm / 2, centre + across * ventricle.width_mm / 2
