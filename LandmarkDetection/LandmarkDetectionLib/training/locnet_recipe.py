"""The choices of a multi-scale Loc-Net training, and its presets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..models.record import FieldError


@dataclass(frozen=True)
class MultiscaleLocNetTraining:
    """What only the multi-scale Loc-Net needs.

    Attributes:
        middle_peak: weight of the loss of the scales between the coarsest and the finest at half time. The paper does
            not say how high they peak; with one half, all count the same then.
        least_weight: weight that no scale's loss falls below. The paper has 0, at which Adam, whose steps do not depend
            on the size of the gradients, makes a scale drift with what little the finer ones tell it.
        followed: landmarks of a batch that are followed to the finer scales, drawn at random, so that more images are
            seen in the same time; 0 for all, as published.
        cross_entropy_mm2: weight of the cross-entropy of softmax heatmaps against the squared error in mm^2. The paper
            has no such term, nor do rectified heatmaps; it teaches the heatmaps to be narrow, and "nowhere".
        is_end_to_end: whether all scales learn together. If not, they learn one after the other, each from what those
            before it find, and share steps and minutes: the paper's "multi-step" alternative.
    """

    middle_peak: float = 0.5
    least_weight: float = 0.0
    followed: int = 0
    cross_entropy_mm2: float = 20.0
    is_end_to_end: bool = True

    def __post_init__(self) -> None:
        for name in ("middle_peak", "least_weight", "followed"):
            if getattr(self, name) < 0:
                raise FieldError(name, "must not be negative")
        if self.cross_entropy_mm2 <= 0:
            name, problem = "cross_entropy_mm2", "must be above zero, lest presence mean nothing"
            raise FieldError(name, problem)


_POSE_AND_LOOK = {
    "rotation_deg": 15.0,
    "scale": 0.1,
    "stretch": 0.05,
    "gamma": 0.4,
    "noise": 0.05,
}
_SHORT = {
    "augmentation": _POSE_AND_LOOK,
    "network": {"pooling": [4, 2, 1], "heatmap": "softmax", "is_normalised": True},
    # Networks taught by small crops sense their borders: passes that share a heatmap cost them half a millimetre.
    "inference": {"passes": 10, "prior_rounds": 3},
    "method": {"followed": 8, "least_weight": 0.2},
}
_SHORT_OPTIMISATION = {"batch_size": 1, "learning_rate": 3e-3}
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        **_SHORT,
        "optimisation": {
            **_SHORT_OPTIMISATION,
            "steps": 1000,
            "minutes": 4.0,
            "validate_every": 200,
            "pool_size": 128,
        },
    },
    "standard": {
        **_SHORT,
        "augmentation": {**_POSE_AND_LOOK, "elastic_mm": 3.0, "cut_short": 0.2},
        "optimisation": {**_SHORT_OPTIMISATION, "steps": 12_000, "minutes": 50.0, "validate_every": 500},
    },
    "paper": {
        "network": {"crop_size": 56},
        "optimisation": {
            "steps": 83_500,
            "minutes": 1e6,
            "batch_size": 1,
            "learning_rate": 5e-4,
            "gradient_clip": 0.0,
            "validate_every": 1670,
            "constant_rate": True,
        },
    },
}
