"""Both stages of a cascade in training: their losses, and the model as it is [Tan 2019]."""

from __future__ import annotations

import torch
from torch import Tensor

from ..detectors.cascade import CascadeNetworkSettings
from ..models.bundle import ModelBundle
from ..models.card import ModelCard
from ..networks.cascade import CascadeNetwork
from .cascade_samples import CascadeBatch, CascadeSamples
from .heatmaps import heatmap_loss, hottest_assignment, target_heatmaps


class CascadeLearner:
    """Both stages of a cascade in training.

    Args:
        card: of the model to be.
        settings: of its networks.
        network: to train.
        samples: to train it with.
        weights_are_constant: whether the weights of the heatmaps' loss are constants to its gradient.
    """

    def __init__(
        self,
        card: ModelCard,
        settings: CascadeNetworkSettings,
        network: CascadeNetwork,
        samples: CascadeSamples,
        *,
        weights_are_constant: bool,
    ) -> None:
        self._card = card
        self._settings = settings
        self.network = network
        self.samples = samples
        self._weights_are_constant = weights_are_constant

    def loss(self, batch: CascadeBatch, _done: float) -> Tensor:
        """The losses of both stages, added: no weight is in both, so that each learns as if alone."""
        return self._heatmap_loss(batch) + self._displacement_loss(batch)

    def bundle(self) -> ModelBundle:
        """The model as it is now."""
        return ModelBundle(self._card, self.tensors(), None, "")

    def tensors(self) -> dict[str, Tensor]:
        """The weights as stored in a bundle."""
        return {name: value.detach().cpu() for name, value in self.network.state_dict().items()}

    def _heatmap_loss(self, batch: CascadeBatch) -> Tensor:
        """Loss of the first stage; interchangeable labels are assigned as its own heat is greater, or else as given."""
        outputs = self.network.coarse.with_side_paths(batch.images)
        positions, is_shown, heat = hottest_assignment(outputs[0].detach(), batch.positions, batch.is_shown)
        self.network.coarse.follow(heat, is_shown)
        settings, sides = self._settings, outputs[0].shape[2:]
        target = target_heatmaps(positions, is_shown, sides, settings.sigma, settings.height)
        is_placed = torch.isfinite(positions).all(-1)
        is_known = torch.cat([is_placed, torch.ones_like(is_placed[:, :1])], dim=1)
        return heatmap_loss(outputs, target, is_known, weights_are_constant=self._weights_are_constant)

    def _displacement_loss(self, batch: CascadeBatch) -> Tensor:
        """Mean distance in millimetres between predicted and true displacements [Tan 2019: "Euclidean loss"]."""
        is_known = torch.isfinite(batch.displacements).all(-1)
        spacing_mm = self.samples.spacing_mm.to(is_known.device)
        distances = []
        for index, network in enumerate(self.network.local):
            known = is_known[index]
            # All patches, known or not, because a network must see something in every step.
            errors = network(batch.patches[index]).float() - batch.displacements[index]
            errors = torch.where(known[:, None], errors, 0.0)
            if known.any():
                network.follow(errors.detach()[known])
            distances.append(torch.linalg.vector_norm(errors * spacing_mm, dim=-1))
        return torch.stack(distances).sum() / is_known.sum().clamp(min=1)
