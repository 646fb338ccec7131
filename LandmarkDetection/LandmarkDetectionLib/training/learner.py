"""Learning a network: the part of it that does not depend on the method."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import IterableDataset

from ..models.bundle import ModelBundle
from .job import TrainingJob, mean_error_mm
from .loop import MONITORED, Loop
from .recipe import Optimisation

_WARM_UP_STEPS = 200


class Learner(Protocol):
    """What a method tells the loop.

    Attributes:
        network: all that learns.
        samples: endless batches; a batch has a method `to(device)`.
    """

    network: nn.Module
    samples: IterableDataset

    def loss(self, batch: Any, done: float) -> Tensor:
        """Loss of a batch, when a share of the training from 0 to 1 is done."""

    def bundle(self) -> ModelBundle:
        """The model as it is now, ready for its detector."""


def fit(
    job: TrainingJob, learner: Learner, *, optimisation: Optimisation | None = None, folder: Path | None = None
) -> float:
    """Train a learner's network; leaves the weights with the smallest validation error in it and returns that error.

    Args:
        job: the training.
        learner: what to learn.
        optimisation, folder: the job's unless given, for one of several networks that are trained in turn.

    Raises:
        LandmarkDetectionError: as `Loop.fit`.
    """
    optimisation = optimisation or job.recipe.optimisation
    loop = Loop(folder or job.folder, optimisation, job.device, job.ranks)

    def validation_error_mm() -> float:
        return job.ranks.agreed(lambda: mean_error_mm(learner.bundle(), job.validation, job.device.type))

    module = LearningModule(
        learner, optimisation, elapsed_share=loop.elapsed_share, validation_error_mm=validation_error_mm
    )
    return loop.fit(module, learner.samples, resume=job.resume)


class LearningModule(lightning.LightningModule):
    """A learner as lightning wants it.

    Args:
        learner: what to learn.
        optimisation: rate, decay and length.
        elapsed_share: share of the allowed wall time that has passed.
        validation_error_mm: mean error of the network over the validation cases.
    """

    def __init__(
        self,
        learner: Learner,
        optimisation: Optimisation,
        *,
        elapsed_share: Callable[[], float],
        validation_error_mm: Callable[[], float],
    ) -> None:
        super().__init__()
        self.network = learner.network
        self._learner = learner
        self._optimisation = optimisation
        self._elapsed_share = elapsed_share
        self._validation_error_mm = validation_error_mm

    def training_step(self, batch: Any, _index: int) -> Tensor:
        """Loss of a batch."""
        loss = self._learner.loss(batch, self._done(self.global_step))
        self.log("loss", loss, prog_bar=True, batch_size=1)
        return loss

    def validation_step(self, _batch: Tensor, _index: int) -> None:
        """Detect on the validation cases with the detector's own code."""
        # Detection chooses its own precision; the training's would round positions.
        with torch.autocast(self.device.type, enabled=False):
            error_mm = self._validation_error_mm()
        self.log(MONITORED, error_mm, prog_bar=True, batch_size=1)

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
        return min(1.0, (step + 1) / _WARM_UP_STEPS) * 0.5 * (1.0 + math.cos(math.pi * self._done(step)))

    def _done(self, step: int) -> float:
        return min(max(step / self._optimisation.steps, self._elapsed_share()), 1.0)
