"""One PIN network in training: what it finds, its loss, and how its weights are named in a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from ..detectors.pin import DEVIATION
from ..models.bundle import ModelBundle
from ..models.card import ModelCard
from ..networks.pin import PINNetwork
from ..shape_model import ShapeModel
from .pin_samples import PINBatch, PINSamples


@dataclass(frozen=True)
class NetworkPart:
    """One network of a model: its card as a model of its own, its landmarks in the pool, its space and its folder.

    `prefix` begins the names of its tensors; it is empty where the network is the whole model.
    """

    card: ModelCard
    landmarks: list[int]
    shape_model: ShapeModel
    folder: Path
    prefix: str = ""

    def tensors(self, network: PINNetwork, *, alone: bool = False) -> dict[str, Tensor]:
        """The weights as stored in the model's bundle, or in that of a model with this network alone."""
        prefix = "0." if alone and self.prefix else self.prefix
        named = {f"{prefix}{name}": value.detach().cpu() for name, value in network.state_dict().items()}
        if prefix:
            named[f"{prefix}{DEVIATION}"] = torch.tensor(self.shape_model.standard_deviations_mm[0]).float()
        return named


class PINLearner:
    """One PIN network in training.

    Args:
        part: what the network finds.
        network: to train.
        samples: to train it with.
        alpha: weight of the classification loss.
    """

    def __init__(self, part: NetworkPart, network: PINNetwork, samples: PINSamples, alpha: float) -> None:
        self._part = part
        self.network = network
        self.samples = samples
        self._alpha = alpha

    def loss(self, batch: PINBatch, _done: float) -> Tensor:
        """Joint loss of a batch, whose samples are followed [Li 2018, equation 2]."""
        displacements, logits = self.network(batch.patches)
        self.samples.follow(batch, displacements.detach())
        return joint_loss(displacements, logits, batch.displacements, batch.directions, self._alpha)

    def bundle(self) -> ModelBundle:
        """The part as a model of its own."""
        return ModelBundle(self._part.card, self._part.tensors(self.network, alone=True), None, "")


def joint_loss(
    displacements: Tensor, logits: Tensor, true_displacements: Tensor, directions: Tensor, alpha: float
) -> Tensor:
    """Regression and classification loss of a batch [Li 2018, equation 2].

    Args:
        displacements, true_displacements: (batch, outputs).
        logits: (batch, 2 * outputs).
        directions: (batch,) index of the true direction.
        alpha: weight of the classification.
    """
    regression = functional.mse_loss(displacements.float(), true_displacements)
    return (1.0 - alpha) * regression + alpha * functional.cross_entropy(logits.float(), directions)
