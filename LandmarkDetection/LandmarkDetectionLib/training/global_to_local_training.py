"""Training global-to-local: the global network and all local ones in one go [Noothout 2020, section V-A]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..detectors.global_to_local import GlobalToLocalInference, GlobalToLocalNetworkSettings
from ..models.record import FieldError, parse_record
from .cases import TrainingCase
from .global_to_local_learner import GlobalToLocalLearner
from .global_to_local_samples import GlobalToLocalSamples
from .job import TrainedModel, TrainingJob
from .learner import fit
from .method import TrainingMethod
from .pool import CasePool
from .spacing import spacing_of_longest_side

_PATCHES_ALONG_AN_IMAGE = 16
"""About as many as in the paper's scans of the heart: 20 cm at 1.5 mm in patches of 8 voxels."""


@dataclass(frozen=True)
class GlobalToLocalTraining:
    """What only global-to-local needs.

    Attributes:
        part_size: longest side in voxels of the random parts of images that the global network learns from; by default
            the published 72 in volumes and 592 in pictures.
        local_batch_size: small images around each landmark in a batch.
        local_reach: voxels along each axis that a landmark may lie before or behind the middle of its small image; by
            default it lies anywhere in it, as published. A little farther than the global network errs is enough, and
            learns faster.
        classification_weight: of the patches' cross-entropy beside the displacements' mean error. The paper names none;
            as nearly all patches hold no landmark, the others are learnt sooner with a weight of 10 and more.
    """

    part_size: int | None = None
    local_batch_size: int = 4
    local_reach: int | None = None
    classification_weight: float = 1.0

    def __post_init__(self) -> None:
        for name in ("part_size", "local_batch_size", "local_reach", "classification_weight"):
            if getattr(self, name) is not None and getattr(self, name) <= 0:
                raise FieldError(name, "must be above zero")


_SHORT = {
    "augmentation": {"rotation_deg": 10.0, "scale": 0.1, "stretch": 0.05, "gamma": 0.4, "noise": 0.05},
    "network": {
        "widths": [32, 64, 128, 128],
        "pairs": [1, 2, 2, 1],
        "head_width": 128,
        "local_widths": [16, 32],
        "local_head_width": 32,
    },
    "inference": {"local_passes": 2},
}
_SHORT_OPTIMISATION = {"steps": 100_000, "learning_rate": 5e-3}
_SHORT_CHOICES = {"local_reach": 6, "classification_weight": 20.0}
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        **_SHORT,
        "optimisation": {
            **_SHORT_OPTIMISATION,
            "minutes": 4.0,
            "batch_size": 4,
            "validate_every": 100,
            "pool_size": 96,
            "renew_every": 4,
        },
        "method": {**_SHORT_CHOICES, "local_batch_size": 2},
    },
    "standard": {
        **_SHORT,
        "augmentation": {**_SHORT["augmentation"], "elastic_mm": 3.0, "cut_short": 0.2},
        "optimisation": {
            **_SHORT_OPTIMISATION,
            "minutes": 50.0,
            "batch_size": 2,
            "validate_every": 400,
            "renew_every": 3,
        },
        "method": {**_SHORT_CHOICES, "local_batch_size": 4},
    },
    "paper": {
        "optimisation": {
            "steps": 300_000,
            "minutes": 1e6,
            "batch_size": 4,
            "validate_every": 10_000,
            "gradient_clip": 0.0,
            "constant_rate": True,
        },
    },
}
"""The short ones have fewer and narrower layers, and learn sooner what is rare."""


def train_global_to_local(job: TrainingJob) -> TrainedModel:
    """Train the global network and the local ones."""
    settings = parse_record(GlobalToLocalNetworkSettings, job.card.network, "network settings")
    optimisation, method = job.recipe.optimisation, job.recipe.method
    pool = CasePool.of(job)
    samples = GlobalToLocalSamples(
        pool,
        settings,
        batch_size=optimisation.batch_size,
        local_batch_size=method.local_batch_size,
        local_reach=min(method.local_reach or settings.local_size, settings.local_size // 2),
        part_size=method.part_size or {2: 592, 3: 72}[job.card.dimension],
        renew_every=optimisation.renew_every,
        seed=job.seed,
    )
    torch.manual_seed(job.seed)
    learner = GlobalToLocalLearner(job.card, settings, samples, method.classification_weight, job.initial)
    error_mm = fit(job, learner)
    return TrainedModel(job.card, learner.tensors(), error_mm)


def spacing_mm(cases: Sequence[TrainingCase], network: Mapping[str, Any]) -> float:
    """A voxel size, in two digits, at which the longest side of an image has 16 patches on average.

    Or the images' own where that is coarser: there is nothing finer to see.
    """
    settings = parse_record(GlobalToLocalNetworkSettings, network, "network settings")
    patch_size = settings.patch_size(cases[0].volume.dimension)
    return spacing_of_longest_side(cases, _PATCHES_ALONG_AN_IMAGE * patch_size)


GLOBAL_TO_LOCAL = TrainingMethod(
    PRESETS,
    GlobalToLocalTraining,
    GlobalToLocalNetworkSettings,
    GlobalToLocalInference,
    train_global_to_local,
    spacing_mm,
)
