"""Whether a volume looks like what a model was made for, said before anything is detected in it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from .errors import LandmarkDetectionError
from .models.card import ModelCard
from .preprocessing import canonical_size_mm
from .volume import Volume

_FIELD_OF_VIEW_TOLERANCE = 0.1
_AIR_HU = -500.0
"""Only CT, in Hounsfield units, has values as low as this; they are air."""


def check_dimension(volume: Volume, card: ModelCard) -> None:
    """Refuse a picture to a model for volumes, and the other way round; and what is neither.

    Raises:
        LandmarkDetectionError: if the dimensions differ, or the image is a line of voxels or a single one.
    """
    size = "x".join(map(str, volume.size))
    if sum(count > 1 for count in volume.size) < 2:
        message = f"{volume.name}: {size} voxels are neither a picture nor a volume; choose another image."
        raise LandmarkDetectionError(message)
    if volume.dimension != card.dimension:
        kinds = {2: "single pictures (2D)", 3: "volumes (3D)"}
        message = (
            f"{volume.name}: the model {card.name} works on {kinds[card.dimension]}, "
            f"and this image has {size} voxels; choose another model or image."
        )
        raise LandmarkDetectionError(message)


def field_of_view_doubts(volume: Volume, card: ModelCard) -> tuple[str, ...]:
    """A sentence if the image is larger or smaller than those the model was trained on."""
    seen = card.field_of_view_mm
    axes = slice(0, card.dimension)
    size = canonical_size_mm(_box_of(volume), card.preprocessing)[axes]
    smallest, largest = np.array(seen.minimum)[axes], np.array(seen.maximum)[axes]
    if card.preprocessing.pose_spacing_mm:
        # Any side may be any other one.
        size, smallest, largest = np.sort(size), np.sort(smallest), np.sort(largest)
    tolerance = _FIELD_OF_VIEW_TOLERANCE
    if np.all(size >= (1 - tolerance) * smallest) and np.all(size <= (1 + tolerance) * largest):
        return ()
    seen_sizes = " to ".join(dict.fromkeys((_sides(smallest), _sides(largest))))
    return (
        f"The field of view of {_sides(size)} mm is unlike the {seen_sizes} mm that {card.name} was trained on: "
        "check the result with care.",
    )


def modality_doubts(least_value: float, card: ModelCard) -> tuple[str, ...]:
    """A sentence if the smallest value of an image is not one of the model's modality."""
    # Micro-CT comes in any unit.
    is_for_ct = bool(re.search(r"(?<!micro)(?<!micro[- ])\b(CB)?CT\b", card.modality))
    names_a_modality = bool(re.search(r"\b(MRI?|T1|T2|ultrasound|radiograph|x-ray)\b", card.modality, re.IGNORECASE))
    if is_for_ct and least_value > _AIR_HU:
        return (f"{card.name} expects CT in Hounsfield units, but the smallest value here is {least_value:g}.",)
    if names_a_modality and not is_for_ct and least_value <= _AIR_HU:
        return (f"{card.name} expects {card.modality}, but values as low as {least_value:g} look like CT.",)
    return ()


def _box_of(volume: Volume) -> Volume:
    """The same box in at most two voxels along each axis: its extent does not depend on what is in it."""
    counts = np.minimum(volume.size, 2)
    ijk_to_ras = volume.ijk_to_ras @ np.diag([*(np.array(volume.size) / counts), 1.0])
    return Volume(np.zeros(counts[::-1], np.uint8), ijk_to_ras, volume.name)


def _sides(lengths_mm: Sequence[float]) -> str:
    return " x ".join(f"{length:.0f}" for length in lengths_mm)
