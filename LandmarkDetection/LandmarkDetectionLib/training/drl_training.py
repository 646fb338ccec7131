"""Training landmark agents by deep Q-learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..detectors.drl import NETWORK_PREFIX, REACH, START, DRLInference
from ..detectors.drl_walk import DRLNetworkSettings
from ..detectors.several_estimates import spread
from ..evaluation.baselines import mean_of_present
from ..models.record import parse_record
from ..networks.layers import channels_last
from ..preprocessing import canonical_size_mm
from .cases import TrainingCase
from .drl_learner import DRLLearner
from .drl_recipe import PRESETS, DRLTraining
from .drl_samples import DRLSamples
from .frame_positions import frame_positions_mm
from .initial_weights import start_from
from .job import TrainedModel, TrainingJob
from .learner import fit
from .method import TrainingMethod
from .pool import CasePool
from .spacing import spacing_of_longest_side

_LONGEST_SIDE = {2: 256, 3: 120}
"""Voxels along the longest side of an image: few enough to be walked through."""
_REACH_SD = 2.0
"""Standard deviations of a landmark's position within which walks start."""
_WALKED_SHARE = 0.3
"""Of an image's side, to either side of its middle, where walks start that start anywhere: a fifth is left out at each
face, as in the authors' code."""


def train_drl(job: TrainingJob) -> TrainedModel:
    """Train the agents of all landmarks together."""
    card, optimisation, choices = job.card, job.recipe.optimisation, job.recipe.method
    settings = parse_record(DRLNetworkSettings, card.network, "network settings")
    starts = _starts(job)
    pool = CasePool.of(job)
    samples = DRLSamples(
        pool,
        settings,
        *(_in_voxels(starts[name], pool) for name in (START, REACH)),
        batch_size=optimisation.batch_size,
        walkers=choices.walkers,
        memory=choices.memory,
        first_steps=choices.first_steps,
        most_steps=choices.most_steps,
        renew_every=optimisation.renew_every,
        seed=job.seed,
    )
    torch.manual_seed(job.seed)
    network = settings.network(card.dimension, len(card.landmarks))
    if job.initial is not None:
        start_from(network, job.initial, NETWORK_PREFIX)
    network = network.to(memory_format=channels_last(card.dimension))
    learner = DRLLearner(card, network, samples, starts, choices)
    error_mm = fit(job, learner)
    return TrainedModel(card, learner.tensors(), error_mm)


def _starts(job: TrainingJob) -> dict[str, Tensor]:
    """Middle and half sides (n, 3), in frame millimetres, of the boxes from which walks start."""
    if job.initial is not None:
        return {name: job.initial.tensors[name] for name in (START, REACH)}
    if job.recipe.method.start == "cases":
        positions = frame_positions_mm(job.cases, job.card)
        middle = mean_of_present(positions)
        reach = _REACH_SD * np.sqrt(np.diagonal(spread(positions, middle), axis1=1, axis2=2))
    else:
        sizes = [canonical_size_mm(case.volume, job.card.preprocessing) for case in job.cases]
        middle = np.zeros((len(job.card.landmarks), 3))
        reach = np.broadcast_to(_WALKED_SHARE * np.mean(sizes, axis=0), middle.shape).copy()
    return {START: torch.from_numpy(middle), REACH: torch.from_numpy(reach)}


def _in_voxels(lengths_mm: Tensor, pool: CasePool) -> Tensor:
    """Lengths (n, 3) of the frame as voxels (n, d) in array order."""
    return (lengths_mm.float() / pool.spacing_mm)[:, : pool.dimension].flip(-1)


def spacing_mm(cases: Sequence[TrainingCase], network: Mapping[str, Any]) -> float:  # noqa: ARG001 - any network's
    """A voxel size at which an image is walked through in some steps."""
    return spacing_of_longest_side(cases, _LONGEST_SIDE[cases[0].volume.dimension])


DRL = TrainingMethod(PRESETS, DRLTraining, DRLNetworkSettings, DRLInference, train_drl, spacing_mm)
