"""Packed datasets: one file with all that training and evaluation read of a dataset folder, its images decoded.

A pack is a zip. Like a dataset folder it holds dataset.json and landmarks/<case>[.<observer>].mrk.json; images are
volumes/<case>.npy, voxels [k, j, i] as they come from the reader, and pack.json says where they lie:

    {"format_version": 1, "ijk_to_ras": {case: 4x4 matrix from voxel indices to RAS millimetres}}
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import LandmarkDetectionError
from ..geometry import FloatArray
from ..landmarks import LandmarkSet
from ..volume import Volume
from .atomic import whole_file
from .case import Case
from .dataset_json import DatasetDescription, description_to_json, parse_description, subject_of
from .image_headers import check_memory
from .images import finite_voxels
from .markups import markups_text, parse_markups

_log = logging.getLogger(__name__)

_DESCRIPTION, _PACK = "dataset.json", "pack.json"
_FORMAT_VERSION = 1
_ARRAY_VERSION = (1, 0)
_LONGEST_TEXT_BYTES = 2**26


@dataclass(frozen=True, kw_only=True)
class PackedCase(Case):
    """A case of a pack; its paths are those of the files inside."""

    pack: Path
    ijk_to_ras: FloatArray

    def read_volume(self, report: Callable[[str], None] = _log.warning) -> Volume:
        """The image.

        Raises:
            LandmarkDetectionError: if the pack is damaged, or the image needs more memory than is free.
        """
        with _opened(self.pack) as archive:
            entry = archive.getinfo(self.volume_path.as_posix())
            check_memory(self.volume_path, entry.file_size)
            voxels = _voxels(archive.read(entry))
        return Volume(finite_voxels(self.name, voxels, report), self.ijk_to_ras, self.name)

    def read_landmarks(self, observer: str | None = None) -> LandmarkSet:
        """The reference landmarks, or those of one observer.

        Raises:
            LandmarkDetectionError: if there are none, or the pack is damaged.
        """
        path = self.landmarks_path if observer is None else self.observer_paths.get(observer)
        if path is None:
            message = (
                f"{self.pack}: its case {self.name} has no such landmarks; add them to the folder and pack it again."
            )
            raise LandmarkDetectionError(message)
        with _opened(self.pack) as archive:
            return parse_markups(_text(archive, path.as_posix()), path)


def write_pack(
    path: Path,
    description: DatasetDescription,
    cases: Sequence[Case],
    progress: Callable[[float, str], None] = lambda _done, _text: None,
) -> None:
    """Write a pack, whole or not at all.

    Args:
        path: of the file.
        description: of the dataset.
        cases: in their order.
        progress: called with a fraction from 0 to 1 and the name of a case.

    Raises:
        LandmarkDetectionError: if a case cannot be read, or the file cannot be written.
    """
    # The pictures' own geometry is in the pack.
    description = replace(description, spacing_mm=None, origin_mm=None)
    ijk_to_ras: dict[str, list[list[float]]] = {}
    with whole_file(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for index, case in enumerate(cases):
            progress(index / len(cases), case.name)
            volume = case.read_volume()
            ijk_to_ras[case.name] = volume.ijk_to_ras.tolist()
            _write_volume(archive, case.name, volume.voxels)
            for observer in (None, *case.observer_paths):
                if observer is not None or case.landmarks_path is not None:
                    _write_landmarks(archive, _landmarks_path(case.name, observer), case.read_landmarks(observer))
        progress(1.0, "")
        _write_json(archive, _DESCRIPTION, description_to_json(description))
        _write_json(archive, _PACK, {"format_version": _FORMAT_VERSION, "ijk_to_ras": ijk_to_ras})


def read_pack(path: Path) -> tuple[DatasetDescription, tuple[PackedCase, ...]]:
    """What a pack says about its dataset, and its cases; no image is read.

    Raises:
        LandmarkDetectionError: if the file is no pack or damaged.
    """
    with _opened(path) as archive:
        names = set(archive.namelist())
        description = parse_description(json.loads(_text(archive, _DESCRIPTION)), f"{path}/{_DESCRIPTION}", path.stem)
        pack = json.loads(_text(archive, _PACK))
        if pack["format_version"] != _FORMAT_VERSION:
            message = f"{path} was packed by another version of this program; pack the folder again with this one."
            raise LandmarkDetectionError(message)
        cases = tuple(_case(path, name, matrix, description, names) for name, matrix in pack["ijk_to_ras"].items())
        unknown = {case for split in description.splits.values() for case in split} - {case.name for case in cases}
        if unknown:
            raise KeyError(min(unknown))
    return description, cases


def _case(path: Path, name: str, matrix: Any, description: DatasetDescription, names: set[str]) -> PackedCase:
    volume_path = _volume_path(name)
    if volume_path.as_posix() not in names:
        raise KeyError(volume_path.as_posix())
    found = {one: _landmarks_path(name, one) for one in (None, *description.observers)}
    found = {observer: inner for observer, inner in found.items() if inner.as_posix() in names}
    return PackedCase(
        name=name,
        volume_path=volume_path,
        landmarks_path=found.pop(None, None),
        observer_paths=found,
        subject=description.subjects.get(name) or subject_of(name),
        pack=path,
        ijk_to_ras=np.array(matrix, dtype=np.float64),
    )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The zip; whatever is wrong with what is read from it becomes one sentence."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, TypeError, AttributeError) as error:
        message = f"{path} is no whole packed dataset ({error}); copy or pack it again."
        raise LandmarkDetectionError(message) from error
    except (OSError, RuntimeError, NotImplementedError) as error:
        message = f"{path} cannot be read ({error}); copy or pack it again."
        raise LandmarkDetectionError(message) from error


def _voxels(data: bytes) -> NDArray:
    """The array [k, j, i] in the bytes of a .npy file, which must say themselves how many they are."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    size = dtype.itemsize * int(np.prod(shape, dtype=object))
    if version != _ARRAY_VERSION or dtype.kind not in "uif" or stream.tell() + size != len(data):
        message = "an image is not what its header says"
        raise ValueError(message)
    return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)


def _text(archive: zipfile.ZipFile, name: str) -> str:
    entry = archive.getinfo(name)
    if entry.file_size > _LONGEST_TEXT_BYTES:
        message = f"{name} is too long"
        raise ValueError(message)
    return archive.read(entry).decode("utf-8")


def _volume_path(name: str) -> Path:
    return Path("volumes", f"{name}.npy")


def _landmarks_path(name: str, observer: str | None) -> Path:
    return Path("landmarks", f"{name}.mrk.json" if observer is None else f"{name}.{observer}.mrk.json")


def _write_volume(archive: zipfile.ZipFile, name: str, voxels: NDArray) -> None:
    # An entry without a date: the same folder gives the same file.
    entry = zipfile.ZipInfo(_volume_path(name).as_posix())
    entry.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(entry, "w", force_zip64=True) as stream:
        np.lib.format.write_array(stream, np.ascontiguousarray(voxels), version=_ARRAY_VERSION, allow_pickle=False)


def _write_landmarks(archive: zipfile.ZipFile, path: Path, landmarks: LandmarkSet) -> None:
    archive.writestr(zipfile.ZipInfo(path.as_posix()), markups_text(landmarks, path), zipfile.ZIP_DEFLATED)


def _write_json(archive: zipfile.ZipFile, name: str, value: Any) -> None:
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)
