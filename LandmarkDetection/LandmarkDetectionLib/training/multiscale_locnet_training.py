"""Training the multi-scale Loc-Net, all scales together or one after the other [Ma 2020]."""

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
from ..networks.layers import channels_last
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
    """Train the networks of all scales."""
    card = _with_crop_size(job.card)
    settings = _settings(card)
    pool = CasePool.of(job)
    card = _with_shape_model(card, pool)
    networks = _networks(job, settings)
    if job.recipe.method.is_end_to_end:
        learner = _learner(job, card, networks, pool)
        error_mm = fit(job, learner)
        return TrainedModel(card, learner.tensors(), error_mm)
    return _trained_in_turn(job, card, networks, pool)


def _trained_in_turn(job: TrainingJob, card: ModelCard, networks: nn.ModuleList, pool: CasePool) -> TrainedModel:
    """Train one scale after the other; those before it are as they are, and the model ends with it until then."""
    optimisation, pooling = job.recipe.optimisation, _settings(card).pooling
    share = dataclasses.replace(
        optimisation,
        minutes=optimisation.minutes / len(pooling),
        steps=max(1, optimisation.steps // len(pooling)),
        validate_every=max(1, optimisation.validate_every // len(pooling)),
    )
    for scales in range(1, len(pooling) + 1):
        so_far = dataclasses.replace(card, network={**card.network, "pooling": list(pooling[:scales])})
        learner = _learner(job, so_far, networks[:scales], pool)
        error_mm = fit(job, learner, optimisation=share, folder=job.folder / str(scales))
        learner.network.requires_grad_(False)
    return TrainedModel(card, learner.tensors(), error_mm)


def _learner(job: TrainingJob, card: ModelCard, networks: nn.ModuleList, pool: CasePool) -> MultiscaleLocNetLearner:
    """Of the scales that a card names."""
    settings, choices, optimisation = _settings(card), job.recipe.method, job.recipe.optimisation
    samples = LocNetSamples(
        pool,
        settings,
        batch_size=optimisation.batch_size,
        followed=choices.followed,
        renew_every=optimisation.renew_every,
        seed=job.seed,
        outline=settings.outline(card),
    )
    return MultiscaleLocNetLearner(card, settings, networks, samples, choices)


def _settings(card: ModelCard) -> MultiscaleLocNetSettings:
    return parse_record(MultiscaleLocNetSettings, card.network, "network settings")


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
    return networks.to(memory_format=channels_last(job.card.dimension))


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
