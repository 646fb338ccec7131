"""The choices of a PIN training, and its presets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..models.record import FieldError


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
        "method": {"dropout": 0.5, "near_share": 0.0, "followed_share": 0.0, "published_initialisation": True},
    },
}
