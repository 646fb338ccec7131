"""One image of a dataset with the landmarks that people placed in it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import LandmarkDetectionError
from ..landmarks import LandmarkSet
from ..volume import Volume
from .images import read_volume
from .markups import read_markups

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Case:
    """One image with its landmarks.

    Attributes:
        name: stem of the image and markups files.
        volume_path: image file or DICOM folder; None if it is not there.
        landmarks_path: markups file with the reference landmarks; None if it is not there.
        observer_paths: markups file of each single observer, by the observer's name.
        spacing_mm, origin_mm: pixel size and centre (LPS) of the first pixel, for pictures that carry no geometry.
        subject: who is seen; cases of one subject stay together when cases are divided.
    """

    name: str
    volume_path: Path | None
    landmarks_path: Path | None
    observer_paths: Mapping[str, Path] = field(default_factory=dict)
    spacing_mm: tuple[float, ...] | None = None
    origin_mm: tuple[float, ...] | None = None
    subject: str = ""

    def read_volume(self, report: Callable[[str], None] = _log.warning) -> Volume:
        """The image.

        Raises:
            LandmarkDetectionError: if it is not there or cannot be read.
        """
        if self.volume_path is None:
            message = f"Case {self.name} has no image: add it to the folder volumes, or take the case out of the split."
            raise LandmarkDetectionError(message)
        return read_volume(self.volume_path, self.spacing_mm, self.origin_mm, report)

    def read_landmarks(self, observer: str | None = None) -> LandmarkSet:
        """The reference landmarks, or those of one observer.

        Raises:
            LandmarkDetectionError: if there are none or they cannot be read.
        """
        path = self.landmarks_path if observer is None else self.observer_paths.get(observer)
        if path is None:
            whose = "" if observer is None else f" by observer {observer}"
            message = f"Case {self.name} has no landmarks{whose}: add {self.name}.mrk.json to the folder landmarks."
            raise LandmarkDetectionError(message)
        return read_markups(path)
