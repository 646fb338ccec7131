"""Training the multi-scale Loc-Net, all scales together [Ma 2020]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..detectors.locnet_scales import MultiscaleLocNetSettings
from ..models.record import FieldError, parse_record
from ..networks.locnet import initialise_locnet
from .cases import TrainingCase
from .initial_weights import start_from
from .job import TrainedModel, TrainingJob
from .learner import fit
from .locnet_learner import MultiscaleLocNetLearner
from .locnet_samples import LocNetSamples
from .method import TrainingMethod
from .pool import CasePool


@dataclass(frozen=True)
class MultiscaleLocNetTraining:
    """What only the multi-scale Loc-Net needs.

    Attributes:
        middle_peak: weight of the loss of the scales between the coarsest and the finest at half time. The paper does
            not say how high they peak; with one half, all count the same then.
        followed: landmarks of a batch that are followed to the finer scales, drawn at random, so that more images are
            seen in the same time; 0 for all, as published.
        cross_entropy_mm2: weight of the cross-entropy of softmax heatmaps against the squared error in mm^2. The paper
            has no such term, nor do rectified heatmaps; it teaches the heatmaps to be narrow, and "nowhere".
    """

    middle_peak: float = 0.5
    followed: int = 0
    cross_entropy_mm2: float = 20.0

    def __post_init__(self) -> None:
        for name in ("middle_peak", "followed"):
            if getattr(self, name) < 0:
                raise FieldError(name, "must not be negative")
        if self.cross_entropy_mm2 <= 0:
            name, problem = "cross_entropy_mm2", "must be above zero, lest presence mean nothing"
            raise FieldError(name, problem)


def train_multiscale_locnet(job: TrainingJob) -> TrainedModel:
    """Train the networks of all scales together."""
    settings = parse_record(MultiscaleLocNetSettings, job.card.network, "network settings")
    choices, optimisation = job.recipe.method, job.recipe.optimisation
    pool = CasePool(
        job.cases,
        job.augmenter,
        labels=job.card.labels,
        interchangeable=job.card.interchangeable,
        size=optimisation.pool_size,
        seed=job.seed,
    )
    torch.manual_seed(job.seed)
    networks = settings.networks(job.card.dimension, len(job.card.landmarks))
    for network in networks:
        initialise_locnet(network)
    if job.initial is not None:
        start_from(networks, job.initial)
    networks = networks.to(memory_format=torch.channels_last if job.card.dimension == 2 else torch.channels_last_3d)
    samples = LocNetSamples(
        pool,
        settings,
        batch_size=optimisation.batch_size,
        followed=choices.followed,
        renew_every=optimisation.renew_every,
        seed=job.seed,
    )
    learner = MultiscaleLocNetLearner(
        job.card,
        settings,
        networks,
        samples,
        middle_peak=choices.middle_peak,
        cross_entropy_mm2=choices.cross_entropy_mm2,
    )
    error_mm = fit(job, learner)
    return TrainedModel(job.card, learner.tensors(), error_mm)


_COARSEST_SIDE = {2: 64, 3: 30}
"""Voxels along the longest side of the coarsest images: enough to tell where things are, few enough to be quick."""


def spacing_mm(cases: Sequence[TrainingCase], network: Mapping[str, Any]) -> float:
    """A voxel size, in two digits, at which the coarsest scale sees the whole image in some ten thousand voxels.

    But not finer than the images are, on average.
    """
    settings = parse_record(MultiscaleLocNetSettings, network, "network settings")
    dimension = cases[0].volume.dimension
    images_mm = np.mean([np.max(np.array(case.volume.size) * case.volume.spacing_mm) for case in cases])
    voxels_mm = np.mean([np.min(case.volume.spacing_mm[:dimension]) for case in cases])
    return float(f"{max(images_mm / _COARSEST_SIDE[dimension] / settings.pooling[0], voxels_mm):.2g}")


_POSE_AND_LOOK = {
    "rotation_deg": 15.0,
    "scale": 0.1,
    "stretch": 0.05,
    "gamma": 0.4,
    "noise": 0.05,
}
_SHORT = {
    "augmentation": _POSE_AND_LOOK,
    "network": {"pooling": [4, 2, 1], "crop_size": 16, "heatmap": "softmax", "is_normalised": True},
    "inference": {"last_scale": "shared"},
    "method": {"followed": 8},
}
_SHORT_OPTIMISATION = {"batch_size": 1, "learning_rate": 3e-3}
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        **_SHORT,
        "optimisation": {
            **_SHORT_OPTIMISATION,
            "steps": 1000,
            "minutes": 4.0,
            "validate_every": 200,
            "pool_size": 128,
        },
    },
    "standard": {
        **_SHORT,
        "optimisation": {**_SHORT_OPTIMISATION, "steps": 12_000, "minutes": 50.0, "validate_every": 500},
    },
    "paper": {
        "optimisation": {
            "steps": 83_500,
            "minutes": 1e6,
            "batch_size": 1,
            "learning_rate": 5e-4,
            "gradient_clip": 0.0,
            "validate_every": 1670,
            "constant_rate": True,
        },
    },
}

MULTISCALE_LOCNET = TrainingMethod(PRESETS, MultiscaleLocNetTraining, train_multiscale_locnet, spacing_mm)
