"""Training PIN: all landmarks in the modes of a shape model, or each landmark on its own [Li 2018]."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..detectors.pin import DEVIATION, patches_per_landmark
from ..detectors.pin_search import PINNetworkSettings
from ..detectors.registry import load_detector
from ..errors import LandmarkDetectionError
from ..evaluation.metrics import error_table
from ..files.atomic import whole_file
from ..landmarks import LandmarkSet
from ..models.bundle import ModelBundle
from ..models.card import ModelCard
from ..models.record import parse_record, record_to_json
from ..networks.pin import PINNetwork, initialise_as_published, initialise_for_rectifiers
from ..shape_model import ShapeModel
from .augmentation import Augmenter
from .loop import Loop
from .pin_module import PINModule
from .pin_samples import PINSamples
from .pool import CasePool, TrainingCase
from .recipe import TrainingRecipe


@dataclass(frozen=True)
class TrainingJob:
    """What one training works with.

    Attributes:
        card: of the model to be, complete but for the shape model and the accuracy.
        cases, validation: the two splits.
        recipe: all choices.
        device: to train on.
        folder: for checkpoints and logs.
        resume: whether to go on where the folder's last checkpoint ends.
        initial: the bundle to start from, if any.
        seed: of all randomness.
    """

    card: ModelCard
    cases: Sequence[TrainingCase]
    validation: Sequence[TrainingCase]
    recipe: TrainingRecipe
    device: torch.device
    folder: Path
    resume: bool = False
    initial: ModelBundle | None = None
    seed: int = 0


@dataclass(frozen=True)
class NetworkPart:
    """One network of a model: its card as a model of its own, its landmarks in the pool, its space and its folder.

    `prefix` begins the names of its tensors; it is empty where the network is the whole model.
    """

    card: ModelCard
    landmarks: list[int]
    shape_model: ShapeModel
    folder: Path
    prefix: str = ""

    def tensors(self, network: PINNetwork, *, alone: bool = False) -> dict[str, Tensor]:
        """The weights as stored in the model's bundle, or in that of a model with this network alone."""
        prefix = "0." if alone and self.prefix else self.prefix
        named = {f"{prefix}{name}": value.detach().cpu() for name, value in network.state_dict().items()}
        if prefix:
            named[f"{prefix}{DEVIATION}"] = torch.tensor(self.shape_model.standard_deviations_mm[0]).float()
        return named


def train_pin(job: TrainingJob) -> tuple[ModelCard, dict[str, Tensor], float]:
    """Train PIN-multiple.

    Returns:
        The card with its shape model, the weights, and the mean validation error in millimetres.
    """
    settings = _settings(job)
    pool = _pool(job, settings)
    shape_model = _shape_model(job, pool)
    card = dataclasses.replace(job.card, shape_model=shape_model)
    part = NetworkPart(card, list(range(len(card.landmarks))), shape_model, job.folder)
    weights, error_mm = _train_network(job, pool, part)
    return card, weights, error_mm


def train_pin_single(job: TrainingJob) -> tuple[ModelCard, dict[str, Tensor], float]:
    """Train PIN-single: one network after the other, the time shared between them.

    Returns:
        The card, the weights, and the mean validation error in millimetres.
    """
    settings = _settings(job)
    pool = _pool(job, settings)
    optimisation = job.recipe.optimisation
    share = dataclasses.replace(
        optimisation,
        minutes=optimisation.minutes / len(job.card.landmarks),
        steps=max(1, optimisation.steps // len(job.card.landmarks)),
    )
    job = dataclasses.replace(job, recipe=dataclasses.replace(job.recipe, optimisation=share))
    weights: dict[str, Tensor] = {}
    errors_mm = []
    for index, definition in enumerate(job.card.landmarks):
        card = dataclasses.replace(job.card, landmarks=(definition,), planes=(), measurements=(), interchangeable=())
        free_point = ShapeModel.free_point(_deviation_mm(job, pool, index))
        part = NetworkPart(card, [index], free_point, job.folder / str(index), prefix=f"{index}.")
        part_weights, error_mm = _train_network(job, pool, part)
        weights |= part_weights
        errors_mm.append(error_mm)
    return job.card, weights, float(np.mean(errors_mm))


def _settings(job: TrainingJob) -> PINNetworkSettings:
    return parse_record(PINNetworkSettings, job.card.network, "network settings")


def _pool(job: TrainingJob, settings: PINNetworkSettings) -> CasePool:
    augmenter = Augmenter(job.recipe.augmentation, job.card.preprocessing, job.card.dimension)
    return CasePool(
        job.cases,
        augmenter,
        labels=job.card.labels,
        interchangeable=job.card.interchangeable,
        size=job.recipe.optimisation.pool_size,
        patch_size=settings.patch_size,
        seed=job.seed,
    )


def _shape_model(job: TrainingJob, pool: CasePool) -> ShapeModel:
    """The initial model's, or one fitted to the pool and kept beside the checkpoints, which mean nothing without it."""
    if job.initial is not None:
        return job.initial.card.shape_model
    kept = job.folder / "shape_model.json"
    if job.resume and kept.exists():
        return parse_record(ShapeModel, json.loads(kept.read_text(encoding="utf-8")), str(kept))
    shape_model = ShapeModel.fit(pool.shapes_mm().numpy(), job.recipe.pin.explained_variance)
    with whole_file(kept) as path:
        path.write_text(json.dumps(record_to_json(shape_model)), encoding="utf-8")
    return shape_model


def _deviation_mm(job: TrainingJob, pool: CasePool, index: int) -> float:
    """A third of how far from the frame's origin a landmark may lie: the initial model's, or from the common grid."""
    if job.initial is not None:
        return float(job.initial.tensors[f"{index}.{DEVIATION}"])
    return float((pool.size_ijk * pool.spacing_mm).max()) / 2.0 / 3.0


def _train_network(job: TrainingJob, pool: CasePool, part: NetworkPart) -> tuple[dict[str, Tensor], float]:
    """Weights of one network, named with the part's prefix, and its validation error in millimetres."""
    settings, training, optimisation = _settings(job), job.recipe.pin, job.recipe.optimisation
    torch.manual_seed(job.seed)
    channels = len(part.landmarks) * patches_per_landmark(part.card.dimension)
    network = PINNetwork(channels, part.shape_model.modes, settings.widths, settings.hidden, training.dropout)
    (initialise_as_published if training.published_initialisation else initialise_for_rectifiers)(network)
    if job.initial is not None:
        _start_from(network, job.initial, part.prefix)
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

    def validation_error_mm(current: PINNetwork) -> float:
        bundle = ModelBundle(part.card, part.tensors(current, alone=True), None, "")
        return mean_error_mm(bundle, job.validation, job.device.type)

    loop = Loop(part.folder, optimisation, job.device)
    module = PINModule(
        network,
        training.alpha,
        optimisation,
        elapsed_share=loop.elapsed_share,
        follow=samples.follow,
        validation_error_mm=validation_error_mm,
    )
    error_mm = loop.fit(module, samples, resume=job.resume)
    return part.tensors(network), error_mm


def _start_from(network: PINNetwork, bundle: ModelBundle, prefix: str) -> None:
    weights = {
        name.removeprefix(prefix): value.float()
        for name, value in bundle.tensors.items()
        if name.startswith(prefix) and not name.endswith(DEVIATION)
    }
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        message = f"The model {bundle.card.name} does not fit this network; start from a model of the same landmarks."
        raise LandmarkDetectionError(message) from error


def mean_error_mm(bundle: ModelBundle, cases: Sequence[TrainingCase], device: str) -> float:
    """Mean radial error of a model over cases, found by its detector's own code."""
    detector = load_detector(bundle, device)
    predictions = [
        LandmarkSet({mark.label: mark.position_ras for mark in detector.detect(case.volume).landmarks})
        for case in cases
    ]
    truths = [case.landmarks for case in cases]
    errors = error_table(truths, predictions, bundle.card.labels, bundle.card.interchangeable)
    return float(np.nanmean(errors.errors_mm))
