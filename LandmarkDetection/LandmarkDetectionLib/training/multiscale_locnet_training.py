"""Training the multi-scale Loc-Net, all scales together [Ma 2020]."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ..detectors.locnet_scales import MultiscaleLocNetSettings
from ..detectors.locnet_search import MultiscaleLocNetInference
from ..errors import LandmarkDetectionError
from ..models.card import ModelCard
from ..models.record import parse_record
from ..networks.locnet import initialise_locnet
from ..shape_model import ShapeModel
from .cases import TrainingCase
from .initial_weights import start_from
from .job import TrainedModel, TrainingJob
from .learner import fit
from .locnet_learner import MultiscaleLocNetLearner
from .locnet_recipe import PRESETS, MultiscaleLocNetTraining
from .locnet_samples import LocNetSamples
from .method import TrainingMethod
from .pool import CasePool
from .spacing import spacing_of_longest_side

_CROP_SIZES = {2: 56, 3: 16}
_COARSEST_SIDE = {2: 64, 3: 30}
"""Voxels along the longest side of the coarsest images: enough to tell where things are, few enough to be quick."""
_EXPLAINED_VARIANCE = 0.999


def train_multiscale_locnet(job: TrainingJob) -> TrainedModel:
    """Train the networks of all scales together."""
    card, choices, optimisation = _with_crop_size(job.card), job.recipe.method, job.recipe.optimisation
    settings = parse_record(MultiscaleLocNetSettings, card.network, "network settings")
    pool = CasePool(
        job.cases,
        job.augmenter,
        labels=card.labels,
        interchangeable=card.interchangeable,
        size=optimisation.pool_size,
        seed=job.seed,
    )
    samples = LocNetSamples(
        pool,
        settings,
        batch_size=optimisation.batch_size,
        followed=choices.followed,
        renew_every=optimisation.renew_every,
        seed=job.seed,
        outline=settings.outline(card),
    )
    card = _with_shape_model(card, pool)
    learner = MultiscaleLocNetLearner(card, settings, _networks(job, settings), samples, choices)
    error_mm = fit(job, learner)
    return TrainedModel(card, learner.tensors(), error_mm)


def _with_crop_size(card: ModelCard) -> ModelCard:
    """A card whose recipe may leave the size of the crops open; they hold about as many voxels in 2D as in 3D then."""
    return dataclasses.replace(card, network={"crop_size": _CROP_SIZES[card.dimension], **card.network})


def _with_shape_model(card: ModelCard, pool: CasePool) -> ModelCard:
    """A card whose detector knows how the landmarks lie to each other, if it asks for that and the cases can tell.

    They cannot where too few have all landmarks, or these lie at the same places in all. An ellipse needs no other.
    """
    if not card.inference.get("prior_rounds") or card.shape_model is not None:
        return card
    if len(card.landmarks) > 1 and not card.network.get("outline_points"):
        with contextlib.suppress(LandmarkDetectionError):
            shape_model = ShapeModel.fit(pool.shapes_mm().numpy(), _EXPLAINED_VARIANCE)
            return dataclasses.replace(card, shape_model=shape_model)
    return dataclasses.replace(card, inference={**card.inference, "prior_rounds": 0})


def _networks(job: TrainingJob, settings: MultiscaleLocNetSettings) -> nn.ModuleList:
    """The networks of all scales with the weights that the training starts from."""
    torch.manual_seed(job.seed)
    networks = settings.networks(job.card.dimension, settings.outline_points or len(job.card.landmarks))
    for network in networks:
        initialise_locnet(network, settings.crop_size**job.card.dimension)
    if job.initial is not None:
        start_from(networks, job.initial)
    return networks.to(memory_format=torch.channels_last if job.card.dimension == 2 else torch.channels_last_3d)


def spacing_mm(cases: Sequence[TrainingCase], network: Mapping[str, Any]) -> float:
    """A voxel size, in two digits, at which the coarsest scale sees the whole image in some ten thousand voxels.

    But not finer than the images are, on average.
    """
    settings = parse_record(MultiscaleLocNetSettings, network, "network settings")
    coarsest_side = _COARSEST_SIDE[cases[0].volume.dimension]
    return spacing_of_longest_side(cases, coarsest_side * settings.pooling[0])


MULTISCALE_LOCNET = TrainingMethod(
    PRESETS,
    MultiscaleLocNetTraining,
    MultiscaleLocNetSettings,
    MultiscaleLocNetInference,
    train_multiscale_locnet,
    spacing_mm,
)
