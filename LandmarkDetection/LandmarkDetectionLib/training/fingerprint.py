"""What the trainings of all folds must have in common, in one number."""

from __future__ import annotations

import dataclasses
import hashlib
import json

from ..files.dataset import Dataset
from ..models.bundle import ModelBundle
from .recipe import TrainingRecipe


def training_fingerprint(method: str, recipe: TrainingRecipe, initial: ModelBundle | None, dataset: Dataset) -> str:
    """SHA-256 of the method, the settings but for how long is trained, the weights to start from, and all points."""
    settings = dataclasses.asdict(recipe)
    del settings["optimisation"], settings["card"]
    cases = [*dataset.split("train"), *dataset.split("validation")]
    points = {case.name: case.read_landmarks().to_array(dataset.labels).tolist() for case in cases}
    start = "" if initial is None else initial.card.weights_sha256
    content = json.dumps([method, settings, start, dataset.labels, points], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()
