"""Which paths are images, and what the case in a path is called."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk

from ..errors import LandmarkDetectionError
from .path_text import check_path_is_text

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
"""Formats that never carry geometry."""
TIFF_SUFFIXES = (".tif", ".tiff")
"""Formats that may carry a pixel size."""
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
NIFTI_SUFFIXES = (".nii.gz", ".nii")
VOLUME_SUFFIXES = (*NIFTI_SUFFIXES, ".nrrd", ".nhdr", ".mha", ".mhd", ".hdr", ".gipl", ".vtk")
IMAGE_SUFFIXES = VOLUME_SUFFIXES + DICOM_SUFFIXES + PICTURE_SUFFIXES + TIFF_SUFFIXES


def image_stem(path: Path | str) -> str:
    """The case's name in a path: the file name without its image suffix (".nii.gz" is one), or the folder's name."""
    name = Path(path).name
    suffix = next((suffix for suffix in IMAGE_SUFFIXES if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)] or name


def is_picture(path: Path | str) -> bool:
    """Whether a path is in a picture format, most of which carry no geometry."""
    return Path(path).name.lower().endswith(PICTURE_SUFFIXES + TIFF_SUFFIXES)


def find_images(folder: Path | str) -> list[Path]:
    """Sorted images of a folder: its image files, and folders (itself or below it) that hold a DICOM series.

    Raises:
        LandmarkDetectionError: if the folder does not exist or cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        message = f"The folder {folder} does not exist: check its name."
        raise LandmarkDetectionError(message)
    try:
        visible = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        images = [path for path in visible if path.is_file() and _is_plain_image(path)]
        for candidate in [folder, *(path for path in visible if path.is_dir())]:
            images += _dicom_images(candidate)
    except OSError as error:
        message = f"The folder {folder} cannot be read ({error.strerror}): check that you may read all of it."
        raise LandmarkDetectionError(message) from error
    return sorted(images)


def dicom_series(folder: Path) -> list[list[Path]]:
    """The DICOM files of a folder by series, each in the order of its slices."""
    check_path_is_text(folder)
    identifiers = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    files = [sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), identifier) for identifier in identifiers]
    return [[Path(name) for name in names] for names in files]


def is_dicom_file(path: Path) -> bool:
    """Whether a file is DICOM, by its suffix or, where it has none of its own, by its first bytes."""
    if path.name.lower().endswith(DICOM_SUFFIXES):
        return True
    if path.suffix and not path.suffix[1:].isdigit():
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _is_plain_image(path: Path) -> bool:
    name = path.name.lower()
    return name.endswith(IMAGE_SUFFIXES) and not name.endswith(DICOM_SUFFIXES)


def _dicom_images(folder: Path) -> list[Path]:
    """A folder's DICOM files one by one if each is a series of its own, else the folder."""
    if not any(path.is_file() and is_dicom_file(path) for path in folder.iterdir() if not path.name.startswith(".")):
        return []
    series = dicom_series(folder)
    return [files[0] for files in series] if series and all(len(files) == 1 for files in series) else [folder]
