"""Adds cases to dataset folders, whole or not at all, and never in place of another case."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..errors import LandmarkDetectionError
from ..geometry import FloatArray
from ..landmarks import LandmarkDefinition, LandmarkSet
from ..volume import Volume
from .atomic import whole_file
from .case import Case
from .dataset import DEFAULT_SPLIT, DESCRIPTION_FILE, Dataset
from .dataset_json import DatasetDescription, description_to_json, side_of
from .image_names import image_stem
from .images import write_volume
from .markups import markups_stem, write_markups

_VOLUMES, _LANDMARKS = "volumes", "landmarks"
_GEOMETRY_TOLERANCE_MM = 1e-3
_SHEAR_TOLERANCE = 1e-4


class OtherLandmarks(LandmarkDetectionError):
    """The dataset has the case already, with landmarks that lie elsewhere."""


def add_case(
    folder: Path | str,
    volume: Volume,
    landmarks: LandmarkSet,
    definitions: Sequence[LandmarkDefinition] = (),
    *,
    replace: bool = True,
) -> str:
    """Add an image with its landmarks to a dataset folder, which is made if it is not there.

    A case that is new goes to the split "train". If the folder has this very image under this name already, its
    landmarks take the new positions, and those that `landmarks` does not name stay.

    Args:
        folder: of the dataset.
        volume: its name becomes the case's, with what no file name can hold replaced.
        landmarks: None where one is missing from the image; what nobody has looked for is not in it at all.
        definitions: of a new dataset's landmarks; default: those of `landmarks`.
        replace: whether landmarks that the folder has already may take other positions.

    Returns:
        The name of the case.

    Raises:
        OtherLandmarks: if they would, and may not; nothing is changed.
        LandmarkDetectionError: if the folder is no dataset folder or has another case of this name, if the image is in
            a split that is not for training, or the landmarks are not those of the dataset.
    """
    folder = Path(folder)
    name = case_name(volume.name)
    _check_can_be_written(volume)
    dataset = None if is_new(folder) else Dataset.load(folder)
    if dataset is None:
        defined = tuple(definitions) or _definitions_of(landmarks)
        _write_case(folder, name, volume, landmarks, _first_description(folder, name, volume, defined))
        return name
    _check_fits(dataset, volume, landmarks)
    known = next((case for case in dataset.cases if case.name == name), None)
    if known is None or not _holds(known, volume):
        _check_is_free(folder, name, dataset)
        _write_case(folder, name, volume, landmarks, _with_case(folder, dataset, name))
        return name
    _check_is_for_training(dataset, name)
    before = LandmarkSet({}) if known.landmarks_path is None else known.read_landmarks()
    if not replace:
        _check_nothing_is_replaced(name, before, landmarks)
    write_markups(_merged(before, landmarks), known.landmarks_path or _markups_file(folder, name))
    return name


def case_name(text: str) -> str:
    """A text as the name of a case: what no file name can hold is replaced."""
    return re.sub(r"[^\w.+-]+", "_", text).strip("._") or "case"


def is_new(folder: Path) -> bool:
    """Whether a folder holds nothing yet, so that the first case makes it a dataset.

    Raises:
        LandmarkDetectionError: if the system cannot look: the path is too long, or closed to the user.
    """
    try:
        return not folder.exists() or (folder.is_dir() and all(one.name.startswith(".") for one in folder.iterdir()))
    except OSError as error:
        message = f"This folder cannot be read ({error.strerror or error}): choose another one."
        raise LandmarkDetectionError(message) from error


def has_perpendicular_axes(volume: Volume) -> bool:
    """Whether image files, which know no shear, can hold the volume's geometry."""
    return np.allclose(volume.directions.T @ volume.directions, np.eye(3), atol=_SHEAR_TOLERANCE)


def write_description(folder: Path, content: Mapping[str, object]) -> None:
    """Write a dataset.json, whole or not at all."""
    with whole_file(folder / DESCRIPTION_FILE) as path:
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def described(dataset: Dataset) -> dict[str, object]:
    """What a folder's dataset.json holds, or could hold where there is none."""
    file = dataset.path / DESCRIPTION_FILE
    return json.loads(file.read_text(encoding="utf-8-sig")) if file.exists() else description_to_json(dataset)


def _definitions_of(landmarks: LandmarkSet) -> tuple[LandmarkDefinition, ...]:
    return tuple(
        LandmarkDefinition(label, landmarks.descriptions.get(label, ""), side_of(label)) for label in landmarks
    )


def _first_description(
    folder: Path, name: str, volume: Volume, definitions: tuple[LandmarkDefinition, ...]
) -> dict[str, object]:
    description = DatasetDescription(
        name=folder.resolve().name,
        dimension=volume.dimension,
        definitions=definitions,
        splits={DEFAULT_SPLIT: (name,)},
    )
    return description_to_json(description)


def _with_case(folder: Path, dataset: Dataset, name: str) -> dict[str, object] | None:
    """The dataset.json that names one more case; None where the folder needs none."""
    if not (folder / DESCRIPTION_FILE).exists() or not dataset.splits:
        return None
    content = described(dataset)
    content["split"] = {**content["split"], DEFAULT_SPLIT: [*dataset.splits.get(DEFAULT_SPLIT, ()), name]}
    return content


def _check_can_be_written(volume: Volume) -> None:
    if not has_perpendicular_axes(volume):
        message = (
            f"{volume.name}: its voxel axes are not perpendicular, which image files cannot hold: resample it first."
        )
        raise LandmarkDetectionError(message)


def _check_fits(dataset: Dataset, volume: Volume, landmarks: LandmarkSet) -> None:
    if dataset.path.is_file():
        message = f"{dataset.path} is a packed file: add cases to the folder it was made from, and pack that again."
        raise LandmarkDetectionError(message)
    if dataset.dimension != volume.dimension:
        kinds = {2: "pictures", 3: "volumes"}
        message = (
            f"{volume.name} does not fit {dataset.name}, which holds {kinds[dataset.dimension]}: choose another folder."
        )
        raise LandmarkDetectionError(message)
    unknown = [label for label in landmarks if label not in dataset.labels]
    if unknown:
        message = (
            f"{volume.name} has landmarks that the dataset {dataset.name} does not have ({', '.join(unknown)}): rename "
            "or delete those points, or choose another folder."
        )
        raise LandmarkDetectionError(message)


def _holds(case: Case, volume: Volume) -> bool:
    """Whether a case is this very image."""
    try:
        kept = case.read_volume()
    except LandmarkDetectionError:
        return False
    return (
        np.allclose(kept.ijk_to_ras, volume.ijk_to_ras, atol=_GEOMETRY_TOLERANCE_MM)
        and kept.voxels.shape == volume.voxels.shape
        and np.array_equal(kept.voxels, volume.voxels)
    )


def _check_is_free(folder: Path, name: str, dataset: Dataset) -> None:
    """Names that differ in case alone are one file to some computers."""
    files = [entry for place in (folder, folder / _VOLUMES, folder / _LANDMARKS) for entry in place.glob("*")]
    taken = {case.name for case in dataset.cases} | {markups_stem(file) or image_stem(file) for file in files}
    if name.casefold() in {one.casefold() for one in taken}:
        message = (
            f'The dataset {dataset.name} has another case named "{name}" already: rename the volume, and add it then.'
        )
        raise LandmarkDetectionError(message)


def _check_is_for_training(dataset: Dataset, name: str) -> None:
    split = next((split for split, names in dataset.splits.items() if name in names), DEFAULT_SPLIT)
    if split != DEFAULT_SPLIT:
        message = (
            f'{name} is in the split "{split}" of the dataset {dataset.name}, with which models are judged: its truth '
            "is not replaced by what a model helped to find."
        )
        raise LandmarkDetectionError(message)


def _check_nothing_is_replaced(name: str, before: LandmarkSet, landmarks: LandmarkSet) -> None:
    replaced = [label for label in landmarks if label in before and not _agree(before[label], landmarks[label])]
    if replaced:
        message = (
            f"{name} is in the dataset already, with other positions of {', '.join(replaced)}: replace these, or "
            "rename the volume."
        )
        raise OtherLandmarks(message)


def _agree(one: FloatArray | None, other: FloatArray | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.allclose(one, other, atol=_GEOMETRY_TOLERANCE_MM)


def _markups_file(folder: Path, name: str) -> Path:
    return folder / _LANDMARKS / f"{name}.mrk.json"


def _merged(old: LandmarkSet, new: LandmarkSet) -> LandmarkSet:
    return LandmarkSet({**old, **new}, {**old.descriptions, **new.descriptions})


def _write_case(
    folder: Path, name: str, volume: Volume, landmarks: LandmarkSet, description: dict[str, object] | None
) -> None:
    """An image alone is no case, so the dataset stays what it was until the landmarks are there too."""
    image, markups = folder / _VOLUMES / f"{name}.nrrd", _markups_file(folder, name)
    with _nothing_left_on_failure(image, markups):
        write_volume(volume, image)
        write_markups(landmarks, markups)
        if description is not None:
            write_description(folder, description)


@contextlib.contextmanager
def _nothing_left_on_failure(*files: Path) -> Iterator[None]:
    new_folders = [place for file in files for place in (file.parent, file.parent.parent) if not place.exists()]
    try:
        yield
    except BaseException:
        for file in files:
            file.unlink(missing_ok=True)
        for place in new_folders:
            with contextlib.suppress(OSError):
                place.rmdir()
        raise
