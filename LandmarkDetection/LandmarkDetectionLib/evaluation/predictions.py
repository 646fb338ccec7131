"""Where predictions come from: a model that looks at each volume, or a folder of files made earlier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..errors import LandmarkDetectionError
from ..files.markups import MARKUPS_SUFFIXES, read_markups
from ..files.results import DETECTION_SUFFIX, read_detection
from ..geometry import FloatArray
from ..landmarks import Detection, LandmarkSet
from ..measurements import MeasurementDefinition
from ..planes import PlaneDefinition
from ..volume import Volume

if TYPE_CHECKING:
    from ..detectors.consensus_detector import AnyDetector
    from ..models.joint_card import AnyCard


@dataclass(frozen=True, eq=False)
class Prediction:
    """What is compared with the truth of one case.

    Attributes:
        positions: best estimates, of landmarks flagged missing too.
        flagged: labels flagged missing.
        seconds: time the detection took, None if not known.
        covariances_ras: (3, 3) in square millimetres, by label.
        presence: probability that the landmark lies in the volume, by label.
        radius90_mm: calibrated radius, by label.
            A label is in none of the three if the prediction does not say.
    """

    positions: LandmarkSet
    flagged: tuple[str, ...] = ()
    seconds: float | None = None
    covariances_ras: Mapping[str, FloatArray] = field(default_factory=dict)
    presence: Mapping[str, float] = field(default_factory=dict)
    radius90_mm: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_detection(cls, detection: Detection) -> Prediction:
        """The best estimates of a detection, and how sure it is of them."""
        marks = detection.landmarks
        return cls(
            positions=LandmarkSet({mark.label: mark.position_ras for mark in marks}),
            flagged=tuple(mark.label for mark in marks if mark.missing),
            seconds=detection.seconds,
            covariances_ras={mark.label: mark.covariance_ras for mark in marks},
            presence={mark.label: mark.presence for mark in marks},
            radius90_mm={mark.label: mark.radius90_mm for mark in marks if mark.radius90_mm is not None},
        )

    @classmethod
    def from_landmarks(cls, landmarks: LandmarkSet) -> Prediction:
        """Positions alone: a landmark that is missing from them has no best estimate."""
        return cls(landmarks, tuple(label for label in landmarks if landmarks[label] is None))


@dataclass(frozen=True)
class PredictorIdentity:
    """Which model was evaluated; empty where it is not known."""

    name: str
    version: str = ""
    weights_sha256: str = ""


class Predictor(Protocol):
    """One prediction a case."""

    planes: Sequence[PlaneDefinition]
    measurements: Sequence[MeasurementDefinition]

    def identity(self) -> PredictorIdentity:
        """Which model it is."""

    def known_labels(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Those labels that it can be asked for."""

    def predict(self, case_name: str, volume: Volume, /) -> Prediction:
        """The prediction of a case; raises LandmarkDetectionError if there is none."""

    def shape_space_error_mm(self, volume: Volume, truth: LandmarkSet, /) -> FloatArray | None:
        """Errors (n,) that a restricted shape space alone causes, None if it has none."""


class ModelPredictor:
    """A detector, run on every volume with the same seed."""

    def __init__(self, detector: AnyDetector, seed: int) -> None:
        self._detector = detector
        self._seed = seed
        self._card = detector.card
        self.planes = self._card.planes
        self.measurements = self._card.measurements

    def identity(self) -> PredictorIdentity:
        return PredictorIdentity(self._card.name, self._card.version, self._card.weights_sha256)

    def known_labels(self, labels: Sequence[str]) -> tuple[str, ...]:
        return tuple(label for label in labels if label in self._card.labels)

    def predict(self, _case_name: str, volume: Volume, /) -> Prediction:
        return Prediction.from_detection(self._detector.detect(volume, seed=self._seed))

    def shape_space_error_mm(self, volume: Volume, truth: LandmarkSet, /) -> FloatArray | None:
        return self._detector.shape_space_error_mm(volume, truth)


class HeldPredictor:
    """Detections made earlier and still in memory, by case name."""

    def __init__(self, detections: Mapping[str, Detection], card: AnyCard) -> None:
        self._detections = detections
        self._card = card
        self.planes = card.planes
        self.measurements = card.measurements

    def identity(self) -> PredictorIdentity:
        hashes = {detection.weights_sha256 for detection in self._detections.values()}
        return PredictorIdentity(self._card.name, self._card.version, hashes.pop() if len(hashes) == 1 else "")

    def known_labels(self, labels: Sequence[str]) -> tuple[str, ...]:
        return tuple(label for label in labels if label in self._card.labels)

    def predict(self, case_name: str, _volume: Volume, /) -> Prediction:
        if case_name not in self._detections:
            message = f"There is no detection for the case {case_name}: detect it first."
            raise LandmarkDetectionError(message)
        return Prediction.from_detection(self._detections[case_name])

    def shape_space_error_mm(self, _volume: Volume, _truth: LandmarkSet, /) -> FloatArray | None:
        return None


class FolderPredictor:
    """A folder with <case>.detection.json (best estimates of missing landmarks included), .mrk.json or .fcsv files.

    Raises:
        LandmarkDetectionError: if there is no such folder.
    """

    planes: Sequence[PlaneDefinition] = ()
    measurements: Sequence[MeasurementDefinition] = ()

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            message = f"There is no folder of predictions at {folder}: give the output folder of a detection run."
            raise LandmarkDetectionError(message)
        self._folder = folder

    def identity(self) -> PredictorIdentity:
        first = next(iter(sorted(self._folder.glob(f"*{DETECTION_SUFFIX}"))), None)
        if first is None:
            return PredictorIdentity(self._folder.resolve().name)
        detection = read_detection(first)
        return PredictorIdentity(detection.model_name, detection.model_version, detection.weights_sha256)

    def known_labels(self, labels: Sequence[str]) -> tuple[str, ...]:
        return tuple(labels)

    def predict(self, case_name: str, _volume: Volume, /) -> Prediction:
        whole = self._folder / f"{case_name}{DETECTION_SUFFIX}"
        if whole.is_file():
            return Prediction.from_detection(read_detection(whole))
        for suffix in MARKUPS_SUFFIXES:
            path = self._folder / f"{case_name}{suffix}"
            if path.is_file():
                return Prediction.from_landmarks(read_markups(path))
        message = f"{self._folder} holds no prediction for the case {case_name}: detect it first."
        raise LandmarkDetectionError(message)

    def shape_space_error_mm(self, _volume: Volume, _truth: LandmarkSet, /) -> FloatArray | None:
        return None
