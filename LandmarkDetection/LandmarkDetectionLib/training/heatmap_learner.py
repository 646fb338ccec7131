"""Heatmap regression in training: its loss, and the model as it is [Payer 2019]."""

from __future__ import annotations

import torch
from torch import Tensor

from ..models.bundle import ModelBundle
from ..models.card import ModelCard
from ..networks.heatmap_regression import HeatmapRegression
from .heatmap_samples import HeatmapBatch, HeatmapSamples
from .heatmaps import gaussian_heatmaps, hottest_assignment


class HeatmapLearner:
    """A network of heatmaps in training.

    Args:
        card: of the model to be.
        network: to train.
        samples: to train it with.
        sigma_penalty: weight of the spots' squared deviations.
    """

    def __init__(
        self,
        card: ModelCard,
        network: HeatmapRegression,
        samples: HeatmapSamples,
        *,
        sigma_penalty: float,
    ) -> None:
        self._card = card
        self.network = network
        self.samples = samples
        self._sigma_penalty = sigma_penalty

    def loss(self, batch: HeatmapBatch, _done: float) -> Tensor:
        """Half of the squared errors of the heatmaps and of the weighted squares of the spots' deviations, an image.

        Both learn from the first: the heatmaps what the spots are, the spots how narrow the heatmaps can be.
        """
        heatmaps = self.network(batch.images)
        positions, is_shown, heat = hottest_assignment(heatmaps.detach(), batch.positions, batch.is_shown)
        self.network.follow(heat, is_shown)
        sigmas, sides = self.network.sigmas, heatmaps.shape[2:]
        with torch.autocast(heatmaps.device.type, enabled=False):
            heights = self.network.spot_heights(len(sides))
            target = gaussian_heatmaps(positions, is_shown, sides, sigmas, heights)
            is_known = torch.isfinite(positions).all(-1)
            squares = torch.where(is_known, (heatmaps - target).square().flatten(2).sum(-1), 0.0)
            penalties = torch.where(is_shown, sigmas.square(), 0.0)
            return (squares + self._sigma_penalty * penalties).sum() / (2 * len(heatmaps))

    def bundle(self) -> ModelBundle:
        """The model as it is now."""
        return ModelBundle(self._card, self.tensors(), None, "")

    def tensors(self) -> dict[str, Tensor]:
        """The weights as stored in a bundle."""
        return {name: value.detach().cpu() for name, value in self.network.state_dict().items()}
