"""What a method adds to the training that all methods share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .cases import TrainingCase
from .job import TrainedModel, TrainingJob


@dataclass(frozen=True)
class TrainingMethod:
    """How one method is trained.

    Attributes:
        presets: recipes by the name of the preset: "quick" ends within 5 minutes and "standard" within 60 on two
            cores; "paper" is the published schedule.
        choices: dataclass of what only this method can be told, the entry `method` of a recipe.
        network, inference: dataclasses of these objects of a card.
        train: does it.
        spacing_mm: voxel size of the model's frame where the recipe names none, from the training cases and the
            recipe's network settings.
    """

    presets: Mapping[str, Mapping[str, Any]]
    choices: type
    network: type
    inference: type
    train: Callable[[TrainingJob], TrainedModel]
    spacing_mm: Callable[[Sequence[TrainingCase], Mapping[str, Any]], float]
