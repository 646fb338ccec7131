"""From coarse to fine: each scale looks around what the one before found, the last one many times [Ma 2020]."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import DetectionCancelled
from ..geometry import FloatArray
from ..models.record import FieldError
from ..networks.locnet import centres_of_windows
from .differentiable_crop import first_voxels, resampled_crops
from .locnet_scales import MultiscaleLocNetSettings, ScaleImages, coarse_positions, refined_positions

_VOXELS_A_CALL = 750_000
"""Crops are put into calls of the network of about this many voxels, which bounds its memory."""


@dataclass(frozen=True)
class MultiscaleLocNetInference:
    """The `inference` object of a multi-scale Loc-Net's card. Defaults are the paper's.

    Attributes:
        passes: shifts of the last scale's crop. Their mean is the result (the paper does not say whether it reports
            that or a pass of its own) and their covariance its uncertainty. 0 for one crop that is not shifted.
        last_scale: whether every pass calls the last network, as published, or all share what it makes of one crop that
            holds all of theirs. Features near the border of a crop know what lies beyond it then, so that the results
            differ a little.
    """

    passes: int = 50
    last_scale: Literal["separate", "shared"] = "separate"

    def __post_init__(self) -> None:
        if self.passes < 0:
            name, problem = "passes", "must not be negative"
            raise FieldError(name, problem)


class LocNetSearch:
    """The networks of all scales, ready to find landmarks. Positions are in voxels of the model's grid, array order.

    Args:
        networks: as `MultiscaleLocNetSettings.networks` makes them, in evaluation mode.
        settings, inference: from the model card.
    """

    def __init__(
        self, networks: nn.ModuleList, settings: MultiscaleLocNetSettings, inference: MultiscaleLocNetInference
    ) -> None:
        self.networks = networks
        self.settings = settings
        self.inference = inference

    def run(
        self,
        scales: Sequence[ScaleImages],
        spacing_mm: FloatArray,
        generator: np.random.Generator,
        *,
        progress: Callable[[float, str], None],
        cancelled: Callable[[], bool],
    ) -> tuple[FloatArray, FloatArray]:
        """Find the landmarks in one image.

        Args:
            scales: of the image, coarsest first, on the networks' device.
            spacing_mm: (d,) voxel size of the model's grid, array order.
            generator: of the shifts.
            progress: told a fraction and a text between calls of a network.
            cancelled: asked there too.

        Returns:
            Positions (passes, n, d) that the passes of the last scale found, one of them where none is shifted, and
            (scales, n, d) what each scale found, the last one on average.

        Raises:
            DetectionCancelled: as soon as `cancelled()` is true between two calls.
        """

        def before_call(scale: int, done: float = 0.0) -> None:
            if cancelled():
                raise DetectionCancelled
            spacing = spacing_mm[0] * self.settings.pooling[scale]
            progress((scale + done) / len(scales), f"Looking at voxels of {spacing:g} mm")

        with torch.inference_mode():
            before_call(0)
            path = [coarse_positions(self.networks[0], scales[0])[0]]
            for index in range(1, len(scales) - 1):
                found = self._refined(index, scales[index], path[-1][None], before_call)
                path.append(found[0])
            passes = path[-1][None]
            if len(scales) > 1:
                passes = self._last(scales[-1], path[-1], self._shifts(spacing_mm, path[-1], generator), before_call)
                path.append(passes.mean(0))
        return passes.double().cpu().numpy(), torch.stack(path).double().cpu().numpy()

    def _shifts(self, spacing_mm: FloatArray, estimates: Tensor, generator: np.random.Generator) -> Tensor:
        """Shifts (passes, n, d) of the last scale's crops."""
        if self.inference.passes == 0:
            return torch.zeros_like(estimates)[None]
        shifts_mm = generator.uniform(*self.settings.noise_range_mm, (self.inference.passes, *estimates.shape))
        return torch.as_tensor(shifts_mm / spacing_mm, dtype=estimates.dtype, device=estimates.device)

    def _last(self, scale: ScaleImages, estimates: Tensor, shifts: Tensor, before_call: Callable[..., None]) -> Tensor:
        """Positions (passes, n, d) that the last scale finds around shifted estimates."""
        if self.inference.last_scale == "shared" and self.inference.passes > 0:
            return self._shared(scale, estimates, shifts, before_call)
        return self._refined(len(self.networks) - 1, scale, estimates + shifts, before_call)

    def _refined(self, index: int, scale: ScaleImages, estimates: Tensor, before_call: Callable[..., None]) -> Tensor:
        """Positions (passes, n, d) that a scale finds around estimates (passes, n, d), a network call a batch."""
        size = self.settings.crop_size
        found = torch.empty_like(estimates).flatten(0, 1)
        for part in _batches(len(found), size ** estimates.shape[-1]):
            before_call(index, part.start / len(found))
            around = estimates.flatten(0, 1)[part]
            landmarks = torch.arange(len(found), device=found.device)[part] % estimates.shape[1]
            cases = torch.zeros_like(landmarks)
            found[part] = refined_positions(self.networks[index], scale, cases, landmarks, around, crop_size=size)
        return found.view_as(estimates)

    def _shared(
        self, scale: ScaleImages, estimates: Tensor, shifts: Tensor, before_call: Callable[..., None]
    ) -> Tensor:
        """What `_refined` finds around shifted estimates, but for the borders, from one heatmap a landmark."""
        network, size = self.networks[-1], self.settings.crop_size
        shifts = shifts / scale.factor
        middle = (shifts.amin((0, 1)) + shifts.amax((0, 1))) / 2
        reach = math.ceil(2 * float((shifts - middle).abs().max()))
        union = network.fitting_side(size + reach)
        centres = scale.at_scale(estimates) + middle
        found = torch.empty_like(shifts)
        for part in _batches(len(estimates), union ** estimates.shape[-1]):
            before_call(len(self.networks) - 1, part.start / len(estimates))
            landmarks = torch.arange(len(estimates), device=found.device)[part]
            crops = resampled_crops(scale.images, torch.zeros_like(landmarks), centres[part], union, scale.window)
            heatmaps = network.own_heatmaps(crops.to(network.dtype), landmarks)
            starts = first_voxels(shifts[:, part] - middle + (union - 1) / 2, size)
            within = centres_of_windows(heatmaps, starts.transpose(0, 1), size)
            found[:, part] = first_voxels(centres[part], union) + within.transpose(0, 1)
        return scale.on_grid(found)


def _batches(crops: int, voxels_a_crop: int) -> Iterator[slice]:
    """Crops in turn, as many at a time as one call may hold."""
    step = max(1, _VOXELS_A_CALL // voxels_a_crop)
    return (slice(start, min(start + step, crops)) for start in range(0, crops, step))
