"""Which class runs which method, on which device."""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Mapping, Sequence

import torch

from ..errors import LandmarkDetectionError
from ..models.bundle import ModelBundle
from ..models.card import ModelCard
from .base import Detector
from .consensus_detector import AnyDetector, ConsensusDetector

DETECTORS = {
    "pin": "pin:PINDetector",
    "pin-single": "pin:PINSingleDetector",
    "cascade": "cascade:CascadeDetector",
    "multiscale-locnet": "multiscale_locnet:MultiscaleLocNetDetector",
    "global-to-local": "global_to_local:GlobalToLocalDetector",
    "locnet": "multiscale_locnet:MultiscaleLocNetDetector",
    "heatmap-unet": "heatmap_regression:HeatmapUNetDetector",
    "scn": "heatmap_regression:SCNDetector",
    "mean-position": "mean_position:MeanPositionDetector",
    "atlas": "atlas:AtlasDetector",
    "drl": "drl:DRLDetector",
}
"""Method in a model card -> module in this package and class."""


def detector_class(card: ModelCard) -> type[Detector]:
    """The class that runs a card's method.

    Raises:
        LandmarkDetectionError: if the method does not exist.
    """
    if card.method not in DETECTORS:
        message = f"The model {card.name} uses the method {card.method}, which this version lacks; update the program."
        raise LandmarkDetectionError(message)
    module, class_name = DETECTORS[card.method].split(":")
    return getattr(importlib.import_module(f".{module}", __package__), class_name)


def load_detector(bundle: ModelBundle, device: str = "auto", options: Mapping[str, str] | None = None) -> Detector:
    """The detector of a bundle, ready on a device.

    Args:
        bundle: the model.
        device: "auto", "cpu", "cuda" or "mps".
        options: entries of the card's `inference` object to replace, as typed on a command line.

    Raises:
        LandmarkDetectionError: if the method, the device or an option does not exist.
    """
    card = bundle.card
    if options:
        inference = {**card.inference, **{key: _parse_option(value) for key, value in options.items()}}
        bundle = dataclasses.replace(bundle, card=dataclasses.replace(card, inference=inference))
    return detector_class(card)(bundle, resolve_device(device))


def load_consensus(
    bundles: Sequence[ModelBundle], device: str = "auto", options: Sequence[Mapping[str, str]] | None = None
) -> AnyDetector:
    """The consensus of several bundles, or the detector of a single one, ready on a device.

    Args:
        bundles: the models.
        device: as for `load_detector`.
        options: for each of the models, as for `load_detector`.

    Raises:
        LandmarkDetectionError: as `load_detector`, or if the models do not belong together.
    """
    options = [{}] * len(bundles) if options is None else options
    detectors = [load_detector(bundle, device, own) for bundle, own in zip(bundles, options, strict=True)]
    return detectors[0] if len(detectors) == 1 else ConsensusDetector(detectors)


def resolve_device(name: str) -> torch.device:
    """The device a name stands for; "auto" takes the best there is.

    Raises:
        LandmarkDetectionError: if the device is unknown or not present.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, is_present in present.items() if is_present))
    if not present.get(name, False):
        choices = ", ".join(kind for kind, is_present in present.items() if is_present)
        message = f'There is no device "{name}" here; choose auto or one of: {choices}.'
        raise LandmarkDetectionError(message)
    return torch.device(name)


def _parse_option(value: str) -> object:
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value
