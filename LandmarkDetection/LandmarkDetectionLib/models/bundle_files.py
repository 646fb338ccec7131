"""The files of a model bundle: read from a folder or an untrusted zip, and written whole or not at all."""

from __future__ import annotations

import stat
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from ..errors import LandmarkDetectionError
from ..files.atomic import whole_file

CARD_FILE = "model.json"
WEIGHTS_FILE = "weights.safetensors"
PREVIEW_FILE = "preview.png"
BUNDLE_FILES = (CARD_FILE, WEIGHTS_FILE, PREVIEW_FILE)

LARGEST_BUNDLE_BYTES = 2**30
LARGEST_COMPRESSION_RATIO = 100
_ALWAYS_PLAUSIBLE_BYTES = 2**20
"""Below this size no compression ratio is suspicious: a blank preview compresses well."""


def read_bundle_files(path: Path, names: tuple[str, ...] = BUNDLE_FILES) -> dict[str, bytes]:
    """The contents, by name, of the files of the bundle in a folder or zip; a preview may be absent.

    Raises:
        LandmarkDetectionError: if a file is missing or cannot be read, or the zip is not to be trusted.
    """
    contents = _read_from_folder(path, names) if path.is_dir() else _read_from_zip(path, names)
    for name in names:
        if name not in contents and name != PREVIEW_FILE:
            hint = "; pickled weights are never read" if name == WEIGHTS_FILE else ""
            message = f"{path} is not a model bundle: it holds no {name}{hint}."
            raise LandmarkDetectionError(message)
    return contents


def write_bundle_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Put a bundle in place of the folder, whole or not at all; an old one is moved away once the new one is whole.

    Raises:
        LandmarkDetectionError: if the folder holds anything but a bundle, or cannot be written.
    """
    check_bundle_folder(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as workplace:
            new = Path(workplace, "new")
            new.mkdir()
            for name, value in contents.items():
                new.joinpath(name).write_bytes(value)
            replace_folder(folder, new, Path(workplace, "old"))
    except OSError as error:
        message = f"The model bundle {folder} cannot be written: {error.strerror or error}."
        raise LandmarkDetectionError(message) from error


def export_bundle(folder: Path, file: Path) -> None:
    """Write the bundle in a folder to a .zip file, whole or not at all.

    Raises:
        LandmarkDetectionError: if the folder holds no bundle, or the file cannot be written.
    """
    contents = read_bundle_files(folder)
    with whole_file(file) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, value in contents.items():
            archive.writestr(name, value)


def replace_folder(folder: Path, new: Path, old: Path) -> None:
    """Rename `new` to `folder`, whose earlier contents go to `old`, or come back if that fails."""
    if folder.exists():
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise


def remove_bundle_folder(folder: Path) -> None:
    """Delete a bundle's folder: it vanishes in one step.

    Raises:
        LandmarkDetectionError: if it holds anything but a bundle, or cannot be deleted.
    """
    check_bundle_folder(folder)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as workplace:
            folder.rename(Path(workplace, "old"))
    except OSError as error:
        message = f"The model bundle {folder} cannot be removed: {error.strerror or error}."
        raise LandmarkDetectionError(message) from error


def check_bundle_folder(folder: Path) -> None:
    """Ask before a long training whether a bundle may be put here.

    Raises:
        LandmarkDetectionError: if the folder holds anything but a bundle, or is a file.
    """
    if folder.exists() and not folder.is_dir():
        message = f"{folder} is a file; give the folder of a model bundle."
        raise LandmarkDetectionError(message)
    others = sorted(entry.name for entry in folder.glob("*") if entry.name not in BUNDLE_FILES)
    if others:
        message = f"{folder} holds {others[0]}, which is no part of a model bundle; move it elsewhere first."
        raise LandmarkDetectionError(message)


def _read_from_folder(folder: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    try:
        return {name: Path(folder, name).read_bytes() for name in names if Path(folder, name).exists()}
    except OSError as error:
        message = f"{error.filename} cannot be read: {error.strerror or error}."
        raise LandmarkDetectionError(message) from error


def _read_from_zip(path: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """The named files of a zip, after all of its directory was found harmless."""
    if not path.exists():
        message = f"{path} does not exist; give the folder or zip of a model bundle."
        raise LandmarkDetectionError(message)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _checked_entries(path, archive)
            return {name: archive.read(entries[name]) for name in names if name in entries}
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        message = f"{path} is not a whole zip file ({error}); download or copy it again."
        raise LandmarkDetectionError(message) from error
    except (OSError, RuntimeError, NotImplementedError) as error:
        message = f"{path} cannot be read: {error}."
        raise LandmarkDetectionError(message) from error


def _checked_entries(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Entries by file name: the bundle's own files, at the top or all in one folder."""
    files = [entry for entry in archive.infolist() if not entry.is_dir()]
    problem = _size_problem(files)
    entries: dict[str, zipfile.ZipInfo] = {}
    parents = set()
    for entry in files:
        place = PurePosixPath(entry.filename.replace("\\", "/"))
        if place.is_absolute() or ".." in place.parts or ":" in entry.filename or _is_link(entry):
            problem = f"{entry.filename} leads out of the folder"
        elif place.name not in BUNDLE_FILES or len(place.parts) > 2:
            problem = problem or f"{entry.filename} is no part of a model bundle"
        elif place.name in entries:
            problem = problem or f"it holds {place.name} twice"
        entries[place.name] = entry
        parents.add(place.parent)
    if len(parents) > 1:
        problem = problem or "its files lie in different folders"
    if problem:
        message = f"{path} is refused, because {problem}; get the bundle from a source you trust."
        raise LandmarkDetectionError(message)
    return entries


def _is_link(entry: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(entry.external_attr >> 16)


def _size_problem(files: list[zipfile.ZipInfo]) -> str:
    """Why unpacking would be unwise, or nothing. zipfile never unpacks more than an entry declares."""
    if sum(entry.file_size for entry in files) > LARGEST_BUNDLE_BYTES:
        return f"it would unpack to more than {LARGEST_BUNDLE_BYTES // 2**20} MB"
    for entry in files:
        implausible = entry.file_size > LARGEST_COMPRESSION_RATIO * max(entry.compress_size, 1)
        if implausible and entry.file_size > _ALWAYS_PLAUSIBLE_BYTES:
            return f"{entry.filename} is compressed more than {LARGEST_COMPRESSION_RATIO} times, like a zip bomb"
    return ""
