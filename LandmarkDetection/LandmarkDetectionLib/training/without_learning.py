"""Methods that learn no weights: what their recipes say of the optimisation, and how their models are judged."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..errors import LandmarkDetectionError
from ..models.bundle import ModelBundle
from ..models.card import ModelCard
from .job import TrainedModel, TrainingJob, mean_error_mm

NO_OPTIMISATION: dict[str, Any] = {"steps": 1, "minutes": 1.0}
"""Every recipe has an optimisation; nobody reads this one."""


def check_starts_anew(job: TrainingJob) -> None:
    """Make sure that no weights are to be trained further.

    Raises:
        LandmarkDetectionError: if they are.
    """
    if job.initial is not None:
        message = f"The method {job.card.method} learns no weights that could go on from another model's; start anew."
        raise LandmarkDetectionError(message)


def judged(job: TrainingJob, card: ModelCard, tensors: dict[str, Tensor]) -> TrainedModel:
    """The model of a card and its tensors, with its error on the validation cases."""
    error_mm = mean_error_mm(ModelBundle(card, tensors, None, ""), job.validation, job.device.type)
    return TrainedModel(card, tensors, error_mm, has_chosen_weights=False)
