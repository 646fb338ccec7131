"""Where the landmarks of cases lie in a model's frame, as they are: without augmentation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..detectors.several_estimates import with_ends_matched
from ..geometry import FloatArray, apply_affine
from ..models.card import ModelCard
from ..preprocessing import CanonicalVolume, canonical_volume
from .cases import TrainingCase


def frame_positions_mm(cases: Sequence[TrainingCase], card: ModelCard) -> FloatArray:
    """Positions (cases, n, 3) in frame millimetres, NaN where missing.

    The ends of interchangeable pairs are those of the first case that lie nearer, lest their mean lie between them.
    """
    positions = [positions_in(canonical_volume(case.volume, card.preprocessing), case, card) for case in cases]
    pairs = [(card.labels.index(first), card.labels.index(second)) for first, second in card.interchangeable]
    return with_ends_matched(np.array(positions)[None], pairs)[0]


def positions_in(canonical: CanonicalVolume, case: TrainingCase, card: ModelCard) -> FloatArray:
    """Positions (n, 3) of a case's landmarks in the frame that its canonical volume is in, NaN where missing."""
    return apply_affine(np.linalg.inv(canonical.frame_to_ras), case.landmarks.to_array(card.labels))
