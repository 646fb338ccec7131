"""The interface of every detector: a volume in, a Detection out."""

from __future__ import annotations

import dataclasses
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import DetectionCancelled
from ..geometry import FloatArray, apply_affine
from ..landmarks import DetectedLandmark, Detection, LandmarkSet
from ..models.bundle import ModelBundle
from ..preprocessing import CanonicalVolume, Preprocessing, canonical_volume
from ..suitability import check_dimension, field_of_view_doubts
from ..volume import Volume
from .calibrated import calibrated
from .pose import PoseTemplate

ProgressCallback = Callable[[float, str], None]
CancelledCallback = Callable[[], bool]

_LARGEST_LOGIT = 30.0


@dataclass(frozen=True, eq=False)
class Located:
    """Where a method found the landmarks, in the model's frame.

    Attributes:
        positions_mm: (n, 3).
        covariances_mm2: (n, 3, 3).
        path_mm: (steps, n, 3), or None if the method does not iterate.
        presence_logits: (n,) the method's own evidence that each landmark is in the volume, or None if it has none.
    """

    positions_mm: FloatArray
    covariances_mm2: FloatArray
    path_mm: FloatArray | None = None
    presence_logits: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class _Look:
    """What was found with one window of intensities."""

    landmarks: tuple[DetectedLandmark, ...]
    path_ras: FloatArray | None


class Detector(ABC):
    """A model on a device. Subclasses implement `_locate`; all else is the same for every method.

    Args:
        bundle: the model.
        device: where to run.
    """

    inference_settings: ClassVar[type]
    """Dataclass of the method's settings in a card's `inference` object, each described in its docstring."""

    def __init__(self, bundle: ModelBundle, device: torch.device) -> None:
        self.bundle = bundle
        self.card = bundle.card
        self.device = device
        self._template = PoseTemplate.of(bundle)

    @abstractmethod
    def _locate(
        self,
        canonical: CanonicalVolume,
        progress: ProgressCallback,
        cancelled: CancelledCallback,
        generator: np.random.Generator,
    ) -> Located:
        """Find the landmarks in a canonical volume."""

    def detect(
        self,
        volume: Volume,
        *,
        progress: ProgressCallback | None = None,
        cancelled: CancelledCallback | None = None,
        seed: int = 0,
    ) -> Detection:
        """Find the model's landmarks in a volume. The same seed on the same device gives the same result.

        Args:
            volume: of the dimension and modality the model card names.
            progress: called with a fraction from 0 to 1 and a text.
            cancelled: asked between network calls.
            seed: of the random initialisations.

        Raises:
            LandmarkDetectionError: if the volume is constant or of the wrong dimension.
            DetectionCancelled: if `cancelled` returned true.
        """
        progress = progress or (lambda _fraction, _text: None)
        cancelled = cancelled or (lambda: False)
        started = time.perf_counter()
        check_dimension(volume, self.card)
        found = self._surest_look(volume, progress, cancelled, seed)
        progress(1.0, "Done")
        return Detection(
            landmarks=found.landmarks,
            model_name=self.card.name,
            model_version=self.card.version,
            weights_sha256=self.bundle.weights_sha256,
            device=str(self.device),
            seconds=time.perf_counter() - started,
            seed=seed,
            path_ras=found.path_ras,
            notes=field_of_view_doubts(volume, self.card),
        )

    def shape_space_error_mm(
        self,
        volume: Volume,  # noqa: ARG002 - methods without a shape space need neither
        landmarks: LandmarkSet,  # noqa: ARG002
    ) -> NDArray[np.float64] | None:
        """Error (n,) in millimetres that the model's restricted shape space alone causes; None if it has none.

        NaN where the truth is missing.
        """
        return None

    def _surest_look(
        self, volume: Volume, progress: ProgressCallback, cancelled: CancelledCallback, seed: int
    ) -> _Look:
        """The first look that misses no landmark; if none does so, that in which they seem present most."""
        progress(0.0, "Preparing the volume")
        motion = self._motion(volume)
        ways, looks = self.card.preprocessing.looks, []
        for number, preprocessing in enumerate(ways):

            def report(done: float, text: str, number: int = number) -> None:
                progress((number + done) / len(ways), text)

            canonical = _in_frame(volume, motion, preprocessing)
            if cancelled():
                raise DetectionCancelled
            located = self._locate(canonical, report, cancelled, np.random.default_rng(seed))
            path_ras = None if located.path_mm is None else apply_affine(canonical.frame_to_ras, located.path_mm)
            looks.append(_Look(self._landmarks(located, canonical, volume), path_ras))
            if not any(landmark.missing for landmark in looks[-1].landmarks):
                return looks[-1]
        return max(looks, key=lambda look: sum(landmark.presence for landmark in look.landmarks))

    def _canonical(self, volume: Volume) -> CanonicalVolume:
        """A volume in the model's frame, laid as the model's template lies if it has one."""
        return _in_frame(volume, self._motion(volume), self.card.preprocessing)

    def _motion(self, volume: Volume) -> FloatArray:
        """The 4x4 map of RAS space that lays a volume as the model's template lies; none moves it."""
        return np.eye(4) if self._template is None else self._template.pose_of(volume)

    def _landmarks(self, located: Located, canonical: CanonicalVolume, volume: Volume) -> tuple[DetectedLandmark, ...]:
        positions = apply_affine(canonical.frame_to_ras, located.positions_mm)
        rotation = canonical.frame_to_ras[:3, :3]
        covariances = rotation @ located.covariances_mm2 @ rotation.T
        logits = [None] * len(positions) if located.presence_logits is None else located.presence_logits
        found = [
            DetectedLandmark(
                definition.label, position, covariance, evidence=None if logit is None else _bounded(logit)
            )
            for definition, position, covariance, logit in zip(
                self.card.landmarks, positions, covariances, logits, strict=True
            )
        ]
        return calibrated(found, volume, self.card.calibration)


def _in_frame(volume: Volume, motion: FloatArray, preprocessing: Preprocessing) -> CanonicalVolume:
    """A volume after a map (4x4) of RAS space in a model's frame, which leads back to where it was."""
    canonical = canonical_volume(volume.moved(motion), preprocessing)
    return dataclasses.replace(canonical, frame_to_ras=np.linalg.inv(motion) @ canonical.frame_to_ras)


def _bounded(logit: float) -> float:
    """A logit that files can hold: beyond these, probabilities are 0 and 1 for all purposes."""
    return float(np.clip(logit, -_LARGEST_LOGIT, _LARGEST_LOGIT))
