"""How far a model is to be trusted, as cross-validation measured it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..geometry import FloatArray
from .record import FieldError

_UNUSUAL = 1.5
"""A radius larger than usual by this factor is unusual. Of the 150 landmarks of 30 spines that PIN found without having
seen them, 12 % were, and 67 % of these lay beyond the usual radius, but only 3 % of the others."""

_POSITIVE = ("radius90_mm", "usual_error_mm", "variance_scale")


@dataclass(frozen=True)
class Calibration:
    """Turns what a detector says of its own uncertainty into what held for cases that its model had not seen.

    A method's covariance says which detections are less sure than others, and too little of errors that all its guesses
    share. So the usual error joins its spread in quadrature: 90 % radii are proportional to the root of spread^2 +
    usual_error^2, and covariances to the sum of the covariance and usual_error^2, shared equally by all directions.

    Attributes:
        radius90_mm: by label, radius that held the truth in 90 % of the cases, for a detection of the usual spread. A
            label without a usual error has this radius whatever the spread.
        cases: how many were held out.
        method: how all this was found.
        usual_error_mm, usual_spread_mm: by label, medians over the cases.
        variance_scale: by label, factor of the sum of covariances with which its 90 % ellipsoid held the truth in 90 %.
        presence_weight, presence_bias: of the method's own evidence that a volume shows a landmark, in its logit.
    """

    radius90_mm: dict[str, float]
    cases: int
    method: str
    usual_error_mm: dict[str, float] = field(default_factory=dict)
    usual_spread_mm: dict[str, float] = field(default_factory=dict)
    variance_scale: dict[str, float] = field(default_factory=dict)
    presence_weight: float = 1.0
    presence_bias: float = 0.0

    def __post_init__(self) -> None:
        for name, values in self.by_label:
            for label, value in values.items():
                if value < 0 or (value == 0 and name in _POSITIVE):
                    path, problem = (
                        f"{name}.{label}",
                        "must be positive" if name in _POSITIVE else "must not be negative",
                    )
                    raise FieldError(path, problem)
        for name in ("usual_spread_mm", "variance_scale"):
            if set(getattr(self, name)) != set(self.usual_error_mm):
                raise FieldError(name, "must have the labels of usual_error_mm")

    @property
    def by_label(self) -> tuple[tuple[str, Mapping[str, float]], ...]:
        """Name and contents of everything that is known by label."""
        return tuple((name, getattr(self, name)) for name in (*_POSITIVE, "usual_spread_mm"))

    @property
    def radius90_range_mm(self) -> tuple[float, float] | None:
        """The smallest and the largest radius of any landmark; None if none is known."""
        radii_mm = self.radius90_mm.values()
        return (min(radii_mm), max(radii_mm)) if radii_mm else None

    def radius90_of(self, label: str, spread_mm: float) -> float | None:
        """Radius in millimetres that holds the truth with 90 % probability; None if it is not known."""
        radius_mm = self.radius90_mm.get(label)
        if radius_mm is None or label not in self.usual_error_mm:
            return radius_mm
        error_mm, usual_mm = self.usual_error_mm[label], self.usual_spread_mm[label]
        return radius_mm * float(np.hypot(spread_mm, error_mm) / np.hypot(usual_mm, error_mm))

    def is_unusual(self, label: str, spread_mm: float) -> bool:
        """Whether a detection of this spread is much less sure than the model's usual one; no if that is not known."""
        radius_mm = self.radius90_of(label, spread_mm)
        return radius_mm is not None and radius_mm > _UNUSUAL * self.radius90_mm[label]

    def covariance_of(self, label: str, covariance: FloatArray, axes: FloatArray) -> FloatArray:
        """Covariance (3, 3) whose ellipsoids hold the truth as often as they say; as it was if nothing is known.

        Args:
            label: of the landmark.
            covariance: the method's own, in square millimetres.
            axes: orthonormal directions (3, d) in which errors are possible: two for a picture.
        """
        if label not in self.variance_scale:
            return covariance
        shared = axes @ axes.T * self.usual_error_mm[label] ** 2 / axes.shape[1]
        return self.variance_scale[label] * (covariance + shared)
