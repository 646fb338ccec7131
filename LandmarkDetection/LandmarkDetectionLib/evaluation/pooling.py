"""Several evaluations as one: the folds of a cross-validation, and the test split beside them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import chain

from ..errors import LandmarkDetectionError
from .assembly import assembled
from .outcome import Evaluation


def pooled(evaluations: Sequence[Evaluation], split: str) -> Evaluation:
    """All cases of evaluations of the same landmarks in one table, every number of the report computed anew.

    Each case keeps the baselines of its own evaluation, made from that fold's training cases alone.

    Args:
        evaluations: at least one; their cases differ.
        split: what the report calls all of them, for example "5 folds".

    Returns:
        An evaluation named after the first one's model; without a checksum if the weights differ.

    Raises:
        LandmarkDetectionError: if they compare different landmarks, or a case is in two of them.
    """
    studies = [evaluation.study for evaluation in evaluations]
    outcomes = list(chain.from_iterable(evaluation.outcomes for evaluation in evaluations))
    names = [outcome.case.name for outcome in outcomes]
    if any(study.labels != studies[0].labels for study in studies):
        message = "These evaluations compare different landmarks: pool those of models of the same landmarks."
        raise LandmarkDetectionError(message)
    if len(set(names)) < len(names):
        message = "A case is in two of these evaluations and would count twice: pool evaluations of different cases."
        raise LandmarkDetectionError(message)
    model = studies[0].model
    if len({study.model.weights_sha256 for study in studies}) > 1:
        model = dataclasses.replace(model, weights_sha256="")
    return assembled(dataclasses.replace(studies[0], split=split, model=model), outcomes)
