"""What a landmark is, where a set of them lies, and what a detector says about each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike

from .errors import LandmarkDetectionError
from .geometry import FloatArray, apply_affine

MODELS_SEPARATOR = "+"
"""Between the names, versions and hashes of several models that made one detection."""


@dataclass(frozen=True)
class LandmarkDefinition:
    """The meaning of a landmark: its unique label, how an expert finds it, and the patient's side if it has one."""

    label: str
    description: str = ""
    side: str = ""
    """"left", "right" or empty."""


class LandmarkSet(Mapping[str, FloatArray | None]):
    """Positions by label: RAS millimetres (3,), or None where the landmark is missing. Keeps the order given.

    Raises:
        LandmarkDetectionError: if a position is not three finite numbers.

    Example:
        >>> points = LandmarkSet({"AC": (0.0, 2.0, -4.0), "PC": None})
        >>> points.present
        ('AC',)
    """

    def __init__(
        self, positions_ras: Mapping[str, ArrayLike | None], descriptions: Mapping[str, str] | None = None
    ) -> None:
        self._positions = {label: _parse_position(label, value) for label, value in positions_ras.items()}
        self.descriptions = dict(descriptions or {})

    @classmethod
    def from_array(cls, labels: Sequence[str], positions_ras: ArrayLike) -> LandmarkSet:
        """From labels (n,) and positions (n, 3), a row of NaN meaning missing."""
        rows = np.asarray(positions_ras, dtype=np.float64)
        pairs = zip(labels, rows, strict=True)
        return cls({label: None if np.isnan(row).all() else row for label, row in pairs})

    def __getitem__(self, label: str) -> FloatArray | None:
        return self._positions[label]

    def __iter__(self) -> Iterator[str]:
        return iter(self._positions)

    def __len__(self) -> int:
        return len(self._positions)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LandmarkSet):
            return NotImplemented
        return (
            list(self) == list(other)
            and np.array_equal(self.to_array(), other.to_array(), equal_nan=True)
            and self.descriptions == other.descriptions
        )

    __hash__ = None

    def __repr__(self) -> str:
        return f"LandmarkSet({self._positions!r})"

    @property
    def present(self) -> tuple[str, ...]:
        """Labels that have a position."""
        return tuple(label for label, position in self._positions.items() if position is not None)

    def to_array(self, labels: Sequence[str] | None = None) -> FloatArray:
        """Positions (n, 3) in the order of `labels` (default: all); NaN where missing or unknown."""
        labels = tuple(self) if labels is None else labels
        absent = np.full(3, np.nan)
        rows = [absent if self._positions.get(label) is None else self._positions[label] for label in labels]
        return np.array(rows).reshape(-1, 3)

    def transformed(self, matrix: ArrayLike) -> LandmarkSet:
        """Every position mapped by a 4x4 affine matrix."""
        moved = {k: None if p is None else apply_affine(matrix, p) for k, p in self._positions.items()}
        return LandmarkSet(moved, self.descriptions)


def _parse_position(label: str, value: ArrayLike | None) -> FloatArray | None:
    if value is None:
        return None
    try:
        position = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        position = np.array(np.nan)
    if position.shape != (3,) or not np.isfinite(position).all():
        message = f'Landmark "{label}": a position is three finite numbers, not {value}.'
        raise LandmarkDetectionError(message)
    return position


class Doubt(Enum):
    """Why a person should look at a detected landmark, the gravest first."""

    DISAGREEMENT = "models disagree"
    """Several models differ by more than their uncertainties allow."""
    PRESENCE = "may not be in the volume"
    """Its presence is neither near 0 nor near 1."""
    UNSURE = "less sure than usual"
    """Its calibrated radius is much larger than that of the model's usual detection."""


@dataclass(frozen=True, eq=False)
class DetectedLandmark:
    """What a detector says about one landmark.

    Attributes:
        label: the landmark's label.
        position_ras: best estimate (3,) in RAS millimetres, given even when the landmark is flagged missing.
        covariance_ras: (3, 3) in square millimetres.
        presence: probability in [0, 1] that the landmark lies in the volume.
        missing: whether it is flagged as not in the volume.
        radius90_mm: calibrated radius that holds the truth with 90 % probability; None if the model has no calibration.
        evidence: the method's own, from what the volume looks like there, that it shows the landmark: the logit of a
            probability before any calibration; None if the method has none.
        disagreement_mm: largest distance between the positions that several models gave; None if one gave it alone.
        doubts: why a person should look at it.
    """

    label: str
    position_ras: FloatArray
    covariance_ras: FloatArray
    presence: float = 1.0
    missing: bool = False
    radius90_mm: float | None = None
    evidence: float | None = None
    disagreement_mm: float | None = None
    doubts: tuple[Doubt, ...] = ()

    @property
    def needs_review(self) -> bool:
        """Whether a person should look at it before the others."""
        return bool(self.doubts)

    @property
    def spread_mm(self) -> float:
        """Standard deviation of the distance from the estimate: the root of the covariance's trace."""
        return float(np.sqrt(max(np.trace(self.covariance_ras), 0.0)))


@dataclass(frozen=True, eq=False)
class Detection:
    """What a detector returns for one volume.

    Attributes:
        landmarks: one entry per landmark of the model, in the model's order.
        model_name, model_version, weights_sha256: which model it was; of several, each joined by "+" in one order.
        device: the device really used, for example "cpu" or "cuda:0".
        seconds: wall time of the detection, reading excluded.
        seed: seed of the random initialisations.
        path_ras: positions (steps, n, 3) along the iterations, averaged over initialisations; None if not iterative.
        notes: sentences the user should read, such as a warning that the volume does not fit the model.
    """

    landmarks: tuple[DetectedLandmark, ...]
    model_name: str
    model_version: str
    weights_sha256: str
    device: str
    seconds: float
    seed: int = 0
    path_ras: FloatArray | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def model_names(self) -> tuple[str, ...]:
        """The name of every model that took part."""
        return tuple(self.model_name.split(MODELS_SEPARATOR))

    @property
    def models(self) -> tuple[tuple[str, str, str], ...]:
        """Name, version and SHA-256 of the weights of every model that took part."""
        joined = self.model_name, self.model_version, self.weights_sha256
        return tuple(zip(*(text.split(MODELS_SEPARATOR) for text in joined), strict=True))

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels in the model's order."""
        return tuple(landmark.label for landmark in self.landmarks)

    def __getitem__(self, label: str) -> DetectedLandmark:
        if label not in self.labels:
            raise KeyError(label)
        return self.landmarks[self.labels.index(label)]

    @property
    def is_calibrated(self) -> bool:
        """Whether its uncertainties were measured against errors; if not, they are the model's own guess."""
        return any(landmark.radius90_mm is not None for landmark in self.landmarks)

    @property
    def landmark_set(self) -> LandmarkSet:
        """Positions by label, None where a landmark is flagged missing."""
        return LandmarkSet({mark.label: None if mark.missing else mark.position_ras for mark in self.landmarks})

    @property
    def spread_mm(self) -> float:
        """The most uncertain landmark's spread: cases are reviewed in descending order of it."""
        return max((mark.spread_mm for mark in self.landmarks), default=0.0)
