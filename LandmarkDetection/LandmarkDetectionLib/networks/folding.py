"""Batch normalisation folded into the convolution before it: fixed after training, it costs nothing in detection."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from .layers import batch_normalisation, convolution

CONVOLUTION, NORMALISATION = "convolution", "normalisation"
"""Names of the two layers in the modules that can be folded."""

EPSILON = nn.BatchNorm3d(1).eps


def convolution_unit(
    dimension: int,
    before: int,
    after: int,
    *,
    kernel_size: int,
    stride: int = 1,
    groups: int = 1,
    is_normalised: bool,
) -> nn.Sequential:
    """A convolution that keeps the sides, but for its stride, and its batch normalisation."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers[CONVOLUTION] = convolution(dimension)(
        before, after, kernel_size, stride, padding=kernel_size // 2, groups=groups, bias=not is_normalised
    )
    if is_normalised:
        layers[NORMALISATION] = batch_normalisation(dimension)(after)
    return nn.Sequential(layers)


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
