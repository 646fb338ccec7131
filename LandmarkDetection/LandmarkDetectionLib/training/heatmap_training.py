"""Training heatmap regression, with a plain U-Net or a spatial configuration network [Payer 2019]."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..detectors.heatmap_regression import HeatmapInference, HeatmapUNetSettings, SCNSettings
from ..models.record import FieldError, parse_record
from ..networks.heatmap_regression import initialise_heatmaps
from ..networks.layers import channels_last
from .heatmap_learner import HeatmapLearner
from .heatmap_samples import HeatmapSamples
from .initial_weights import start_from
from .job import TrainedModel, TrainingJob
from .learner import fit
from .locnet_training import LOCNET, spacing_mm
from .method import TrainingMethod
from .pool import CasePool


@dataclass(frozen=True)
class HeatmapUNetTraining:
    """What only the heatmap U-Net needs: nothing."""


@dataclass(frozen=True)
class SCNTraining:
    """What only the spatial configuration network needs.

    Attributes:
        sigma_penalty: weight of the squared deviations of the heat spots in square voxels, which keeps them narrow;
            what keeps them wide is that narrow ones are missed. The published weight is for spots that begin 4 voxels
            wide in volumes; those that begin narrower hold less heat and have less to set against it.
    """

    sigma_penalty: float = 100.0

    def __post_init__(self) -> None:
        if self.sigma_penalty < 0:
            name, problem = "sigma_penalty", "must not be negative"
            raise FieldError(name, problem)


def train_heatmap_unet(job: TrainingJob) -> TrainedModel:
    """Train a plain U-Net."""
    return _trained(job, parse_record(HeatmapUNetSettings, job.card.network, "network settings"), sigma_penalty=0.0)


def train_scn(job: TrainingJob) -> TrainedModel:
    """Train a spatial configuration network, and the widths of its spots."""
    settings = parse_record(SCNSettings, job.card.network, "network settings")
    return _trained(job, settings, sigma_penalty=job.recipe.method.sigma_penalty)


def _trained(job: TrainingJob, settings: HeatmapUNetSettings | SCNSettings, *, sigma_penalty: float) -> TrainedModel:
    card, optimisation = job.card, job.recipe.optimisation
    pool = CasePool.of(job)
    torch.manual_seed(job.seed)
    network = settings.network(card.dimension, len(card.landmarks))
    initialise_heatmaps(network)
    if job.initial is not None:
        start_from(network, job.initial)
    network = network.to(memory_format=channels_last(card.dimension))
    samples = HeatmapSamples(
        pool, batch_size=optimisation.batch_size, renew_every=optimisation.renew_every, seed=job.seed
    )
    learner = HeatmapLearner(card, network, samples, sigma_penalty=sigma_penalty)
    error_mm = fit(job, learner)
    return TrainedModel(card, learner.tensors(), error_mm)


def _presets(short: Mapping[str, Mapping[str, Any]], paper: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Those of Loc-Net of one scale, with the same budget and augmentation, for another network."""
    own = {name: {**LOCNET.presets[name], **short} for name in ("quick", "standard")}
    return {**own, "paper": paper}


# The paper's has a level more than its Loc-Net [Ma 2020, footnote 2].
_PUBLISHED_UNET = {**LOCNET.presets["paper"], "network": {"widths": [16, 32, 64, 128, 256]}}
HEATMAP_UNET = TrainingMethod(
    _presets({"network": {"sigma": 1.5, "is_normalised": True}}, _PUBLISHED_UNET),
    HeatmapUNetTraining,
    HeatmapUNetSettings,
    HeatmapInference,
    train_heatmap_unet,
    spacing_mm,
)

_SHORT_SCN = {
    "network": {"width": 16, "dropout": 0.0, "sigma": 2.0, "is_normalised": True},
    # That of the paper times (2 / 4)^(2 d), about, as the squared heat is.
    "method": {"sigma_penalty": 2.0},
}
_PUBLISHED = {
    "preprocessing": {"spacing_mm": [2.0, 2.0, 2.0]},
    # The published rate of 5e-8 is one for descent with momentum, which Adam's steps do not compare with.
    "optimisation": {
        "steps": 40_000,
        "minutes": 1e6,
        "batch_size": 1,
        "learning_rate": 1e-4,
        "gradient_clip": 0.0,
        "validate_every": 2500,
        "constant_rate": True,
    },
}
SCN = TrainingMethod(
    _presets(_SHORT_SCN, _PUBLISHED),
    SCNTraining,
    SCNSettings,
    HeatmapInference,
    train_scn,
    spacing_mm,
)
