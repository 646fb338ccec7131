"""Measurements that follow from landmarks: distances, angles and ellipse biometry, with propagated uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from .errors import LandmarkDetectionError
from .geometry import FloatArray, angle_between_deg
from .landmarks import Detection, LandmarkSet
from .wording import missing_landmarks

MeasurementKind = Literal["distance", "angle", "angle_difference", "ellipse_circumference"]

_STEP_MM = 1e-3
"""Half the step of the numerical derivatives."""

_SHORTEST_MM = 1e-6
"""Two landmarks closer than this coincide."""

_LABEL_COUNTS: dict[str, tuple[int, ...]] = {
    "distance": (2,),
    "angle": (3, 4),
    "angle_difference": (4,),
    "ellipse_circumference": (4,),
}
_ANGLES = ("angle", "angle_difference")


@dataclass(frozen=True)
class MeasurementDefinition:
    """What is measured between which landmarks. Plain data: it is stored in the model card.

    Attributes:
        name: what the user calls it, for example "BPD".
        description: what it means.
        kind: "distance", of two landmarks; "angle" (0 to 180 degrees), at the second of three landmarks or between the
            directions from the first to the second and from the third to the fourth; "angle_difference", by which at
            the second landmark the angle from the first to the third is larger than that to the fourth;
            "ellipse_circumference", of the ellipse whose one axis ends in the first two landmarks and whose other axis
            ends in the last two.
        labels: the landmarks, in the order given above.
        unit: "mm" or, for an angle, "deg".

    Raises:
        LandmarkDetectionError: if the number of labels or the unit does not fit the kind.
    """

    name: str
    description: str
    kind: MeasurementKind
    labels: tuple[str, ...]
    unit: Literal["mm", "deg"]

    def __post_init__(self) -> None:
        if len(self.labels) not in _LABEL_COUNTS[self.kind] or (self.unit == "deg") != (self.kind in _ANGLES):
            counts = " or ".join(str(count) for count in _LABEL_COUNTS[self.kind])
            unit = "deg" if self.kind in _ANGLES else "mm"
            message = (
                f'Measurement "{self.name}": a measurement of kind "{self.kind}" needs {counts} landmarks '
                f'and the unit "{unit}"; correct the definition.'
            )
            raise LandmarkDetectionError(message)


@dataclass(frozen=True)
class Measurement:
    """A measured value and its standard deviation, None where the landmarks' uncertainty is not known.

    `to_review` are labels of its landmarks at which a person should look first: the deviation may be too small then.
    """

    name: str
    value: float
    sd: float | None
    unit: str
    to_review: tuple[str, ...] = ()


def measure(definition: MeasurementDefinition, detection: Detection) -> Measurement:
    """Measure on a detection, with the uncertainty of its landmarks: see `measure_landmarks`."""
    covariances_ras = {landmark.label: landmark.covariance_ras for landmark in detection.landmarks}
    measurement = measure_landmarks(definition, detection.landmark_set, covariances_ras)
    doubtful = [mark.label for mark in detection.landmarks if mark.needs_review and mark.label in definition.labels]
    return replace(measurement, to_review=tuple(doubtful))


def measure_landmarks(
    definition: MeasurementDefinition, landmarks: LandmarkSet, covariances_ras: Mapping[str, ArrayLike]
) -> Measurement:
    """Measure on landmarks, and propagate their covariances to the first order (J C J^T).

    The landmarks' errors are taken to be independent of each other. The first order is good as long as the landmarks'
    spread is small beside the distances between them, and an angle is not close to 0 or 180 degrees.

    Args:
        definition: what to measure.
        landmarks: positions by label.
        covariances_ras: (3, 3) in square millimetres by label. The measurement has no standard deviation if one of its
            landmarks is not in it.

    Raises:
        LandmarkDetectionError: if a landmark is missing, or two between which something is measured coincide.
    """
    missing = [label for label in definition.labels if landmarks.get(label) is None]
    if missing:
        message = f'Measurement "{definition.name}" needs {missing_landmarks(missing)} first.'
        raise LandmarkDetectionError(message)
    points = landmarks.to_array(definition.labels)
    if min(np.linalg.norm(segment) for segment in _segments(definition.kind, points)) < _SHORTEST_MM:
        message = f'Measurement "{definition.name}": two of its landmarks coincide; check their positions.'
        raise LandmarkDetectionError(message)
    sd = None
    if all(label in covariances_ras for label in definition.labels):
        gradient = _gradient(definition.kind, points)
        covariances = np.array([covariances_ras[label] for label in definition.labels])
        variance = np.einsum("na,nab,nb->", gradient, covariances, gradient)
        sd = float(np.sqrt(max(variance, 0.0)))
    return Measurement(definition.name, _value(definition.kind, points), sd, definition.unit)


def ellipse_circumference(first_axis: float, second_axis: float) -> float:
    """Circumference of the ellipse with these two (full) axes.

    Ramanujan's second approximation (Modular equations and approximations to pi, 1914): exact for a circle, within
    a billionth of the truth while the short axis is at least half the long one.
    """
    h = ((first_axis - second_axis) / (first_axis + second_axis)) ** 2
    return float(np.pi / 2 * (first_axis + second_axis) * (1 + 3 * h / (10 + np.sqrt(4 - 3 * h))))


def _segments(kind: MeasurementKind, points: FloatArray) -> tuple[FloatArray, ...]:
    """The directed segments (3,) that points (n, 3) span for a kind of measurement."""
    if kind == "angle_difference":
        return points[0] - points[1], points[2] - points[1], points[3] - points[1]
    if len(points) == 2:
        return (points[1] - points[0],)
    if len(points) == 3:
        return points[0] - points[1], points[2] - points[1]
    return points[1] - points[0], points[3] - points[2]


def _value(kind: MeasurementKind, points: FloatArray) -> float:
    segments = _segments(kind, points)
    if kind == "distance":
        return float(np.linalg.norm(segments[0]))
    if kind == "angle":
        return angle_between_deg(*segments)
    if kind == "angle_difference":
        arm, first, second = segments
        return angle_between_deg(arm, first) - angle_between_deg(arm, second)
    return ellipse_circumference(*(float(np.linalg.norm(axis)) for axis in segments))


def _gradient(kind: MeasurementKind, points: FloatArray) -> FloatArray:
    """Derivatives (n, 3) of the value with respect to points (n, 3), by central differences."""
    gradient = np.zeros_like(points)
    for index in np.ndindex(points.shape):
        step = np.zeros_like(points)
        step[index] = _STEP_MM
        gradient[index] = (_value(kind, points + step) - _value(kind, points - step)) / (2 * _STEP_MM)
    return gradient
