"""Training a Loc-Net of one scale, the baseline of the multi-scale one and all else as there [Ma 2020, section 3]."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from .cases import TrainingCase
from .locnet_recipe import PRESETS
from .multiscale_locnet_training import MULTISCALE_LOCNET
from .spacing import spacing_of_longest_side

LONGEST_SIDE = {2: 256, 3: 48}
"""Voxels along the longest side of an image that a network sees whole, by dimension: what two cores learn from in
minutes. The paper's baseline has 224 of 1 mm."""


def _short(preset: Mapping[str, Any]) -> dict[str, Any]:
    """A preset of the multi-scale Loc-Net for one scale: its steps are faster, so that time alone ends them."""
    return {
        **preset,
        "network": {**preset["network"], "pooling": [1]},
        "optimisation": {**preset["optimisation"], "steps": 100_000},
        # The paper's baseline knows nothing of where landmarks lie to each other.
        "inference": {},
        "method": {},
    }


def spacing_mm(cases: Sequence[TrainingCase], _network: Mapping[str, Any]) -> float:
    """A voxel size at which the whole image has so few voxels that a network can see them all."""
    return spacing_of_longest_side(cases, LONGEST_SIDE[cases[0].volume.dimension])


LOCNET = dataclasses.replace(
    MULTISCALE_LOCNET,
    presets={
        "quick": _short(PRESETS["quick"]),
        "standard": _short(PRESETS["standard"]),
        "paper": {
            **PRESETS["paper"],
            "network": {"pooling": [1]},
            "preprocessing": {"spacing_mm": [1.0, 1.0, 1.0]},
        },
    },
    spacing_mm=spacing_mm,
)
