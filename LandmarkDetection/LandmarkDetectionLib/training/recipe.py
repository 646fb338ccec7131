"""TrainingRecipe: every choice of a training that is not in the data, by preset, method and configuration file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import LandmarkDetectionError
from ..models.record import FieldError, parse_record
from ..preprocessing import Preprocessing
from .augmentation import Augmentation

if TYPE_CHECKING:
    from .method import TrainingMethod


_ANY_FRAME = {"orientation": "RAS", "spacing_mm": [1.0, 1.0, 1.0]}
"""What every card names, and a recipe need not."""
_MAY_BE_ZERO = ("weight_decay", "gradient_clip", "patience", "constant_rate")


@dataclass(frozen=True)
class Optimisation:
    """How long and how fast a network learns.

    Attributes:
        steps: of the optimiser, after which the learning rate has come down to nothing along a cosine.
        minutes: limit of the wall time from the first step on: the cases are read and the pool is made before. The
            learning rate comes down in time for it if it is reached first.
        devices: that train in step, each with batches of its own; the mean of their gradients makes a step.
        batch_size: samples a batch.
        accumulated_batches: batches whose gradients make one step.
        learning_rate: of Adam (decoupled weight decay) after the warm-up.
        weight_decay: of Adam.
        gradient_clip: largest norm of the gradient; 0 for none.
        validate_every: batches between validations in millimetres.
        patience: validations without a smaller error after which the training ends; 0 for none.
        pool_size: augmented cases held in memory; fewer if these took some gigabytes more than the cases need.
        renew_every: batches after which one of them is replaced.
    """

    steps: int
    minutes: float
    devices: int = 1
    batch_size: int = 64
    accumulated_batches: int = 1
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    gradient_clip: float = 5.0
    validate_every: int = 500
    patience: int = 0
    pool_size: int = 256
    renew_every: int = 8
    constant_rate: bool = False

    def __post_init__(self) -> None:
        for name in (
            "steps",
            "minutes",
            "devices",
            "batch_size",
            "accumulated_batches",
            "learning_rate",
            "validate_every",
            "pool_size",
            "renew_every",
        ):
            if getattr(self, name) <= 0:
                raise FieldError(name, "must be above zero")


@dataclass(frozen=True)
class TrainingRecipe:
    """All choices of one training.

    Attributes:
        preprocessing: fields of the card's `preprocessing` to set; what is not named is derived from the dataset.
        network, inference: the card's objects.
        card: other fields of the card to set, such as planes, measurements, licence and limitations.
        method: the choices that only the method knows, in its own type.
    """

    optimisation: Optimisation
    augmentation: Augmentation = field(default_factory=Augmentation)
    preprocessing: dict[str, Any] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    inference: dict[str, Any] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)
    method: Any = field(default_factory=dict)


def load_recipe(method: TrainingMethod, preset: str, config: Path | str | None = None) -> TrainingRecipe:
    """The recipe of one of a method's presets, with what a JSON configuration file changes of it.

    Raises:
        LandmarkDetectionError: if the preset is unknown, or the file is missing or not valid.
    """
    if preset not in method.presets:
        message = f'There is no preset "{preset}"; choose one of: {", ".join(method.presets)}.'
        raise LandmarkDetectionError(message)
    chosen = method.presets[preset]
    if config is not None:
        chosen = _merged(chosen, _read_config(Path(config)))
    where = f"configuration {config or preset}"
    recipe = parse_record(TrainingRecipe, chosen, where)
    # Else their mistakes were met when all images have been read, or the first model is judged.
    parse_record(method.network, recipe.network, f"{where}: network")
    parse_record(method.inference, recipe.inference, f"{where}: inference")
    parse_record(Preprocessing, {**_ANY_FRAME, **recipe.preprocessing}, f"{where}: preprocessing")
    return dataclasses.replace(recipe, method=parse_record(method.choices, recipe.method, f"{where}: method"))


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        message = f"{path}: cannot be read as a JSON configuration ({reason}); correct the file or its name."
        raise LandmarkDetectionError(message) from error
    if not isinstance(content, dict):
        message = f"{path}: a configuration is a JSON object; correct the file."
        raise LandmarkDetectionError(message)
    return content


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the entries of `changes`, objects merged entry by entry."""
    merged = dict(base)
    for key, value in changes.items():
        both_are_objects = isinstance(value, dict) and isinstance(merged.get(key), dict) and key != "card"
        merged[key] = _merged(merged[key], value) if both_are_objects else value
    return merged
