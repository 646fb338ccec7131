"""What a run found in one case: the detection, and the planes and measurements that follow from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from .errors import LandmarkDetectionError
from .landmarks import Detection
from .measurements import Measurement, measure
from .models.joint_card import AnyCard
from .planes import StandardPlane, standard_plane

Definition = TypeVar("Definition")
Finding = TypeVar("Finding")


@dataclass(frozen=True, eq=False)
class CaseResult:
    """One case of a run.

    Attributes:
        name: of the case; its files in the results folder begin with it.
        source: the image.
        card: of the model that was used, or of the models; None if it is not at hand, as for a case of an earlier run.
        detection: what was found, None if the case failed.
        failure: one sentence that says why the case failed, or empty.
        is_kept: whether an earlier run found this, and the run kept it.
    """

    name: str
    source: Path
    card: AnyCard | None
    detection: Detection | None
    failure: str = ""
    is_kept: bool = False

    @property
    def model(self) -> str:
        """Name and version of the model or models, empty if they are not known."""
        if self.detection is not None:
            return f"{self.detection.model_name} {self.detection.model_version}"
        return "" if self.card is None else f"{self.card.name} {self.card.version}"

    @property
    def planes(self) -> list[StandardPlane]:
        """Those of the card's planes that the landmarks define."""
        return self._planes[0]

    @property
    def measurements(self) -> list[Measurement]:
        """Those of the card's measurements that the landmarks allow."""
        return self._measurements[0]

    @property
    def notes(self) -> list[str]:
        """Sentences to read: what the detector notes, and which planes and measurements there are not, and why."""
        notes = self.detection.notes if self.detection else ()
        return [*notes, *self._planes[1], *self._measurements[1]]

    @cached_property
    def _planes(self) -> tuple[list[StandardPlane], list[str]]:
        if self.detection is None or self.card is None:
            return [], []
        landmarks = self.detection.landmark_set
        return _possible(self.card.planes, lambda definition: standard_plane(definition, landmarks))

    @cached_property
    def _measurements(self) -> tuple[list[Measurement], list[str]]:
        if self.detection is None or self.card is None:
            return [], []
        return _possible(self.card.measurements, lambda definition: measure(definition, self.detection))


def plane_image_stem(case_name: str, plane_name: str) -> str:
    """Name, without suffix, of the image of a case on a plane; a plane may be called anything, a file may not."""
    in_letters_of_files = re.sub(r"[^\w.-]", "_", plane_name)
    return f"{case_name}_{in_letters_of_files}"


def _possible(
    definitions: Iterable[Definition], make: Callable[[Definition], Finding]
) -> tuple[list[Finding], list[str]]:
    """What can be made of the definitions, and one sentence for each of which nothing can."""
    findings, problems = [], []
    for definition in definitions:
        try:
            findings.append(make(definition))
        except LandmarkDetectionError as error:
            problems.append(str(error))
    return findings, problems
