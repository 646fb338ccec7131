"""Batch normalisation folded into the convolution before it: fixed after training, it costs nothing in detection."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

CONVOLUTION, NORMALISATION = "convolution", "normalisation"
"""Names of the two layers in the modules that can be folded."""

EPSILON = nn.BatchNorm3d(1).eps


def folded(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a network without batch normalisation that does the same as one with it in evaluation.

    Args:
        tensors: state of the network; a `<unit>.normalisation` follows the `<unit>.convolution` without bias.

    Returns:
        In single precision where something was folded.

    Raises:
        KeyError: if a normalisation lacks its convolution or one of its own tensors.
    """
    kept = {name: tensor for name, tensor in tensors.items() if f"{NORMALISATION}." not in name}
    units = [name.removesuffix("weight") for name in tensors if name.endswith(f"{NORMALISATION}.weight")]
    for normalisation in units:
        convolution = normalisation.removesuffix(f"{NORMALISATION}.") + f"{CONVOLUTION}."
        scale, shift, mean, variance = (
            tensors[normalisation + name].float() for name in ("weight", "bias", "running_mean", "running_var")
        )
        weight = kept[f"{convolution}weight"].float()
        weight, bias = fuse_conv_bn_weights(weight, None, mean, variance, EPSILON, scale, shift)
        kept |= {f"{convolution}weight": weight.detach(), f"{convolution}bias": bias.detach()}
    return kept
