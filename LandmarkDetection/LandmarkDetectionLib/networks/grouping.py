"""Weights of several like networks as those of one with a group of channels for each, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def grouped(networks: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The weights of one network from those of its groups; a counter is the first group's.

    Raises:
        KeyError: if a network lacks a tensor that the first one has.
        RuntimeError: if the tensors of the networks differ in shape.
    """
    return {
        name: torch.cat([network[name] for network in networks]) if tensor.ndim else tensor
        for name, tensor in networks[0].items()
    }


def separated(tensors: Mapping[str, Tensor], groups: int) -> list[dict[str, Tensor]]:
    """The weights of each group of a network as those of a network of its own."""
    parts = {name: tensor.chunk(groups) if tensor.ndim else [tensor] * groups for name, tensor in tensors.items()}
    return [{name: part[group] for name, part in parts.items()} for group in range(groups)]
