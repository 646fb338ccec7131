"""The networks of global-to-local in training: their losses, and how their weights are named in a bundle."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from ..detectors.global_to_local import (
    GLOBAL_PREFIX,
    GlobalToLocalNetworkSettings,
    grouped_local_tensors,
    local_prefix,
)
from ..models.bundle import ModelBundle
from ..models.card import ModelCard
from ..networks.global_to_local import Votes, VotingNetwork
from ..networks.grouping import separated
from ..networks.layers import channels_last
from .global_to_local_loss import voting_loss
from .global_to_local_samples import GlobalToLocalBatch, GlobalToLocalSamples
from .initial_weights import start_from

_RARE_LOGIT = -6.0
"""What every patch begins with: that it holds a landmark is true of one in 400, and takes long to learn from 1/2."""


class GlobalToLocalLearner:
    """The global network and all local ones, which share a loop but no weight: each learns as if it were alone.

    Args:
        card: of the model.
        settings: of its networks.
        samples: to train them with.
        classification_weight: of the patches' cross-entropy beside the displacements' mean error.
        initial: the bundle to start from, if any.
    """

    def __init__(
        self,
        card: ModelCard,
        settings: GlobalToLocalNetworkSettings,
        samples: GlobalToLocalSamples,
        classification_weight: float,
        initial: ModelBundle | None,
    ) -> None:
        self._card = card
        self._settings = settings
        self._classification_weight = classification_weight
        self.samples = samples
        landmarks = len(card.landmarks)
        self._global = settings.global_network(card.dimension, landmarks, is_normalised=True)
        self._local = settings.local_network(card.dimension, landmarks, is_normalised=True)
        if initial is None:
            self._expect_landmarks_to_be_rare()
        else:
            start_from(self._global, initial, GLOBAL_PREFIX)
            start_from(self._local, dataclasses.replace(initial, tensors=grouped_local_tensors(initial)))
        self.network = nn.ModuleList([self._global, self._local]).to(memory_format=channels_last(card.dimension))

    def _expect_landmarks_to_be_rare(self) -> None:
        for network in (self._global, self._local):
            if network.classification is not None:
                nn.init.constant_(network.classification[-1].bias, _RARE_LOGIT)

    def loss(self, batch: GlobalToLocalBatch, _done: float) -> Tensor:
        """Loss of the global network, each image judged by the labels that suit it best, and of the local ones."""
        votes = self._global(batch.images)
        losses = [
            self._loss(self._global, votes, batch.positions[:, alternative], batch.is_shown[:, alternative])
            for alternative in range(batch.positions.shape[1])
        ]
        is_shown = torch.ones_like(batch.local_positions[..., 0], dtype=torch.bool)
        local_loss = self._loss(self._local, self._local(batch.local_images), batch.local_positions, is_shown)
        return torch.stack(losses).amin(0).mean() + local_loss.mean()

    def _loss(self, network: VotingNetwork, votes: Votes, positions: Tensor, is_shown: Tensor) -> Tensor:
        return voting_loss(
            votes,
            positions,
            is_shown,
            network.patch_size,
            is_logarithmic=self._settings.is_logarithmic,
            classification_weight=self._classification_weight,
        )

    def tensors(self) -> dict[str, Tensor]:
        """The weights as stored in the model's bundle."""
        parts = {GLOBAL_PREFIX: self._global.state_dict()}
        for index, tensors in enumerate(separated(self._local.state_dict(), len(self._card.landmarks))):
            parts[local_prefix(index)] = tensors
        return {
            f"{prefix}{name}": tensor.detach().cpu()
            for prefix, tensors in parts.items()
            for name, tensor in tensors.items()
        }

    def bundle(self) -> ModelBundle:
        """The model as it is now."""
        return ModelBundle(self._card, self.tensors(), None, "")
