"""Measurements that follow from landmarks: distances, angles and ellipse biometry, with propagated uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .errors import LandmarkDetectionError

MeasurementKind = Literal["distance", "angle", "ellipse_circumference"]

_LABEL_COUNTS: dict[str, tuple[int, ...]] = {"distance": (2,), "angle": (3, 4), "ellipse_circumference": (4,)}


@dataclass(frozen=True)
class MeasurementDefinition:
    """What is measured between which landmarks. Plain data: it is stored in the model card.

    Attributes:
        name: what the user calls it, for example "BPD".
        description: what it means.
        kind: "distance", of two landmarks; "angle" (0 to 180 degrees), at the second of three landmarks or between the
            directions from the first to the second and from the third to the fourth; "ellipse_circumference", of the
            ellipse whose one axis ends in the first two landmarks and whose other axis ends in the last two.
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
        if len(self.labels) not in _LABEL_COUNTS[self.kind] or (self.unit == "deg") != (self.kind == "angle"):
            counts = " or ".join(str(count) for count in _LABEL_COUNTS[self.kind])
            unit = "deg" if self.kind == "angle" else "mm"
            message = (
                f'Measurement "{self.name}": a measurement of kind "{self.kind}" needs {counts} landmarks '
                f'and the unit "{unit}"; correct the definition.'
            )
            raise LandmarkDetectionError(message)


@dataclass(frozen=True)
class Measurement:
    """A measured value and its standard deviation, None where the landmarks' uncertainty is not known."""

    name: str
    value: float
    sd: float | None
    unit: str
