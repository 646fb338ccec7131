"""TrainingRecipe: every choice of a training that is not in the data, by preset, method and configuration file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import LandmarkDetectionError
from ..models.record import FieldError, parse_record
from .augmentation import Augmentation


@dataclass(frozen=True)
class Optimisation:
    """How long and how fast a network learns.

    Attributes:
        steps: batches, after which the learning rate has come down to nothing along a cosine.
        minutes: limit of the wall time; the learning rate comes down in time for it if it is reached first.
        batch_size: samples a batch.
        learning_rate: of Adam (decoupled weight decay) after the warm-up.
        weight_decay: of Adam.
        gradient_clip: largest norm of the gradient; 0 for none.
        validate_every: steps between validations in millimetres.
        pool_size: augmented cases held in memory.
        renew_every: batches after which one of them is replaced.
    """

    steps: int
    minutes: float
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    gradient_clip: float = 5.0
    validate_every: int = 500
    pool_size: int = 256
    renew_every: int = 8
    constant_rate: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "minutes", "batch_size", "learning_rate", "validate_every", "pool_size", "renew_every"):
            if getattr(self, name) <= 0:
                raise FieldError(name, "must be above zero")


@dataclass(frozen=True)
class PINTraining:
    """What only PIN needs.

    Attributes:
        alpha: weight of the classification loss against the regression loss (equation 2 of the paper).
        explained_variance: share of the shape variance that the kept modes explain.
        near_share: share of the fresh training starts near the truth.
        followed_share: share of the training samples that go on from where the network moved those before.
        dropout: in the heads.
        published_initialisation: N(0, 0.1) weights instead of He's.
    """

    alpha: float = 0.5
    explained_variance: float = 0.995
    near_share: float = 0.5
    followed_share: float = 0.6
    dropout: float = 0.0
    published_initialisation: bool = False

    def __post_init__(self) -> None:
        for name in ("alpha", "explained_variance", "near_share", "followed_share", "dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise FieldError(name, "must lie between 0 and 1")


@dataclass(frozen=True)
class TrainingRecipe:
    """All choices of one training.

    Attributes:
        preprocessing: fields of the card's `preprocessing` to set; what is not named is derived from the dataset.
        network, inference: the card's objects.
        card: other fields of the card to set, such as planes, measurements, licence and limitations.
    """

    optimisation: Optimisation
    pin: PINTraining = field(default_factory=PINTraining)
    augmentation: Augmentation = field(default_factory=Augmentation)
    preprocessing: dict[str, Any] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    inference: dict[str, Any] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)


_POSE_AND_LOOK = {
    "rotation_deg": 15.0,
    "scale": 0.1,
    "stretch": 0.05,
    "centre_shift_mm": 4.0,
    "gamma": 0.4,
    "noise": 0.05,
}
_SHORT_NETWORK = {
    "patch_size": 49,
    "widths": [32, 64, 128, 256],
    "hidden": 512,
    "displacement_scaling": "half-whitened",
}
_SHORT = {"augmentation": _POSE_AND_LOOK, "network": _SHORT_NETWORK, "inference": {"rule": "B"}}
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {**_SHORT, "optimisation": {"steps": 1500, "minutes": 4.0, "validate_every": 250, "pool_size": 128}},
    "standard": {**_SHORT, "optimisation": {"steps": 20000, "minutes": 50.0}},
    "paper": {
        "network": {"patch_size": 101, "widths": [32, 64, 128, 256, 512], "hidden": 1024},
        "optimisation": {
            "steps": 100_000,
            "minutes": 1e6,
            "validate_every": 2000,
            "gradient_clip": 0.0,
            "constant_rate": True,
        },
        "pin": {"dropout": 0.5, "near_share": 0.0, "followed_share": 0.0, "published_initialisation": True},
    },
}
"""Quick ends within 5 minutes and standard within 60 on two cores; paper is the published schedule."""


def load_recipe(preset: str, config: Path | str | None = None) -> TrainingRecipe:
    """The recipe of a preset, with what a JSON configuration file changes of it.

    Raises:
        LandmarkDetectionError: if the preset is unknown, or the file is missing or not valid.
    """
    if preset not in PRESETS:
        message = f'There is no preset "{preset}"; choose one of: {", ".join(PRESETS)}.'
        raise LandmarkDetectionError(message)
    chosen = PRESETS[preset]
    if config is not None:
        chosen = _merged(chosen, _read_config(Path(config)))
    return parse_record(TrainingRecipe, chosen, f"configuration {config or preset}")


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"{path}: cannot be read as a JSON configuration ({error}); correct the file or its name."
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
