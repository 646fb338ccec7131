"""The learning of one PIN network: its loss, its optimiser, and its validation in millimetres."""

from __future__ import annotations

import math
from collections.abc import Callable

import lightning
import torch
from torch import Tensor
from torch.nn import functional

from ..networks.pin import PINNetwork
from .pin_samples import PINBatch
from .recipe import Optimisation

_WARM_UP_STEPS = 200


class PINModule(lightning.LightningModule):
    """One PIN network in training.

    Args:
        network: to train.
        alpha: weight of the classification loss.
        optimisation: rate, decay and length.
        elapsed_share: share of the allowed wall time that has passed.
        follow: told where the network moves the samples of each batch.
        validation_error_mm: mean error of the network over the validation cases.
    """

    def __init__(
        self,
        network: PINNetwork,
        alpha: float,
        optimisation: Optimisation,
        *,
        elapsed_share: Callable[[], float],
        follow: Callable[[PINBatch, Tensor], None],
        validation_error_mm: Callable[[PINNetwork], float],
    ) -> None:
        super().__init__()
        self.network = network
        self._alpha = alpha
        self._optimisation = optimisation
        self._elapsed_share = elapsed_share
        self._follow = follow
        self._validation_error_mm = validation_error_mm

    def training_step(self, batch: PINBatch, _index: int) -> Tensor:
        """Joint loss of a batch [Li 2018, equation 2]."""
        displacements, logits = self.network(batch.patches)
        self._follow(batch, displacements.detach())
        loss = joint_loss(displacements, logits, batch.displacements, batch.directions, self._alpha)
        self.log("loss", loss, prog_bar=True)
        return loss

    def validation_step(self, _batch: Tensor, _index: int) -> None:
        """Detect on the validation cases with the detector's own code."""
        # Detection chooses its own precision; the training's would round positions.
        with torch.autocast(self.device.type, enabled=False):
            error_mm = self._validation_error_mm(self.network)
        self.log("validation_error_mm", error_mm, prog_bar=True, batch_size=1)

    def configure_optimizers(self) -> dict:
        """Adam, warmed up, then brought down along a cosine by whichever ends first, steps or time."""
        optimiser = torch.optim.AdamW(
            self.network.parameters(),
            lr=self._optimisation.learning_rate,
            betas=(0.9, 0.999),
            weight_decay=self._optimisation.weight_decay,
        )
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, self._rate)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _rate(self, step: int) -> float:
        if self._optimisation.constant_rate:
            return 1.0
        done = min(max(step / self._optimisation.steps, self._elapsed_share()), 1.0)
        return min(1.0, (step + 1) / _WARM_UP_STEPS) * 0.5 * (1.0 + math.cos(math.pi * done))


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
