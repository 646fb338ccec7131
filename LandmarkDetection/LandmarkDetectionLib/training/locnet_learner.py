"""The networks of the multi-scale Loc-Net in training: what all scales find, and what it costs [Ma 2020, section 2]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..detectors.locnet_scales import MultiscaleLocNetSettings, Sighting, coarse_sighting, refined_sighting
from ..models.bundle import ModelBundle
from ..models.card import ModelCard
from ..networks.locnet import contracted
from .locnet_recipe import MultiscaleLocNetTraining
from .locnet_samples import LocNetBatch, LocNetSamples
from .locnet_schedule import scale_weights


class MultiscaleLocNetLearner:
    """The networks of all scales in training.

    Args:
        card: of the model to be.
        settings: of the networks.
        network: all of them.
        samples: to train them with.
        choices: of the training.
    """

    def __init__(
        self,
        card: ModelCard,
        settings: MultiscaleLocNetSettings,
        network: nn.ModuleList,
        samples: LocNetSamples,
        choices: MultiscaleLocNetTraining,
    ) -> None:
        self._card = card
        self._settings = settings
        self.network = network
        self.samples = samples
        self._choices = choices

    def loss(self, batch: LocNetBatch, done: float) -> Tensor:
        """Losses in mm^2, weighted by scale; interchangeable ends in the order that fits better."""
        sightings = self._sightings(batch)
        weights = self._weights(done, len(sightings))
        # Positions need more than the eight bits of autocast.
        with torch.autocast(batch.truths.device.type, enabled=False):
            losses = [weight * self._loss_mm2(batch, one) for weight, one in zip(weights, sightings, strict=True)]
        return torch.stack(losses).sum(0).amin(1).mean()

    def _weights(self, done: float, scales: int) -> tuple[float, ...]:
        choices = self._choices
        if not choices.is_end_to_end:
            return (0.0,) * (scales - 1) + (1.0,)
        return scale_weights(done, scales, middle_peak=choices.middle_peak, least=choices.least_weight)

    def bundle(self) -> ModelBundle:
        """The model as it is now."""
        return ModelBundle(self._card, self.tensors(), None, "")

    def tensors(self) -> dict[str, Tensor]:
        """The weights as stored in a bundle."""
        return {name: value.detach().cpu() for name, value in self.network.state_dict().items()}

    def _sightings(self, batch: LocNetBatch) -> Sequence[Sighting]:
        """By scale; each scale's crops follow the one before, and gradients run through them."""
        seen = [coarse_sighting(self.network[0], batch.scales[0])]
        followed = batch.followed
        for index, (network, scale) in enumerate(zip(self.network[1:], batch.scales[1:], strict=True), start=1):
            cases, landmarks, estimates = (
                part[followed] for part in (seen[-1].cases, seen[-1].landmarks, seen[-1].positions)
            )
            if index == len(batch.scales) - 1:
                estimates = estimates + batch.shifts
            seen.append(
                refined_sighting(network, scale, cases, landmarks, estimates, crop_size=self._settings.crop_size)
            )
            followed = slice(None)
        return seen

    def _loss_mm2(self, batch: LocNetBatch, sighting: Sighting) -> Tensor:
        """Loss (batch, alternatives) of one scale: the squared error, and the cross-entropy of softmax heatmaps."""
        truths = batch.truths[sighting.cases, :, sighting.landmarks]
        is_shown = batch.is_shown[sighting.cases, :, sighting.landmarks]
        spacing_mm = self.samples.spacing_mm.to(truths.device)
        squares = squared_errors_mm2(sighting.positions, truths, is_shown, spacing_mm)
        loss = _means(squares, is_shown, sighting.cases, len(batch.truths))
        if self._settings.heatmap == "relu":
            return loss
        positions = sighting.scale.at_scale(truths) - sighting.firsts.detach()[:, None]
        surprises = cross_entropies(sighting.channels, positions, is_shown)
        is_known = torch.isfinite(truths).all(-1)
        return loss + self._choices.cross_entropy_mm2 * _means(surprises, is_known, sighting.cases, len(batch.truths))


def squared_errors_mm2(positions: Tensor, truths: Tensor, is_shown: Tensor, spacing_mm: Tensor) -> Tensor:
    """Squared distances (points, alternatives); 0 where there is nothing to be seen.

    Args:
        positions: (points, d) in voxels, array order.
        truths: (points, alternatives, d).
        is_shown: (points, alternatives).
        spacing_mm: (d,) size of a voxel.
    """
    # Not a product with the mask: NaN times zero is NaN, in gradients too.
    offsets = torch.where(is_shown[..., None], truths - positions[:, None], 0.0)
    return ((offsets * spacing_mm) ** 2).sum(-1)


def cross_entropies(channels: Tensor, positions: Tensor, is_shown: Tensor) -> Tensor:
    """Cross-entropy (points, alternatives) of the softmax over all voxels and "nowhere", whose channel is 0.

    The truth is spread over the voxels around the position by linear interpolation; it is "nowhere" where the landmark
    is not shown or lies beyond the voxels.

    Args:
        channels: (points, ...).
        positions: (points, alternatives, d) in voxels of the channels, array order.
        is_shown: (points, alternatives).
    """
    profiles = []
    for axis, side in enumerate(channels.shape[1:]):
        offsets = torch.arange(side, device=channels.device) - positions[..., axis, None]
        profiles.append(torch.where(is_shown[..., None], 1.0 - offsets.abs(), 0.0).clamp(min=0.0))
    return functional.softplus(channels.flatten(1).logsumexp(1))[:, None] - contracted(channels, profiles)


def _means(values: Tensor, is_counted: Tensor, cases: Tensor, count: int) -> Tensor:
    """Means (count, alternatives) of the values (points, alternatives) that count, by case; 0 where none does."""
    sums = torch.zeros(2, count, values.shape[1], device=values.device, dtype=values.dtype)
    sums = sums.index_add(1, cases, torch.stack([torch.where(is_counted, values, 0.0), is_counted.to(values.dtype)]))
    return sums[0] / sums[1].clamp(min=1.0)
