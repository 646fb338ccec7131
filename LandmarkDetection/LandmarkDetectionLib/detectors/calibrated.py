"""What a detection says of itself: uncertainty as calibrated, and the probability that the volume shows a landmark."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from ..geometry import FloatArray
from ..landmarks import DetectedLandmark, Doubt
from ..models.calibration import Calibration
from ..volume import Volume
from .presence import probability_inside

_OPEN_PRESENCE = 0.1, 0.9
"""A presence between these leaves open whether the landmark is in the volume."""

_NOT_CALIBRATED = Calibration(radius90_mm={}, cases=0, method="")


def calibrated(
    landmarks: Sequence[DetectedLandmark], volume: Volume, calibration: Calibration | None
) -> tuple[DetectedLandmark, ...]:
    """Landmarks as a method found them, with calibrated covariance and radius, presence, the flag missing and doubts.

    Presence is the probability that the position, as uncertain as it is, lies in the volume, times the probability that
    the volume shows the landmark there as the method's evidence says. Below one half, the landmark is missing.

    Args:
        landmarks: label, position, covariance and evidence by the method.
        volume: in which they were found.
        calibration: of the model; None if it has none.
    """
    calibration = calibration or _NOT_CALIBRATED
    axes = volume.directions[:, np.array(volume.size) > 1]
    covariances = [calibration.covariance_of(mark.label, mark.covariance_ras, axes) for mark in landmarks]
    positions = np.array([mark.position_ras for mark in landmarks])
    presences = probability_inside(volume, positions, np.array(covariances)) * _shown(landmarks, calibration)
    return tuple(
        dataclasses.replace(
            mark,
            covariance_ras=covariance,
            presence=float(presence),
            missing=bool(presence < 0.5),
            radius90_mm=calibration.radius90_of(mark.label, mark.spread_mm),
            doubts=doubts_of(float(presence), is_unsure=calibration.is_unusual(mark.label, mark.spread_mm)),
        )
        for mark, covariance, presence in zip(landmarks, covariances, presences, strict=True)
    )


def doubts_of(presence: float, *, is_disputed: bool = False, is_unsure: bool = False) -> tuple[Doubt, ...]:
    """Why a person should look at a landmark: what is known of it, and whether its presence leaves it open."""
    is_open = _OPEN_PRESENCE[0] < presence < _OPEN_PRESENCE[1]
    reasons = {Doubt.DISAGREEMENT: is_disputed, Doubt.PRESENCE: is_open, Doubt.UNSURE: is_unsure}
    return tuple(doubt for doubt, holds in reasons.items() if holds)


def _shown(landmarks: Sequence[DetectedLandmark], calibration: Calibration) -> FloatArray:
    """Probability (n,) by the evidence alone; 1 without any."""
    logits = np.array([np.inf if mark.evidence is None else mark.evidence for mark in landmarks])
    weighted = np.where(np.isinf(logits), np.inf, calibration.presence_weight * logits + calibration.presence_bias)
    return torch.from_numpy(weighted).sigmoid().numpy()
