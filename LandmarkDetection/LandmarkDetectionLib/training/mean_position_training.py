"""Making a model of the mean position: a comparator that sees no image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ..detectors.mean_position import COVARIANCE, MEAN
from ..detectors.several_estimates import spread
from ..evaluation.baselines import mean_of_present
from ..models.record import NoSettings
from .cases import TrainingCase
from .frame_positions import frame_positions_mm
from .job import TrainedModel, TrainingJob
from .method import TrainingMethod
from .presets import PRESETS
from .spacing import spacing_of_longest_side
from .without_learning import NO_OPTIMISATION, check_starts_anew, judged

_LONGEST_SIDE = 64
"""Voxels along the longest side of an image: enough to tell where its bright part is."""


def train_mean_position(job: TrainingJob) -> TrainedModel:
    """Take the mean and the covariance of the training cases' positions in the model's frame."""
    check_starts_anew(job)
    positions = frame_positions_mm(job.cases, job.card)
    mean = mean_of_present(positions)
    tensors = {MEAN: mean, COVARIANCE: spread(positions, mean)}
    return judged(job, job.card, {name: torch.from_numpy(values) for name, values in tensors.items()})


def spacing_mm(cases: Sequence[TrainingCase], network: Mapping[str, Any]) -> float:  # noqa: ARG001 - it has none
    """A coarse voxel size: nothing but the frame's origin is taken from the image."""
    return spacing_of_longest_side(cases, _LONGEST_SIDE)


MEAN_POSITION = TrainingMethod(
    {preset: {"optimisation": NO_OPTIMISATION} for preset in PRESETS},
    NoSettings,
    NoSettings,
    NoSettings,
    train_mean_position,
    spacing_mm,
)
