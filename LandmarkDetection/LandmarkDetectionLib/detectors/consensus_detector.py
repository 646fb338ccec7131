"""ConsensusDetector: several models look at a volume one after the other and answer as one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, product

import numpy as np

from ..errors import DetectionCancelled
from ..geometry import FloatArray
from ..landmarks import DetectedLandmark, Detection, Doubt, LandmarkSet
from ..models.card import ModelCard
from ..models.joint_card import JointCard
from ..volume import Volume
from .base import CancelledCallback, Detector, ProgressCallback
from .calibrated import doubts_of
from .consensus import (
    Consensus,
    consensus_of,
    deviation_of_mean_error_mm,
    deviation_of_radius90_mm,
    largest_distance_mm,
    with_least_deviation,
)

_PRESENT = 0.5
"""Mean presence from which a landmark counts as being in the volume."""


@dataclass(frozen=True, eq=False)
class Opinion:
    """What one model says about a landmark.

    Attributes:
        mark: its answer.
        least_sd_mm: standard deviation along each axis below which its spread is not believed.
    """

    mark: DetectedLandmark
    least_sd_mm: float


class ConsensusDetector:
    """Several models of the same landmarks, used like the detector of one.

    A landmark that one model alone knows is taken as that model gives it. The detection names all models, and its
    version and its hash of the weights are those of all, joined in the same order.

    Args:
        detectors: of the models, two or more.

    Raises:
        LandmarkDetectionError: if the models do not belong together: see `JointCard.of`.
    """

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self.card = JointCard.of([detector.card for detector in detectors])
        self.device = detectors[0].device
        self._detectors = tuple(detectors)

    def detect(
        self,
        volume: Volume,
        *,
        progress: ProgressCallback | None = None,
        cancelled: CancelledCallback | None = None,
        seed: int = 0,
    ) -> Detection:
        """Find the landmarks that any of the models knows; arguments and errors are those of `Detector.detect`."""
        started = time.perf_counter()
        detections = []
        for index, detector in enumerate(self._detectors):
            if cancelled is not None and cancelled():
                raise DetectionCancelled
            share = None if progress is None else self._share(progress, index)
            detections.append(detector.detect(volume, progress=share, cancelled=cancelled, seed=seed))
        opinions = self._opinions(detections)
        landmarks = tuple(fused_landmark(one, _axes_of(volume)) for one in opinions)
        return Detection(
            landmarks=landmarks,
            model_name=self.card.name,
            model_version=self.card.version,
            weights_sha256=self.card.weights_sha256,
            device=str(self.device),
            seconds=time.perf_counter() - started,
            seed=seed,
            notes=(
                *dict.fromkeys(chain.from_iterable(one.notes for one in detections)),
                *_calls_for_review(landmarks, opinions),
            ),
        )

    def shape_space_error_mm(self, volume: Volume, landmarks: LandmarkSet) -> None:
        """None: several models have no shape space in common."""

    def _share(self, progress: ProgressCallback, index: int) -> ProgressCallback:
        """Progress of one model, as its part of the whole."""
        name, count = self._detectors[index].card.name, len(self._detectors)
        return lambda fraction, text: progress((index + fraction) / count, f"{name}: {text}")

    def _opinions(self, detections: Sequence[Detection]) -> list[list[Opinion]]:
        """For each landmark of the card, what the models that know it say."""
        answers = with_ends_agreed(detections, self.card.interchangeable)
        cards = [detector.card for detector in self._detectors]
        opinions: dict[str, list[Opinion]] = {label: [] for label in self.card.labels}
        for card, marks in zip(cards, answers, strict=True):
            for label, mark in marks.items():
                opinions[label].append(Opinion(mark, _least_sd_mm(mark, card)))
        return list(opinions.values())


AnyDetector = Detector | ConsensusDetector


def fused_landmark(opinions: Sequence[Opinion], axes: FloatArray) -> DetectedLandmark:
    """One landmark as one or more models see it, with doubts where they disagree.

    The presence is the mean of theirs (of probabilities, not of logits: a method without evidence says 0 or 1). Only
    models that share the verdict on it, present or missing, say where. The 90 % radius is the smallest ball around the
    fused position that holds the whole ball of every model that agrees with it, of all models if no majority agrees:
    never too small where one of theirs is right, and larger than need be. Where all are less sure than usual,
    so is the consensus; one that is sure suffices.

    Args:
        opinions: one a model.
        axes: orthonormal columns (3, d): the directions in which positions may differ.
    """
    if len(opinions) == 1:
        return opinions[0].mark
    presence = float(np.mean([opinion.mark.presence for opinion in opinions]))
    is_missing = presence < _PRESENT
    placing = [opinion for opinion in opinions if opinion.mark.missing == is_missing] or list(opinions)
    marks = [opinion.mark for opinion in placing]
    positions = np.array([mark.position_ras for mark in marks])
    covariances = [with_least_deviation(axes.T @ one.mark.covariance_ras @ axes, one.least_sd_mm) for one in placing]
    centre = positions.mean(0)
    consensus = consensus_of((positions - centre) @ axes, np.array(covariances))
    position = centre + axes @ consensus.position
    return DetectedLandmark(
        label=marks[0].label,
        position_ras=position,
        covariance_ras=axes @ consensus.covariance @ axes.T,
        presence=presence,
        missing=is_missing,
        radius90_mm=_radius90_mm(marks, position, consensus),
        disagreement_mm=largest_distance_mm(positions) if len(marks) > 1 else None,
        doubts=doubts_of(
            presence,
            is_disputed=_is_disputed(opinions) or not (is_missing or bool(consensus.agrees.all())),
            is_unsure=all(Doubt.UNSURE in mark.doubts for mark in marks),
        ),
    )


def with_ends_agreed(
    detections: Sequence[Detection], interchangeable: Iterable[tuple[str, str]]
) -> list[dict[str, DetectedLandmark]]:
    """Answers by label, one mapping a detection, with the ends of each pair named so that the models come closest.

    Else one model's first end would be fused with another's second, halfway between. The first model keeps its names.
    """
    answers = [{mark.label: mark for mark in detection.landmarks} for detection in detections]
    for first, second in interchangeable:
        knowing = [marks for marks in answers if first in marks and second in marks]
        ends = np.array([[marks[first].position_ras, marks[second].position_ras] for marks in knowing])
        for marks, is_swapped in zip(knowing, _best_swaps(ends), strict=True):
            if is_swapped:
                swapped = replace(marks[second], label=first), replace(marks[first], label=second)
                marks[first], marks[second] = swapped
    return answers


def _best_swaps(ends: FloatArray) -> tuple[bool, ...]:
    """Which of the pairs of ends (m, 2, 3) to swap, never the first, for the least sum of distances between models."""

    def distances_mm(swaps: tuple[bool, ...]) -> float:
        ordered = np.where(np.array(swaps)[:, None, None], ends[:, ::-1], ends)
        return float(np.linalg.norm(ordered[:, None] - ordered, axis=-1).sum())

    return min((swaps for swaps in product((False, True), repeat=len(ends)) if not any(swaps[:1])), key=distances_mm)


def _axes_of(volume: Volume) -> FloatArray:
    """Orthonormal columns (3, d) that span a volume's space or a picture's plane."""
    directions = volume.directions
    if volume.dimension == 2:
        directions = np.delete(directions, int(np.argmin(volume.size)), axis=1)
    return np.linalg.qr(directions)[0]


def _least_sd_mm(mark: DetectedLandmark, card: ModelCard) -> float:
    """What a model's calibration says, else its largest measured mean error, else the size of the voxels it sees."""
    if mark.radius90_mm is not None:
        return deviation_of_radius90_mm(mark.radius90_mm, card.dimension)
    if card.accuracy:
        return deviation_of_mean_error_mm(max(accuracy.mre_mm for accuracy in card.accuracy), card.dimension)
    return max(card.preprocessing.spacing_mm)


def _radius90_mm(marks: Sequence[DetectedLandmark], position: FloatArray, consensus: Consensus) -> float | None:
    """None if no model that counts is calibrated."""
    counts = consensus.agrees if consensus.agrees.any() else np.ones(len(marks), dtype=bool)
    reaches = [
        mark.radius90_mm + float(np.linalg.norm(mark.position_ras - position))
        for mark, is_counted in zip(marks, counts, strict=True)
        if is_counted and mark.radius90_mm is not None
    ]
    return max(reaches, default=None)


def _is_disputed(opinions: Sequence[Opinion]) -> bool:
    """Whether a landmark is missing to some and not to others."""
    return len({opinion.mark.missing for opinion in opinions}) > 1


def _calls_for_review(landmarks: Sequence[DetectedLandmark], opinions: Sequence[Sequence[Opinion]]) -> Iterator[str]:
    """A sentence that names the landmarks that some models found and others did not, and one on those found apart."""
    disputed = [mark.label for mark, of_mark in zip(landmarks, opinions, strict=True) if _is_disputed(of_mark)]
    apart = [
        f"{mark.label} ({mark.disagreement_mm:.1f} mm apart)"
        for mark in landmarks
        if Doubt.DISAGREEMENT in mark.doubts and mark.label not in disputed
    ]
    if disputed:
        yield f"The models disagree on whether the image shows these landmarks: {', '.join(disputed)}. Check them."
    if apart:
        yield f"The models disagree on where these landmarks lie: {', '.join(apart)}. Check them."
