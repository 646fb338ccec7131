"""What one training works with, and what comes out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..detectors.pose import PoseTemplate
from ..detectors.registry import load_detector
from ..evaluation.baselines import mean_position_baseline
from ..evaluation.metrics import error_table
from ..landmarks import LandmarkSet
from ..models.bundle import ModelBundle
from ..models.card import ModelCard
from .augmentation import Augmenter
from .cases import TrainingCase
from .ranks import Ranks
from .recipe import TrainingRecipe


@dataclass(frozen=True)
class TrainingJob:
    """What one training works with.

    Attributes:
        card: of the model to be, complete but for what the method derives from the data and for the accuracy.
        cases, validation: the two splits.
        recipe: all choices.
        device: to train on.
        folder: for checkpoints and logs.
        resume: whether to go on where the folder's last checkpoint ends.
        initial: the bundle to start from, if any.
        seed: of all randomness, another in each process.
        template: as which the cases have been laid, if any. The card does not tell of it before the training is over.
        ranks: the processes that train this model in step; only the weights of the networks are shared among them.
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
    template: PoseTemplate | None = None
    ranks: Ranks = field(default_factory=Ranks)

    @property
    def augmenter(self) -> Augmenter:
        """Makes the variants the recipe asks for, in the model's frame."""
        return Augmenter(self.recipe.augmentation, self.card.preprocessing, self.card.dimension)


@dataclass(frozen=True)
class TrainedModel:
    """A card, the tensors that belong to it, and the mean error on the validation cases.

    Attributes:
        tensors: weights in single precision; what must be more exact, such as positions, in double precision.
        has_chosen_weights: whether these are the weights that had the smallest such error.
    """

    card: ModelCard
    tensors: dict[str, Tensor]
    validation_error_mm: float
    has_chosen_weights: bool = True


def mean_error_mm(bundle: ModelBundle, cases: Sequence[TrainingCase], device: str) -> float:
    """Mean radial error of a model over cases, found by its detector's own code."""
    detector = load_detector(bundle, device)
    predictions = [
        LandmarkSet({mark.label: mark.position_ras for mark in detector.detect(case.volume).landmarks})
        for case in cases
    ]
    return _mean_error_mm([case.landmarks for case in cases], predictions, bundle.card)


def mean_position_error_mm(cases: Sequence[TrainingCase], others: Sequence[TrainingCase], card: ModelCard) -> float:
    """Mean radial error over other cases of the mean positions in some, which a model must beat."""
    truths = [case.landmarks for case in others]
    predictions = mean_position_baseline([case.landmarks for case in cases], truths)
    return _mean_error_mm(truths, predictions, card)


def _mean_error_mm(truths: Sequence[LandmarkSet], predictions: Sequence[LandmarkSet], card: ModelCard) -> float:
    return float(np.nanmean(error_table(truths, predictions, card.labels, card.interchangeable).errors_mm))
