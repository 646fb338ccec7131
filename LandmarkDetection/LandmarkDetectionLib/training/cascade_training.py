"""Training the cascade: both stages at once, which share nothing but the images [Tan 2019]."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..detectors.cascade import CascadeInference, CascadeNetworkSettings
from ..geometry import FloatArray
from ..models.record import FieldError, parse_record, record_to_json
from ..networks.cascade import CascadeNetwork, initialise_cascade
from ..networks.layers import channels_last
from ..preprocessing import canonical_size_mm
from ..volume import Volume
from .cascade_learner import CascadeLearner
from .cascade_samples import CascadeSamples
from .cases import TrainingCase
from .initial_weights import start_from
from .job import TrainedModel, TrainingJob
from .learner import fit
from .method import TrainingMethod
from .pool import CasePool

_COARSE_SIDE = {2: 256, 3: 32}
"""Voxels that the longest side of the first stage's image has at most, by dimension, unless the recipe decides."""
_LARGEST_SIDE = {2: 1024, 3: 256}
"""Voxels that the longest side of an image has at most, by dimension, unless the recipe decides."""


@dataclass(frozen=True)
class CascadeTraining:
    """What only the cascade needs.

    Attributes:
        patches_per_image: of the second stage, for each landmark.
        prediction_error: standard deviation along each axis, in voxels of the first stage, of the predictions S_0 that
            the second stage learns to correct. As large as the first stage's errors turn out, or somewhat larger.
        sampling_range: largest distance along each axis, in voxels of the first stage, from there to the middle q of
            the patch; the paper says "a small range".
        weights_are_constant: whether the weights of the heatmaps' loss are constants to its gradient.
    """

    patches_per_image: int = 1
    prediction_error: float = 0.5
    sampling_range: float = 0.25
    weights_are_constant: bool = True

    def __post_init__(self) -> None:
        for name, least in (("patches_per_image", 1), ("prediction_error", 0), ("sampling_range", 0)):
            if getattr(self, name) < least:
                raise FieldError(name, f"must be at least {least}")


def train_cascade(job: TrainingJob) -> TrainedModel:
    """Train both stages."""
    settings, chosen, optimisation = _settings(job), job.recipe.method, job.recipe.optimisation
    card = dataclasses.replace(job.card, network=record_to_json(settings))
    pool = CasePool.of(job)
    torch.manual_seed(job.seed)
    coarse = settings.coarse_network(card.dimension, len(card.landmarks))
    network = CascadeNetwork(coarse, [settings.local_network(card.dimension) for _ in card.landmarks])
    initialise_cascade(network)
    if job.initial is not None:
        start_from(network, job.initial)
    network = network.to(memory_format=channels_last(card.dimension))
    samples = CascadeSamples(
        pool,
        settings,
        batch_size=optimisation.batch_size,
        patches_per_image=chosen.patches_per_image,
        prediction_error=chosen.prediction_error,
        sampling_range=chosen.sampling_range,
        renew_every=optimisation.renew_every,
        seed=job.seed,
    )
    learner = CascadeLearner(card, settings, network, samples, weights_are_constant=chosen.weights_are_constant)
    error_mm = fit(job, learner)
    return TrainedModel(card, learner.tensors(), error_mm)


def _settings(job: TrainingJob) -> CascadeNetworkSettings:
    """The card's, where it does not name the pooling with the smallest one that makes the first stage's image small."""
    given = job.card.network
    if "pooling" not in given:
        sides = [canonical_size_mm(case.volume, job.card.preprocessing) for case in job.cases]
        longest = np.max(np.mean(sides, axis=0) / job.card.preprocessing.spacing_mm)
        given = {**given, "pooling": int(np.ceil(longest / _COARSE_SIDE[job.card.dimension]))}
    return parse_record(CascadeNetworkSettings, given, "network settings")


def spacing_mm(cases: Sequence[TrainingCase], _network: Mapping[str, Any]) -> float:
    """The images' own voxel size, in two digits: half of them have smaller voxels, half larger ones.

    Of voxels that are longer along some axes, the side of a cube as large. Larger where the images would have more
    voxels along their longest side than a training can hold.
    """
    volumes = [case.volume for case in cases]
    own_mm = np.median([np.exp(np.mean(np.log(_sides_mm(volume)[0]))) for volume in volumes])
    longest_mm = np.median([np.max(_sides_mm(volume)[1]) for volume in volumes])
    return float(f"{max(own_mm, longest_mm / _LARGEST_SIDE[volumes[0].dimension]):.2g}")


def _sides_mm(volume: Volume) -> tuple[FloatArray, FloatArray]:
    """Sides of a voxel and of the image along its axes; a picture has two."""
    has_extent = np.array(volume.size) > 1
    return volume.spacing_mm[has_extent], (np.array(volume.size) * volume.spacing_mm)[has_extent]


_POSE_AND_LOOK = {
    "rotation_deg": 15.0,
    "scale": 0.1,
    "stretch": 0.05,
    "centre_shift_mm": 4.0,
    "gamma": 0.4,
    "noise": 0.05,
}
_SHORT = {
    "augmentation": _POSE_AND_LOOK,
    "network": {"patch_size": 24, "local_widths": [8, 16, 32, 64], "is_normalised": True},
    "inference": {"decoding": "sub-voxel", "refinements": 2},
    "method": {"patches_per_image": 4},
}
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        **_SHORT,
        "optimisation": {
            "steps": 100_000,
            "minutes": 4.0,
            "batch_size": 1,
            "learning_rate": 2e-3,
            "validate_every": 200,
            "pool_size": 128,
        },
    },
    "standard": {
        **_SHORT,
        "optimisation": {
            "steps": 100_000,
            "minutes": 50.0,
            "batch_size": 1,
            "learning_rate": 2e-3,
            "validate_every": 500,
        },
    },
    # The first stage learned for 11,250 steps only. Without augmentation no variant differs from its case.
    "paper": {
        "network": {"pooling": 4},
        "optimisation": {
            "steps": 45_000,
            "minutes": 1e6,
            "batch_size": 1,
            "gradient_clip": 0.0,
            "validate_every": 1000,
            "pool_size": 16,
            "renew_every": 1,
            "constant_rate": True,
        },
        "method": {"patches_per_image": 4},
    },
}

CASCADE = TrainingMethod(PRESETS, CascadeTraining, CascadeNetworkSettings, CascadeInference, train_cascade, spacing_mm)
