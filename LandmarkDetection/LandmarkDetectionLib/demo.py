"""What the demonstration shows: each shipped model with the image shipped to try it on."""

from __future__ import annotations

from .detectors.base import Detector
from .detectors.registry import load_detector
from .errors import LandmarkDetectionError
from .files.dataset import Case
from .models.bundle import load_bundle
from .models.registry import find_model, list_models, sample_image


def load_demonstrations() -> list[tuple[Case, Detector]]:
    """A case and the detector for it, for every model that is shipped with an image.

    Raises:
        LandmarkDetectionError: if there is none, or a shipped model is damaged.
    """
    samples = {card.name: sample_image(card.name) for card in list_models()}
    demonstrations = [
        (Case(name, sample, None), load_detector(load_bundle(find_model(name))))
        for name, sample in samples.items()
        if sample is not None
    ]
    if not demonstrations:
        message = "No model is shipped with an image to try it on: use detect with an image of your own."
        raise LandmarkDetectionError(message)
    return demonstrations
