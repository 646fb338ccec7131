"""The cases of a dataset, decoded once for a training and held in memory."""

from __future__ import annotations

from dataclasses import dataclass

from tqdm import tqdm

from ..errors import LandmarkDetectionError
from ..files.dataset import Dataset
from ..landmarks import LandmarkSet
from ..volume import Volume


@dataclass(frozen=True, eq=False)
class TrainingCase:
    """A volume and its true landmarks."""

    name: str
    volume: Volume
    landmarks: LandmarkSet


def read_cases(dataset: Dataset, split: str) -> list[TrainingCase]:
    """Volumes and true landmarks of one split.

    Raises:
        LandmarkDetectionError: if the split is empty or a case cannot be read.
    """
    cases = dataset.split(split)
    if not cases:
        message = f'{dataset.path}: its split "{split}" has no case; name some in its dataset.json.'
        raise LandmarkDetectionError(message)
    return [
        TrainingCase(case.name, case.read_volume(), case.read_landmarks())
        for case in tqdm(cases, desc=f"Reading {split}", unit="case", leave=False)
    ]
