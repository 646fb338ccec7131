"""From the tensors of a bundle to a network that is ready to detect."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from ..errors import LandmarkDetectionError
from ..models.bundle import ModelBundle
from ..networks.folding import folded
from .precision import network_dtype

TEMPLATE = "pose.template"
"""Name of the one tensor of a bundle that belongs to no network."""

Network = TypeVar("Network", bound=nn.Module)


def loaded_network(
    bundle: ModelBundle,
    build: Callable[[], Network],
    prefix: str,
    device: torch.device,
    memory_format: torch.memory_format,
) -> Network:
    """The network that `build` makes, with the bundle's tensors whose names begin with a prefix, for detection.

    Args:
        bundle: the model.
        build: called without memory for the weights, because a card may claim layers of any size.
        prefix: of the tensors' names; empty for all of them.
        device: where to put it.
        memory_format: of the weights, channels last.

    Raises:
        LandmarkDetectionError: if the tensors are not those of the network.
    """
    # Autocast alone would convert the weights anew for every call.
    weights = {
        name.removeprefix(prefix): tensor.to(device, network_dtype(device) if tensor.is_floating_point() else None)
        for name, tensor in bundle.tensors.items()
        if name.startswith(prefix) and name != TEMPLATE
    }
    try:
        with torch.device("meta"):
            network = build()
        network.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise do_not_fit(bundle) from error
    return network.to(memory_format=memory_format).eval()


def without_normalisation(bundle: ModelBundle) -> ModelBundle:
    """A bundle whose batch normalisation is folded into the convolutions, in single precision before it is rounded.

    Raises:
        LandmarkDetectionError: if a tensor of a normalisation is missing.
    """
    try:
        return dataclasses.replace(bundle, tensors=folded(bundle.tensors))
    except KeyError as error:
        raise do_not_fit(bundle) from error


def do_not_fit(bundle: ModelBundle) -> LandmarkDetectionError:
    """What to say of weights that are not those of the card's network."""
    message = f"The weights of the model {bundle.card.name} do not fit its card; get its bundle again."
    return LandmarkDetectionError(message)
