"""Starting a training from the weights of a model that is there already."""

from __future__ import annotations

from torch import nn

from ..errors import LandmarkDetectionError
from ..models.bundle import ModelBundle


def start_from(network: nn.Module, bundle: ModelBundle, prefix: str = "") -> None:
    """Copy the bundle's tensors whose names begin with a prefix into a network; others of its tensors are not read.

    Raises:
        LandmarkDetectionError: if the network needs a tensor that is not there, or of another shape.
    """
    wanted = network.state_dict()
    stored = {name: bundle.tensors.get(f"{prefix}{name}") for name in wanted}
    if any(stored[name] is None or stored[name].shape != value.shape for name, value in wanted.items()):
        message = f"The model {bundle.card.name} does not fit this network; start from a model of the same landmarks."
        raise LandmarkDetectionError(message)
    network.load_state_dict({name: stored[name].to(value.dtype) for name, value in wanted.items()})
