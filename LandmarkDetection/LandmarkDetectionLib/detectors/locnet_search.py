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
from ..shape_model import ShapeModel
from .differentiable_crop import first_voxels
from .locnet_scales import MultiscaleLocNetSettings, ScaleImages, Sighting, coarse_sighting, refined_sighting
from .shape_prior import ShapePrior

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
            differ.
        prior_rounds: how often what a scale sees of each landmark is weighed by where the card's shape model expects
            it, given the others; not at the last scale, unless there is no other. The paper has no such prior, and one
            model a landmark; without it, networks may take one of several look-alikes, such as vertebrae, for another.
    """

    passes: int = 50
    last_scale: Literal["separate", "shared"] = "separate"
    prior_rounds: int = 0

    def __post_init__(self) -> None:
        for name in ("passes", "prior_rounds"):
            if getattr(self, name) < 0:
                raise FieldError(name, "must not be negative")


@dataclass(frozen=True, eq=False)
class Sightings:
    """What a search finds, in voxels of the model's grid and array order.

    Attributes:
        passes: (passes, n, d) by the passes of the last scale, one of them where none is shifted.
        path: (scales, n, d) by each scale, the last one on average.
        presence_logits: (scales, n) that what each scale sees holds the landmark.
        spreads: (n, d, d) covariances of the heatmaps of a single scale, which has no passes; None of several.
    """

    passes: FloatArray
    path: FloatArray
    presence_logits: FloatArray
    spreads: FloatArray | None

    @property
    def covariances(self) -> FloatArray:
        """How uncertain the positions are (n, d, d): as the passes scatter, or as the heatmaps of a single scale do."""
        if self.spreads is not None:
            return self.spreads
        offsets = self.passes - self.passes.mean(0)
        return np.einsum("pni,pnj->nij", offsets, offsets) / max(len(offsets) - 1, 1)


def together(sightings: Sequence[Sightings]) -> Sightings:
    """The means of what several searches of one image find.

    The passes of each are moved onto the mean of all, so that they scatter as they do where one searches alone, which
    is what a calibration knows.
    """
    if len(sightings) == 1:
        return sightings[0]
    path, logits = (np.mean([getattr(one, name) for one in sightings], 0) for name in ("path", "presence_logits"))
    middle = np.mean([one.passes.mean(0) for one in sightings], 0)
    passes = np.concatenate([one.passes - one.passes.mean(0) + middle for one in sightings])
    spreads = None if sightings[0].spreads is None else np.mean([one.spreads for one in sightings], 0)
    return Sightings(passes, path, logits, spreads)


class LocNetSearch:
    """The networks of all scales, ready to find landmarks.

    Args:
        networks: as `MultiscaleLocNetSettings.networks` makes them, in evaluation mode.
        settings, inference: from the model card.
        shape_model: of the landmarks, needed where the inference has rounds of the prior.
    """

    def __init__(
        self,
        networks: nn.ModuleList,
        settings: MultiscaleLocNetSettings,
        inference: MultiscaleLocNetInference,
        shape_model: ShapeModel | None = None,
    ) -> None:
        self.networks = networks
        self.settings = settings
        self.inference = inference
        self._shape_model = shape_model

    def run(
        self,
        scales: Sequence[ScaleImages],
        spacing_mm: FloatArray,
        generator: np.random.Generator,
        *,
        progress: Callable[[float, str], None],
        cancelled: Callable[[], bool],
    ) -> Sightings:
        """Find the landmarks in one image.

        Args:
            scales: of the image, coarsest first, on the networks' device.
            spacing_mm: (d,) voxel size of the model's grid, array order.
            generator: of the shifts.
            progress: told a fraction and a text between calls of a network.
            cancelled: asked there too.

        Raises:
            DetectionCancelled: as soon as `cancelled()` is true between two calls.
        """

        def before_call(index: int, done: float = 0.0) -> None:
            if cancelled():
                raise DetectionCancelled
            spacing = spacing_mm[0] * self.settings.pooling[index]
            progress((index + done) / len(scales), f"Looking at voxels of {spacing:g} mm")

        prior = self._prior(spacing_mm)
        with torch.inference_mode():
            before_call(0)
            whole = coarse_sighting(self.networks[0], scales[0])
            found = self._agreed([whole], spacing_mm, prior)
            path, logits = [found[0][0]], [found[1][0]]
            spreads = _to_numpy(whole.covariances(self.networks[0])) if len(scales) == 1 else None
            for index in range(1, len(scales)):
                estimates = path[-1][None]
                if index < len(scales) - 1:
                    looks = self._looks(index, scales[index], estimates, before_call)
                    found = self._agreed([sighting for _, sighting in looks], spacing_mm, prior)
                else:
                    found = self._last(
                        scales[index], estimates, self._shifts(spacing_mm, path[-1], generator), before_call
                    )
                path.append(found[0].mean(0))
                logits.append(found[1].mean(0))
        return Sightings(_to_numpy(found[0]), _to_numpy(torch.stack(path)), _to_numpy(torch.stack(logits)), spreads)

    def _prior(self, spacing_mm: FloatArray) -> ShapePrior | None:
        """Where the landmarks expect each other, if the inference asks for that."""
        if self._shape_model is None or self.inference.prior_rounds == 0:
            return None
        tolerance_mm = (spacing_mm * self.settings.pooling[0]).mean() / 2
        return ShapePrior.of(self._shape_model, len(spacing_mm), tolerance_mm)

    def _agreed(
        self, sightings: Sequence[Sighting], spacing_mm: FloatArray, prior: ShapePrior | None
    ) -> tuple[Tensor, Tensor]:
        """Positions (1, n, d) that a scale finds, weighed by the others if there is a prior, and presence logits."""
        positions = torch.cat([sighting.positions for sighting in sightings])
        logits = torch.cat([sighting.presence_logits for sighting in sightings])
        if prior is not None:
            masses = np.concatenate([_to_numpy(sighting.masses(self.networks[0])) for sighting in sightings])
            places_mm = np.concatenate([_to_numpy(sighting.voxels) for sighting in sightings]) * spacing_mm
            found_mm = prior.weighed(masses, places_mm, self.inference.prior_rounds)
            positions = torch.as_tensor(found_mm / spacing_mm, dtype=positions.dtype, device=positions.device)
        return positions[None], logits[None]

    def _shifts(self, spacing_mm: FloatArray, estimates: Tensor, generator: np.random.Generator) -> Tensor:
        """Shifts (passes, n, d) of the last scale's crops."""
        if self.inference.passes == 0:
            return torch.zeros_like(estimates)[None]
        shifts_mm = generator.uniform(*self.settings.noise_range_mm, (self.inference.passes, *estimates.shape))
        return torch.as_tensor(shifts_mm / spacing_mm, dtype=estimates.dtype, device=estimates.device)

    def _last(
        self, scale: ScaleImages, estimates: Tensor, shifts: Tensor, before_call: Callable[..., None]
    ) -> tuple[Tensor, Tensor]:
        """Positions (passes, n, d) that the last scale finds around shifted estimates (1, n, d), presence logits."""
        if self.inference.last_scale == "shared" and self.inference.passes > 0:
            return self._shared(scale, estimates[0], shifts, before_call)
        return self._refined(len(self.networks) - 1, scale, estimates + shifts, before_call)

    def _refined(
        self, index: int, scale: ScaleImages, estimates: Tensor, before_call: Callable[..., None]
    ) -> tuple[Tensor, Tensor]:
        """Positions and presence logits (passes, n) that a scale finds around estimates (passes, n, d)."""
        found = torch.empty_like(estimates.flatten(0, 1))
        logits = torch.empty_like(found[:, 0])
        for part, sighting in self._looks(index, scale, estimates, before_call):
            found[part], logits[part] = sighting.positions, sighting.presence_logits
        return found.view_as(estimates), logits.view(estimates.shape[:2])

    def _looks(
        self, index: int, scale: ScaleImages, estimates: Tensor, before_call: Callable[..., None]
    ) -> Iterator[tuple[slice, Sighting]]:
        """What a scale sees around estimates (passes, n, d), and which of these, pass after pass, by batches."""
        passes, count, axes = estimates.shape
        around, size = estimates.flatten(0, 1), self.settings.crop_size
        landmarks = torch.arange(count, device=estimates.device).repeat(passes)
        cases = torch.zeros_like(landmarks)
        for part in _batches(len(around), size**axes):
            before_call(index, part.start / len(around))
            own = cases[part], landmarks[part], around[part]
            yield part, refined_sighting(self.networks[index], scale, *own, crop_size=size)

    def _shared(
        self, scale: ScaleImages, estimates: Tensor, shifts: Tensor, before_call: Callable[..., None]
    ) -> tuple[Tensor, Tensor]:
        """What `_refined` finds around shifted estimates, but for the borders, from one crop a landmark."""
        network, size = self.networks[-1], self.settings.crop_size
        middle = (shifts.amin((0, 1)) + shifts.amax((0, 1))) / 2
        reach = math.ceil(2 * float((shifts - middle).abs().max()) / scale.factor)
        union = network.fitting_side(size + reach)
        landmarks = torch.arange(len(estimates), device=estimates.device)
        found, logits = torch.empty_like(shifts), torch.empty_like(shifts[:1, :, 0])
        for part in _batches(len(estimates), union ** estimates.shape[-1]):
            before_call(len(self.networks) - 1, part.start / len(estimates))
            cases, own = torch.zeros_like(landmarks[part]), landmarks[part]
            sighting = refined_sighting(network, scale, cases, own, estimates[part] + middle, crop_size=union)
            starts = first_voxels(scale.at_scale(estimates[part] + shifts[:, part]), size) - sighting.firsts
            heatmaps = network.weights(sighting.channels[:, None])[:, 0]
            within = centres_of_windows(heatmaps, starts.transpose(0, 1), size).transpose(0, 1)
            found[:, part], logits[0, part] = scale.on_grid(sighting.firsts + within), sighting.presence_logits
        return found, logits


def _batches(points: int, voxels_a_crop: int) -> Iterator[slice]:
    """Points in turn, as many at a time as one call may hold crops."""
    step = max(1, _VOXELS_A_CALL // voxels_a_crop)
    return (slice(start, min(start + step, points)) for start in range(0, points, step))


def _to_numpy(values: Tensor) -> FloatArray:
    # Not every device has double precision.
    return values.cpu().double().numpy()
