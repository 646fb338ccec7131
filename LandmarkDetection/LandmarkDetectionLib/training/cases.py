"""The cases of a dataset, decoded once for a training and held in memory."""

from __future__ import annotations

from collections.abc import Sequence
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


class CaseReader:
    """Decodes each case of a dataset once, however often it is asked for."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._read: dict[str, TrainingCase] = {}

    def split(self, name: str) -> list[TrainingCase]:
        """The cases of one split.

        Raises:
            LandmarkDetectionError: if the split is empty or a case cannot be read.
        """
        cases = self._dataset.split(name)
        if not cases:
            message = f'{self._dataset.path}: its split "{name}" has no case; name some in its dataset.json.'
            raise LandmarkDetectionError(message)
        return self.named([case.name for case in cases])

    def named(self, names: Sequence[str]) -> list[TrainingCase]:
        """The cases of these names.

        Raises:
            LandmarkDetectionError: if one cannot be read.
        """
        wanted = [case for case in self._dataset.cases if case.name in set(names) - set(self._read)]
        is_hidden = not wanted or None  # None: unless a terminal shows it
        for case in tqdm(wanted, desc="Reading", unit="case", leave=False, disable=is_hidden):
            self._read[case.name] = TrainingCase(case.name, case.read_volume(), case.read_landmarks())
        return [self._read[name] for name in names]
