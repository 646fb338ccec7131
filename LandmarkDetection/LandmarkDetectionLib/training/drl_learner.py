"""Landmark agents in training: what their values should be, and how far they are from it."""

from __future__ import annotations

import copy

import torch
from torch import Tensor
from torch.nn import functional

from ..detectors.drl import NETWORK_PREFIX
from ..models.bundle import ModelBundle
from ..models.card import ModelCard
from ..networks.drl import AgentsNetwork
from .drl_recipe import DRLTraining
from .drl_samples import DRLBatch, DRLSamples


class DRLLearner:
    """Deep Q-learning with experience replay, a target network and epsilon-greedy walks [Mnih 2015; Alansary 2019].

    Args:
        card: of the model to be.
        network: to train.
        samples: experiences; this adds to them.
        starts: tensors of the bundle that tell where walks start.
        choices: of the training.
    """

    def __init__(
        self,
        card: ModelCard,
        network: AgentsNetwork,
        samples: DRLSamples,
        starts: dict[str, Tensor],
        choices: DRLTraining,
    ) -> None:
        self._card = card
        self.network = network
        self.samples = samples
        self._starts = starts
        self._choices = choices
        self._target = copy.deepcopy(network).requires_grad_(False)
        self._losses = 0

    def loss(self, batch: DRLBatch, done: float) -> Tensor:
        """Huber loss of the values of the actions taken; then the walkers go on."""
        if self._losses % self._choices.target_every == 0:
            self._target.load_state_dict(self.network.state_dict())
            self._target.to(batch.rewards.device)
        self._losses += 1
        values = self.network(batch.before).float().gather(-1, batch.actions[..., None])[..., 0]
        with torch.no_grad():
            later = self._target(batch.after).float().amax(-1)
            self.samples.walk_on(self.network(batch.seen), self._choices.exploration(done))
        targets = bellman_targets(batch.rewards, later, batch.has_arrived, self._choices.discount)
        return functional.smooth_l1_loss(values[batch.is_known], targets[batch.is_known])

    def bundle(self) -> ModelBundle:
        """The model as it is now."""
        return ModelBundle(self._card, self.tensors(), None, "")

    def tensors(self) -> dict[str, Tensor]:
        """The weights and the starts as stored in a bundle."""
        weights = {f"{NETWORK_PREFIX}{name}": value.detach().cpu() for name, value in self.network.state_dict().items()}
        return weights | self._starts


def bellman_targets(rewards: Tensor, later: Tensor, has_arrived: Tensor, discount: float) -> Tensor:
    """What the values of actions should be: the reward, and what the best action earns afterwards, if there is one.

    Args:
        rewards: (batch, n).
        later: (batch, n) value of the best action in the state that follows, by the target network.
        has_arrived: (batch, n) whether no state follows.
        discount: of what is earned one step later.
    """
    return rewards + discount * torch.where(has_arrived, 0.0, later)
