"""Making a model of atlases: cases chosen, brought to the model's grid, and kept whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..detectors.atlas import FEWEST_ESTIMATES, LANDMARKS, atlas_voxels, origin_name, voxels_name
from ..detectors.atlas_registration import AtlasInference
from ..errors import LandmarkDetectionError
from ..evaluation.baselines import mean_of_present
from ..geometry import FloatArray
from ..models.card import ModelCard
from ..models.record import FieldError, NoSettings
from ..preprocessing import canonical_volume
from .cases import TrainingCase
from .frame_positions import frame_positions_mm
from .job import TrainedModel, TrainingJob
from .method import TrainingMethod
from .spacing import spacing_of_longest_side
from .without_learning import NO_OPTIMISATION, check_starts_anew, judged

_LONGEST_SIDE = {2: 128, 3: 64}
"""Voxels along the longest side of an atlas: registration is as precise as it is with more, within a millimetre."""


@dataclass(frozen=True)
class AtlasChoice:
    """What only the atlases need.

    Attributes:
        atlases: how many cases become atlases, if there are so many; a detection takes as many registrations.
    """

    atlases: int = 15

    def __post_init__(self) -> None:
        if self.atlases < FEWEST_ESTIMATES:
            name, problem = "atlases", f"must be at least {FEWEST_ESTIMATES}, to disagree where they err"
            raise FieldError(name, problem)


def train_atlas(job: TrainingJob) -> TrainedModel:
    """Choose the atlases and keep them.

    Raises:
        LandmarkDetectionError: if the dataset names no licence under which the images may be passed on, or too few of
            the atlases have a landmark.
    """
    check_starts_anew(job)
    _check_licence(job.card)
    positions = frame_positions_mm(job.cases, job.card)
    chosen = typical_cases(positions, job.recipe.method.atlases)
    _check_landmarks(positions[chosen], job.card)
    tensors = {LANDMARKS: torch.from_numpy(positions[chosen])}
    for index, case in enumerate(chosen):
        tensors |= _atlas_tensors(index, job.cases[case], job.card)
    return judged(job, _card_of_atlases(job.card, len(chosen)), tensors)


def typical_cases(positions_mm: FloatArray, count: int) -> list[int]:
    """The cases whose landmarks lie closest to the mean of all, those that have most landmarks first.

    Atlases are often chosen anew for each volume, by likeness; typical ones serve all volumes.

    Args:
        positions_mm: (cases, n, 3), NaN where missing.
        count: how many.
    """
    distances = np.linalg.norm(positions_mm - mean_of_present(positions_mm), axis=-1)
    missing = np.isnan(distances).sum(1)
    mean_distances = mean_of_present(distances.T)
    order = np.lexsort((mean_distances, missing))
    return [int(case) for case in order[:count]]


def _atlas_tensors(index: int, case: TrainingCase, card: ModelCard) -> dict[str, Tensor]:
    canonical = canonical_volume(case.volume, card.preprocessing)
    return {
        voxels_name(index): torch.from_numpy(atlas_voxels(canonical)),
        origin_name(index): torch.from_numpy(canonical.origin_ijk),
    }


def _card_of_atlases(card: ModelCard, count: int) -> ModelCard:
    """A card that says whose images the bundle holds."""
    held = (
        f"The bundle holds {count} images of the dataset itself, which may be passed on only as their licence allows: "
        f"{card.training.licence}"
    )
    return dataclasses.replace(card, limitations=f"{card.limitations} {held}")


def _check_licence(card: ModelCard) -> None:
    if not card.training.licence.strip() or not card.licence.strip():
        message = (
            "An atlas model holds images of its dataset, which names no licence to pass them on; name it in "
            'dataset.json as "licence", or choose another method.'
        )
        raise LandmarkDetectionError(message)


def _check_landmarks(positions_mm: FloatArray, card: ModelCard) -> None:
    counts = (~np.isnan(positions_mm).any(-1)).sum(0)
    if counts.min() < FEWEST_ESTIMATES:
        message = (
            f'Only {counts.min()} of the {len(positions_mm)} atlases has the landmark "{card.labels[counts.argmin()]}";'
            " set more atlases, or place it in more cases."
        )
        raise LandmarkDetectionError(message)


def spacing_mm(cases: Sequence[TrainingCase], network: Mapping[str, Any]) -> float:  # noqa: ARG001 - it has none
    """A voxel size at which registration is quick."""
    return spacing_of_longest_side(cases, _LONGEST_SIDE[cases[0].volume.dimension])


ATLAS = TrainingMethod(
    {
        "quick": {"optimisation": NO_OPTIMISATION, "method": {"atlases": 5}},
        "standard": {"optimisation": NO_OPTIMISATION},
        # No paper is its own; reviews find little gain beyond.
        "paper": {"optimisation": NO_OPTIMISATION, "method": {"atlases": 30}},
    },
    AtlasChoice,
    NoSettings,
    AtlasInference,
    train_atlas,
    spacing_mm,
)
