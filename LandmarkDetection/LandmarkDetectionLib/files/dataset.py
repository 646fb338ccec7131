"""Datasets: images with the landmarks that people placed in them, in a folder or in one packed file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import LandmarkDetectionError
from ..landmarks import LandmarkDefinition
from .case import Case
from .dataset_json import DatasetDescription, read_description, side_of, subject_of
from .dataset_pack import read_pack
from .image_names import find_images, image_stem, is_picture
from .markups import markups_stem

DESCRIPTION_FILE = "dataset.json"
DEFAULT_SPLIT = "train"
"""Where every case of a folder without splits belongs."""


@dataclass(frozen=True, kw_only=True)
class Dataset(DatasetDescription):
    """Cases and what their dataset.json says about them; `path` is the folder or the packed file."""

    path: Path
    cases: tuple[Case, ...]

    @classmethod
    def load(cls, path: Path | str) -> Dataset:
        """Find the cases of a dataset folder, or of a file that `dataset pack` wrote; no image is read.

        With a dataset.json the cases are those of its splits, and every image with a markups file of the same stem;
        without it, the latter. Images lie in the folder or its `volumes`, markups in the folder or its `landmarks`.

        Raises:
            LandmarkDetectionError: if the folder is missing or holds no case, its dataset.json is malformed, or the
                file is no dataset or damaged.
        """
        path = Path(path)
        if path.is_file():
            description, packed_cases = read_pack(path)
            return cls(**vars(description), path=path, cases=packed_cases)
        return cls._of_folder(path)

    @classmethod
    def _of_folder(cls, folder: Path) -> Dataset:
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
        return cls(**vars(description), path=folder, cases=cases)

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
