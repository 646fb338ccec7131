"""Dataset folders: images with the landmarks that people placed in them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import LandmarkDetectionError
from ..landmarks import LandmarkDefinition, LandmarkSet
from ..volume import Volume
from .dataset_json import DatasetDescription, read_description, side_of, subject_of
from .image_names import find_images, image_stem, is_picture
from .images import read_volume
from .markups import markups_stem, read_markups

_log = logging.getLogger(__name__)

DESCRIPTION_FILE = "dataset.json"
DEFAULT_SPLIT = "train"
"""Where every case of a folder without splits belongs."""


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


@dataclass(frozen=True, kw_only=True)
class Dataset(DatasetDescription):
    """A folder of cases and what its dataset.json says about them."""

    folder: Path
    cases: tuple[Case, ...]

    @classmethod
    def load(cls, folder: Path | str) -> Dataset:
        """Find the cases of a folder; no image is read.

        With a dataset.json the cases are those of its splits, and every image with a markups file of the same stem;
        without it, the latter. Images lie in the folder or its `volumes`, markups in the folder or its `landmarks`.

        Raises:
            LandmarkDetectionError: if the folder is missing or holds no case, or its dataset.json is malformed.
        """
        folder = Path(folder)
        images = {image_stem(path): path for place in _places(folder, "volumes") for path in find_images(place)}
        markups = {
            stem: path
            for place in _places(folder, "landmarks")
            for path in sorted(place.iterdir())
            if (stem := markups_stem(path)) is not None
        }
        description_file = folder / DESCRIPTION_FILE
        if description_file.exists():
            description = read_description(description_file)
        else:
            are_pictures = bool(images) and all(is_picture(path) for path in images.values())
            description = DatasetDescription(name=folder.resolve().name, dimension=2 if are_pictures else 3)
        names = dict.fromkeys(name for split in description.splits.values() for name in split)
        names |= dict.fromkeys(stem for stem in images if stem in markups)
        if not names:
            message = (
                f"{folder} is not a dataset folder: it needs images with a markups file of the same name beside them, "
                "or in its folders volumes and landmarks."
            )
            raise LandmarkDetectionError(message)
        cases = tuple(_case(name, description, images, markups) for name in names)
        if not description.definitions:
            description = replace(description, definitions=_definitions_found(cases))
        return cls(**vars(description), folder=folder, cases=cases)

    @property
    def labels(self) -> tuple[str, ...]:
        """Landmark labels in the order of the definitions."""
        return tuple(definition.label for definition in self.definitions)

    def split(self, name: str) -> list[Case]:
        """Cases of one split ("train", "validation", "test"); in a folder without splits, every case is "train".

        Raises:
            LandmarkDetectionError: if there is no such split.
        """
        splits = self.splits or {DEFAULT_SPLIT: tuple(case.name for case in self.cases)}
        if name not in splits:
            message = f'The dataset {self.name} has no split "{name}": choose one of {", ".join(splits)}.'
            raise LandmarkDetectionError(message)
        by_name = {case.name: case for case in self.cases}
        return [by_name[case] for case in splits[name]]


def _places(folder: Path, subfolder: str) -> list[Path]:
    return [place for place in (folder, folder / subfolder) if place == folder or place.is_dir()]


def _case(name: str, description: DatasetDescription, images: Mapping[str, Path], markups: Mapping[str, Path]) -> Case:
    observers = {observer: markups.get(f"{name}.{observer}") for observer in description.observers}
    return Case(
        name=name,
        volume_path=images.get(name),
        landmarks_path=markups.get(name),
        observer_paths={observer: path for observer, path in observers.items() if path is not None},
        spacing_mm=description.spacing_of(name),
        origin_mm=description.origin_of(name),
        subject=description.subjects.get(name) or subject_of(name),
    )


def _definitions_found(cases: Sequence[Case]) -> tuple[LandmarkDefinition, ...]:
    """The landmarks of all markups files, in the order in which they first appear."""
    descriptions: dict[str, str] = {}
    for case in cases:
        if case.landmarks_path is not None:
            landmarks = case.read_landmarks()
            for label in landmarks:
                descriptions.setdefault(label, landmarks.descriptions.get(label, ""))
    return tuple(LandmarkDefinition(label, text, side_of(label)) for label, text in descriptions.items())
