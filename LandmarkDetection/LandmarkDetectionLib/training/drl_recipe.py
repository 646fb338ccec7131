"""The choices of a training of landmark agents, and its presets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ..models.record import FieldError


@dataclass(frozen=True)
class DRLTraining:
    """What only landmark agents need. Defaults are those of the authors' code but for what is said.

    Attributes:
        start: where walks begin: anywhere but near the image's borders, as published, or where landmarks lie in the
            training cases, which short trainings can learn.
        discount: of what is earned one step later.
        least_exploration: probability of a random action at the end; it begins with 1.
        explored_share: share of the training in which it falls to that.
        target_every: steps after which the target network becomes the network.
        walkers: images walked through at once, one step in each for every batch that is learned from.
        memory: experiences, each of all agents, that are kept.
        first_steps: random ones of the walkers before the first is learned from.
        most_steps: of a walk.
    """

    start: Literal["anywhere", "cases"] = "cases"
    discount: float = 0.9
    least_exploration: float = 0.1
    explored_share: float = 0.5
    target_every: int = 100
    walkers: int = 2
    memory: int = 5_000
    first_steps: int = 100
    most_steps: int = 30

    def __post_init__(self) -> None:
        for name in ("discount", "least_exploration", "explored_share"):
            if not 0 < getattr(self, name) <= 1:
                raise FieldError(name, "must lie above 0 and be at most 1")
        for name in ("target_every", "walkers", "memory", "first_steps", "most_steps"):
            if getattr(self, name) < 1:
                raise FieldError(name, "must be above zero")

    def exploration(self, done: float) -> float:
        """Probability of a random action when a share of the training from 0 to 1 is done."""
        fallen = min(done / self.explored_share, 1.0)
        return 1.0 - fallen * (1.0 - self.least_exploration)


_POSE_AND_LOOK = {"rotation_deg": 15.0, "scale": 0.1, "stretch": 0.05, "gamma": 0.4, "noise": 0.05}
_SHORT_OPTIMISATION = {"batch_size": 4, "learning_rate": 3e-3, "steps": 100_000}
PRESETS: dict[str, dict[str, Any]] = {
    # A five-hundredth of the published network's operations, and two scales.
    "quick": {
        "augmentation": _POSE_AND_LOOK,
        "network": {
            "patch_size": 15,
            "widths": [8, 16, 64],
            "kernels": [3, 3, 3],
            "hidden": [64],
            "strides": [2, 1],
            "steps": [2, 1],
        },
        "inference": {"starts": 3, "most_steps": 40},
        # A new variant of a large image takes longer than eight steps.
        "optimisation": {
            **_SHORT_OPTIMISATION,
            "minutes": 4.0,
            "validate_every": 800,
            "pool_size": 64,
            "renew_every": 64,
        },
    },
    "standard": {
        "augmentation": _POSE_AND_LOOK,
        "network": {
            "patch_size": 21,
            "widths": [16, 32, 64],
            "kernels": [3, 3, 3],
            "hidden": [128, 64],
            "steps": [3, 2, 1],
        },
        "inference": {"most_steps": 60},
        "optimisation": {**_SHORT_OPTIMISATION, "minutes": 50.0, "validate_every": 2000},
    },
    "paper": {
        "preprocessing": {"spacing_mm": [1.0, 1.0, 1.0]},
        "optimisation": {
            "steps": 20_000_000,
            "minutes": 1e6,
            "batch_size": 64,
            "learning_rate": 1e-3,
            "gradient_clip": 0.0,
            "validate_every": 100_000,
            "constant_rate": True,
        },
        "method": {
            "start": "anywhere",
            "explored_share": 0.09,
            "target_every": 2000,
            "walkers": 1,
            "memory": 100_000,
            "first_steps": 30_000,
            "most_steps": 200,
        },
    },
}
"""The paper's: 100,000 walks of 200 steps at most, each of which is learned from; the target follows every ten walks,
and exploration falls for 9,000 of them.

The others keep patches and channels as small as two cores ask for, start where landmarks are to be expected, and still
make a hundredth of the steps that reinforcement takes: these agents are to be compared with, not to be used.
"""
