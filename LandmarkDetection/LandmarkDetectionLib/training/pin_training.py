"""Training PIN: all landmarks in the modes of a shape model, or each landmark on its own [Li 2018]."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..detectors.pin import DEVIATION, patches_per_landmark
from ..detectors.pin_search import PINInference, PINNetworkSettings
from ..files.atomic import whole_file
from ..models.record import parse_record, record_to_json
from ..networks.pin import PINNetwork, initialise_as_published, initialise_for_rectifiers
from ..shape_model import ShapeModel
from .cases import TrainingCase
from .initial_weights import start_from
from .job import TrainedModel, TrainingJob
from .learner import fit
from .log_files import network_folder
from .method import TrainingMethod
from .patch_pool import PatchPool
from .pin_learner import NetworkPart, PINLearner
from .pin_recipe import PRESETS, PINTraining
from .pin_samples import PINSamples


def train_pin(job: TrainingJob) -> TrainedModel:
    """Train PIN-multiple."""
    pool = PatchPool.of(job, patch_size=_settings(job).patch_size)
    shape_model = _shape_model(job, pool)
    card = dataclasses.replace(job.card, shape_model=shape_model)
    part = NetworkPart(card, list(range(len(card.landmarks))), shape_model, job.folder)
    weights, error_mm = _train_network(job, pool, part)
    return TrainedModel(card, weights, error_mm)


def train_pin_single(job: TrainingJob) -> TrainedModel:
    """Train PIN-single: one network after the other, the time shared between them."""
    pool = PatchPool.of(job, patch_size=_settings(job).patch_size)
    optimisation = job.recipe.optimisation
    share = dataclasses.replace(
        optimisation,
        minutes=optimisation.minutes / len(job.card.landmarks),
        steps=max(1, optimisation.steps // len(job.card.landmarks)),
    )
    job = dataclasses.replace(job, recipe=dataclasses.replace(job.recipe, optimisation=share))
    weights: dict[str, Tensor] = {}
    errors_mm = []
    folders = [network_folder(job.folder, index) for index in range(len(job.card.landmarks))]
    if job.ranks.is_first:
        for folder in folders:  # all at once, which tells who follows the training how many networks will learn
            folder.mkdir(parents=True, exist_ok=True)
    for index, definition in enumerate(job.card.landmarks):
        card = dataclasses.replace(job.card, landmarks=(definition,), planes=(), measurements=(), interchangeable=())
        free_point = ShapeModel.free_point(_deviation_mm(job, pool, index))
        part = NetworkPart(card, [index], free_point, folders[index], prefix=f"{index}.")
        part_weights, error_mm = _train_network(job, pool, part)
        weights |= part_weights
        errors_mm.append(error_mm)
    return TrainedModel(job.card, weights, float(np.mean(errors_mm)))


def _settings(job: TrainingJob) -> PINNetworkSettings:
    return parse_record(PINNetworkSettings, job.card.network, "network settings")


def _shape_model(job: TrainingJob, pool: PatchPool) -> ShapeModel:
    """The initial model's, or one fitted to the pool and kept beside the checkpoints, which mean nothing without it.

    All processes take the first one's.
    """
    if job.initial is not None:
        return job.initial.card.shape_model
    kept = job.folder / "shape_model.json"
    if job.ranks.is_first and not (job.resume and kept.exists()):
        shape_model = ShapeModel.fit(pool.shapes_mm().numpy(), job.recipe.method.explained_variance)
        with whole_file(kept) as path:
            path.write_text(json.dumps(record_to_json(shape_model)), encoding="utf-8")
    job.ranks.wait()
    return parse_record(ShapeModel, json.loads(kept.read_text(encoding="utf-8")), str(kept))


def _deviation_mm(job: TrainingJob, pool: PatchPool, index: int) -> float:
    """A third of how far from the frame's origin a landmark may lie: the initial model's, or from the common grid."""
    if job.initial is not None:
        return float(job.initial.tensors[f"{index}.{DEVIATION}"])
    return float((pool.size_ijk * pool.spacing_mm).max()) / 2.0 / 3.0


def _train_network(job: TrainingJob, pool: PatchPool, part: NetworkPart) -> tuple[dict[str, Tensor], float]:
    """Weights of one network, named with the part's prefix, and its validation error in millimetres."""
    settings, training, optimisation = _settings(job), job.recipe.method, job.recipe.optimisation
    torch.manual_seed(job.seed)
    channels = len(part.landmarks) * patches_per_landmark(part.card.dimension)
    network = PINNetwork(channels, part.shape_model.modes, settings.widths, settings.hidden, training.dropout)
    (initialise_as_published if training.published_initialisation else initialise_for_rectifiers)(network)
    if job.initial is not None:
        start_from(network, job.initial, part.prefix)
    network = network.to(memory_format=torch.channels_last)
    samples = PINSamples(
        pool,
        part.landmarks,
        part.shape_model,
        settings,
        batch_size=optimisation.batch_size,
        near_share=training.near_share,
        followed_share=training.followed_share,
        renew_every=optimisation.renew_every,
        seed=job.seed,
    )
    learner = PINLearner(part, network, samples, training.alpha)
    error_mm = fit(job, learner, optimisation=optimisation, folder=part.folder)
    return part.tensors(network), error_mm


def spacing_mm(cases: Sequence[TrainingCase], network: Mapping[str, Any]) -> float:
    """A voxel size, in two digits, at which a patch spans what the landmarks span on average.

    Or a quarter of the image where they lie closer together, for there must be something to see around them.
    """
    patch_size = parse_record(PINNetworkSettings, network, "network settings").patch_size
    shapes = [case.landmarks.to_array() for case in cases if case.landmarks.present]
    landmarks_mm = np.mean([np.nanmax(np.nanmax(shape, axis=0) - np.nanmin(shape, axis=0)) for shape in shapes])
    images_mm = np.mean([np.max(np.array(case.volume.size) * case.volume.spacing_mm) for case in cases])
    return float(f"{max(landmarks_mm, images_mm / 4) / patch_size:.2g}")


PIN = TrainingMethod(PRESETS, PINTraining, PINNetworkSettings, PINInference, train_pin, spacing_mm)
PIN_SINGLE = TrainingMethod(PRESETS, PINTraining, PINNetworkSettings, PINInference, train_pin_single, spacing_mm)
