"""What a run works on: the cases in an image, a folder of images or a dataset folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path

from .errors import LandmarkDetectionError
from .failures import printable
from .files.dataset import DESCRIPTION_FILE, Case
from .files.dataset_json import DatasetDescription, read_description
from .files.image_names import PICTURE_SUFFIXES, find_images, image_stem


def find_cases(source: Path, spacing_mm: Sequence[float] | None = None) -> list[Case]:
    """The cases to detect landmarks in; no image is read.

    Args:
        source: an image file, a folder of images or DICOM series, a DICOM series folder, or a dataset folder, whose
            pixel sizes and origins then apply.
        spacing_mm: pixel size (2,) of pictures that carry none; comes before that of the dataset folder.

    Returns:
        Cases with different names: those of their images, with the suffix added where two images share a stem.

    Raises:
        LandmarkDetectionError: if the source does not exist or holds no image, or consists of pictures of unknown
            pixel size.
    """
    if not source.exists():
        message = f"The input {source} does not exist: check its name."
        raise LandmarkDetectionError(message)
    description = DatasetDescription(name=source.name)
    if (source / DESCRIPTION_FILE).is_file():
        description = read_description(source / DESCRIPTION_FILE)
    images = _images(source)
    names = _different_names(images)
    cases = [_case(name, image, description, spacing_mm) for name, image in zip(names, images, strict=True)]
    lacking = [case.volume_path.name for case in cases if _lacks_spacing(case)]
    if len(lacking) == len(cases):
        message = (
            f"{lacking[0]} carries no pixel spacing: give it in millimetres with --spacing, "
            f"or as spacing_mm in a {DESCRIPTION_FILE} of the input folder."
        )
        raise LandmarkDetectionError(message)
    return cases


def check_output_is_apart(source: Path, output: Path) -> None:
    """Refuse to write results where the input lies: they would replace markups, or be read as input the next time.

    Raises:
        LandmarkDetectionError: if `output` is the folder of the source, or one of a dataset folder's own.
    """
    folders = [source.parent] if source.is_file() else [source, source / "volumes", source / "landmarks"]
    if output.resolve() in {folder.resolve() for folder in folders}:
        message = (
            f"The output folder {output} is where the input lies: choose another, for example {output / 'results'}."
        )
        raise LandmarkDetectionError(message)


def _images(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    places = [source, *(place for place in [source / "volumes"] if place.is_dir())]
    images = [image for place in places for image in find_images(place)]
    if not images:
        message = (
            f"The input folder {source} holds no image of a known format, such as .nii.gz, .nrrd, .dcm or .png: "
            "give a folder with images, or an image file."
        )
        raise LandmarkDetectionError(message)
    return list(dict.fromkeys(images))


def _different_names(images: Sequence[Path]) -> list[str]:
    """A name for each image: its stem or, for all that share one, the whole file name; upper case counts as lower."""
    counts = Counter(image_stem(image).casefold() for image in images)
    names: dict[str, str] = {}
    for image in images:
        stem = image_stem(image)
        chosen = stem if counts[stem.casefold()] == 1 else image.name.replace(".", "_")
        chosen = printable(chosen)
        numbered = (f"{chosen}_{number}" for number in count(2))
        name = next(name for name in chain([chosen], numbered) if name.casefold() not in names)
        names[name.casefold()] = name
    return list(names.values())


def _case(name: str, image: Path, description: DatasetDescription, spacing_mm: Sequence[float] | None) -> Case:
    stem = image_stem(image)
    spacing = tuple(spacing_mm) if spacing_mm else description.spacing_of(stem)
    return Case(name, image, None, spacing_mm=spacing, origin_mm=description.origin_of(stem))


def _lacks_spacing(case: Case) -> bool:
    return case.spacing_mm is None and case.volume_path.name.lower().endswith(PICTURE_SUFFIXES)
