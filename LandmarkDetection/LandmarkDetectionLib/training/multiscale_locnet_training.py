"""Training the multi-scale Loc-Net, all scales together [Ma 2020]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..detectors.locnet_scales import MultiscaleLocNetSettings, coarse_positions, refined_positions
from ..models.bundle import ModelBundle
from ..models.card import ModelCard
from ..models.record import FieldError, parse_record
from ..networks.locnet import initialise_locnet
from .cases import TrainingCase
from .initial_weights import start_from
from .job import TrainedModel, TrainingJob
from .learner import fit
from .locnet_samples import LocNetBatch, LocNetSamples
from .locnet_schedule import scale_weights
from .method import TrainingMethod
from .pool import CasePool


@dataclass(frozen=True)
class MultiscaleLocNetTraining:
    """What only the multi-scale Loc-Net needs.

    Attributes:
        middle_peak: weight of the loss of the scales between the coarsest and the finest at half time. The paper does
            not say how high they peak; with one half, all count the same then.
    """

    middle_peak: float = 0.5

    def __post_init__(self) -> None:
        if self.middle_peak < 0:
            name, problem = "middle_peak", "must not be negative"
            raise FieldError(name, problem)


class MultiscaleLocNetLearner:
    """The networks of all scales in training.

    Args:
        card: of the model to be.
        settings: of the networks.
        network: all of them.
        samples: to train them with.
        middle_peak: see `MultiscaleLocNetTraining`.
    """

    def __init__(
        self,
        card: ModelCard,
        settings: MultiscaleLocNetSettings,
        network: nn.ModuleList,
        samples: LocNetSamples,
        *,
        middle_peak: float,
    ) -> None:
        self._card = card
        self._settings = settings
        self.network = network
        self.samples = samples
        self._middle_peak = middle_peak

    def loss(self, batch: LocNetBatch, done: float) -> Tensor:
        """Squared error in mm^2, weighted by scale; interchangeable ends in the order that fits better."""
        spacing_mm = self.samples.spacing_mm.to(batch.truths.device)
        estimates = self._estimates(batch)
        weights = scale_weights(done, len(estimates), self._middle_peak)
        losses = [
            weight * squared_error_mm2(estimate, batch.truths, spacing_mm)
            for weight, estimate in zip(weights, estimates, strict=True)
        ]
        return torch.stack(losses).sum(0).amin(1).mean()

    def bundle(self) -> ModelBundle:
        """The model as it is now."""
        return ModelBundle(self._card, self.tensors(), None, "")

    def tensors(self) -> dict[str, Tensor]:
        """The weights as stored in a bundle."""
        return {name: value.detach().cpu() for name, value in self.network.state_dict().items()}

    def _estimates(self, batch: LocNetBatch) -> list[Tensor]:
        """Positions (batch, n, d) by scale; each scale's crops follow the one before, gradients run through them."""
        found = [coarse_positions(self.network[0], batch.scales[0])]
        count, landmarks = found[0].shape[:2]
        cases = torch.arange(count, device=found[0].device).repeat_interleave(landmarks)
        channels = torch.arange(landmarks, device=cases.device).repeat(count)
        for index in range(1, len(batch.scales)):
            is_last = index == len(batch.scales) - 1
            around = found[-1] + batch.shifts if is_last else found[-1]
            refined = refined_positions(
                self.network[index],
                batch.scales[index],
                cases,
                channels,
                around.flatten(0, 1),
                crop_size=self._settings.crop_size,
            )
            found.append(refined.view_as(around))
        return found


def squared_error_mm2(estimates: Tensor, truths: Tensor, spacing_mm: Tensor) -> Tensor:
    """Mean squared distance (batch, alternatives) over the landmarks that are there; 0 where none is.

    Args:
        estimates: (batch, n, d) in voxels, array order.
        truths: (batch, alternatives, n, d), NaN where missing.
        spacing_mm: (d,) size of a voxel.
    """
    is_there = torch.isfinite(truths).all(-1)
    # Not a product with the mask: NaN times zero is NaN, in gradients too.
    offsets = torch.where(is_there[..., None], truths, estimates[:, None].detach()) - estimates[:, None]
    squares = ((offsets * spacing_mm) ** 2).sum(-1) * is_there
    return squares.sum(-1) / is_there.sum(-1).clamp(min=1)


def train_multiscale_locnet(job: TrainingJob) -> TrainedModel:
    """Train the networks of all scales together."""
    settings = parse_record(MultiscaleLocNetSettings, job.card.network, "network settings")
    optimisation = job.recipe.optimisation
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
        pool, settings, batch_size=optimisation.batch_size, renew_every=optimisation.renew_every, seed=job.seed
    )
    learner = MultiscaleLocNetLearner(job.card, settings, networks, samples, middle_peak=job.recipe.method.middle_peak)
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
    "network": {"pooling": [4, 2, 1], "crop_size": 24, "heatmap": "softmax"},
    "inference": {"last_scale": "shared"},
}
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        **_SHORT,
        "optimisation": {
            "steps": 400,
            "minutes": 4.0,
            "batch_size": 1,
            "validate_every": 100,
            "pool_size": 128,
        },
    },
    "standard": {
        **_SHORT,
        "optimisation": {"steps": 5000, "minutes": 50.0, "batch_size": 1, "validate_every": 250},
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
