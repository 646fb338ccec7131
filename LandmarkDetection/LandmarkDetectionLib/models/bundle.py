"""ModelBundle: a model card with its weights, in a folder or a zip. Weights are safetensors; nothing is unpickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import LandmarkDetectionError
from .bundle_files import CARD_FILE, WEIGHTS_FILE, read_bundle_files, write_bundle_files
from .card import ModelCard

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class ModelBundle:
    """A model ready to be used.

    Attributes:
        card: what the model is.
        tensors: the weights by name, on the CPU, in the number format they are stored in.
        folder: where the bundle lies; None if it came from a zip.
        weights_sha256: of the weights as stored; equal to the card's.
    """

    card: ModelCard
    tensors: dict[str, torch.Tensor]
    folder: Path | None
    weights_sha256: str


def load_card(path: Path | str) -> ModelCard:
    """The card of the bundle in a folder or zip; needs no torch.

    Raises:
        LandmarkDetectionError: if it is missing or not valid, or the zip is not to be trusted.
    """
    path = Path(path)
    return _parse_card(read_bundle_files(path, (CARD_FILE,))[CARD_FILE], path)


def load_bundle(path: Path | str) -> ModelBundle:
    """The bundle in a folder or zip, its weights checked against the card.

    Raises:
        LandmarkDetectionError: if a file is missing or damaged, the weights are not those the card was written for,
            or the zip is not to be trusted.
    """
    path = Path(path)
    return parse_bundle(read_bundle_files(path, (CARD_FILE, WEIGHTS_FILE)), path)


def parse_bundle(contents: Mapping[str, bytes], path: Path) -> ModelBundle:
    """The bundle whose files have these contents; `path` is where they were read from.

    Raises:
        LandmarkDetectionError: if a file is damaged, or the weights are not those the card was written for.
    """
    card = _parse_card(contents[CARD_FILE], path)
    weights = contents[WEIGHTS_FILE]
    sha256 = hashlib.sha256(weights).hexdigest()
    if sha256 != card.weights_sha256:
        message = f"{path}: {WEIGHTS_FILE} is not the file its card was written for (SHA-256 differs); get it again."
        raise LandmarkDetectionError(message)
    return ModelBundle(card, _parse_weights(weights, path), path if path.is_dir() else None, sha256)


def save_bundle(folder: Path | str, card: ModelCard, tensors: Mapping[str, torch.Tensor]) -> ModelCard:
    """Write a bundle, whole or not at all; an existing one is replaced only when the new one is whole.

    Args:
        folder: of the bundle; a folder that holds anything else is refused.
        card: its `weights_sha256` is filled in.
        tensors: stored in the number format they have.

    Returns:
        The card as written.

    Raises:
        LandmarkDetectionError: if the card would not be read back, or the folder cannot be written.
    """
    from safetensors.torch import save

    weights = save({name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()})
    card = replace(card, weights_sha256=hashlib.sha256(weights).hexdigest())
    data = card.to_json()
    ModelCard.from_json(data)
    text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_bundle_files(Path(folder), {CARD_FILE: text.encode(), WEIGHTS_FILE: weights})
    return card


def _parse_card(text: bytes, path: Path) -> ModelCard:
    where = f"{path.name}/{CARD_FILE}"
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        message = f"{where} is not valid JSON ({error}); get the bundle again."
        raise LandmarkDetectionError(message) from error
    return ModelCard.from_json(data, where)


def _parse_weights(weights: bytes, path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(weights)
    except SafetensorError as error:
        message = f"{path}: {WEIGHTS_FILE} is not a whole safetensors file ({error}); get the bundle again."
        raise LandmarkDetectionError(message) from error
