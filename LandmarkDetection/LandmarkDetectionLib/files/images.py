"""Image files of every format ITK knows, read into volumes and written from them."""

from __future__ import annotations

import contextlib
import locale
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..errors import LandmarkDetectionError
from ..volume import Volume, from_sitk, to_sitk
from .atomic import whole_file
from .image_completeness import check_before_reading, check_length
from .image_headers import check_geometry, check_memory, data_bytes, lacks_geometry
from .image_names import IMAGE_SUFFIXES, NIFTI_SUFFIXES, dicom_series, find_images, image_stem
from .nifti import not_finite_voxels
from .path_text import check_path_is_text

__all__ = ["IMAGE_SUFFIXES", "find_images", "image_stem", "read_volume", "write_volume"]

_log = logging.getLogger(__name__)

_WRITABLE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")
_LARGEST_SHARE_NOT_FINITE = 0.5
_LARGEST_HOLE = 1 / 15
"""Width beside that of the image. Wider ones move the bundled models' landmarks farther than those usually err; single
voxels here and there do not, even if they are nearly half of the image."""
_SLICE_THICKNESS_MM = 1.0
_LARGEST_STEP_DEVIATION = 0.1
"""Of the distance between the slices of a DICOM series."""

sitk.ProcessObject.SetGlobalWarningDisplay(False)


def read_volume(
    path: Path | str,
    spacing_mm: Sequence[float] | None = None,
    origin_mm: Sequence[float] | None = None,
    report: Callable[[str], None] = _log.warning,
) -> Volume:
    """Read an image file or a folder with one DICOM series; a picture becomes a volume of one slice 1 mm thick.

    Args:
        path: a file of any format ITK reads, or a DICOM series folder.
        spacing_mm: pixel size, one number or one per axis; used only for pictures that carry no geometry.
        origin_mm: centre (LPS) of the first pixel, one number per axis; used with `spacing_mm`.
        report: is told, in a sentence, what was repaired in the voxels.

    Raises:
        LandmarkDetectionError: if the image is missing, damaged, not scalar, too large for the memory, has no usable
            geometry, or holds mostly voxels that are not finite.
    """
    path = Path(path)
    check_path_is_text(path)
    files = _image_files(path)
    header = _read_header(files[0])
    check_memory(path, data_bytes(header) * len(files))
    check_geometry(path, header)
    check_length(files[0], data_bytes(header))
    needs_spacing = len(files) == 1 and lacks_geometry(files[0], header)
    if needs_spacing and spacing_mm is None:
        message = (
            f"{path.name} carries no pixel spacing: give it in millimetres with --spacing, "
            "or as spacing_mm in a dataset.json."
        )
        raise LandmarkDetectionError(message)
    image = _three_dimensional(path, _scalar(path, _read_pixels(path, files)))
    if needs_spacing:
        _set_picture_geometry(path, image, spacing_mm, origin_mm)
    volume = from_sitk(image, image_stem(path))
    if path.name.lower().endswith(NIFTI_SUFFIXES) and np.issubdtype(volume.voxels.dtype, np.floating):
        volume.voxels.flat[not_finite_voxels(path)] = np.nan
    return Volume(finite_voxels(path.name, volume.voxels, report), volume.ijk_to_ras, volume.name)


def write_volume(volume: Volume, path: Path | str) -> None:
    """Write a volume, compressed, to .nii.gz, .nii, .nrrd or .mha.

    Raises:
        LandmarkDetectionError: if the format is another one or the file cannot be written.
    """
    path = Path(path)
    if not path.name.lower().endswith(_WRITABLE_SUFFIXES):
        message = f"{path.name}: a volume with its geometry is written as {', '.join(_WRITABLE_SUFFIXES)}."
        raise LandmarkDetectionError(message)
    with whole_file(path) as temporary:
        try:
            sitk.WriteImage(to_sitk(volume), str(temporary), useCompression=True)
        except (RuntimeError, TypeError) as error:
            message = f"{path} could not be written: check the disk, and the volume's voxel type and axes."
            raise LandmarkDetectionError(message) from error


def _image_files(path: Path) -> list[Path]:
    """The file itself, or the slices of the one DICOM series in a folder."""
    if path.is_file():
        check_before_reading(path)
        return [path]
    if not path.is_dir():
        message = f"The image {path} does not exist: check its name."
        raise LandmarkDetectionError(message)
    series = dicom_series(path)
    if len(series) != 1:
        problem = "no DICOM series that can be read" if not series else f"{len(series)} DICOM series"
        message = f"The folder {path} holds {problem}: give a folder with exactly one, or an image file."
        raise LandmarkDetectionError(message)
    return series[0]


def _read_header(file: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(file))
    try:
        with _locale_kept():
            reader.ReadImageInformation()
    except RuntimeError as error:
        raise _readable(file, error) from error
    return reader


def _read_pixels(path: Path, files: list[Path]) -> sitk.Image:
    if len(files) > 1:
        _check_even_slices(path, files)
    try:
        with _locale_kept():
            return sitk.ReadImage(str(files[0])) if len(files) == 1 else sitk.ReadImage([str(file) for file in files])
    except RuntimeError as error:
        raise _readable(path, error) from error


@contextlib.contextmanager
def _locale_kept() -> Iterator[None]:
    """ITK's reader of .vtk files leaves the process in the C locale, in which texts are no longer UTF-8."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)


def _check_even_slices(path: Path, files: list[Path]) -> None:
    """ITK would close the gap of a missing slice by stretching all others."""
    centres = np.array([_read_header(file).GetOrigin() for file in files])
    steps_mm = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    if np.ptp(steps_mm) > _LARGEST_STEP_DEVIATION * np.median(steps_mm):
        message = (
            f"The slices in {path} lie {steps_mm.min():.2f} to {steps_mm.max():.2f} mm apart: "
            "give a series with all its slices."
        )
        raise LandmarkDetectionError(message)


def _readable(path: Path, error: RuntimeError) -> LandmarkDetectionError:
    """ITK's error as a sentence."""
    text = str(error).replace(str(path), "").lower()
    if any(word in text for word in ("orthonormal", "direction", "spacing", "origin")):
        problem = "its geometry is not usable (voxel axes must be perpendicular and spacings above zero): correct it"
    elif "allocat" in text or "memory" in text:
        problem = "it does not fit in the memory: crop it or make its voxels larger"
    elif "pixeltype" in text:
        problem = "its kind of voxel is not supported: export it as a grey image"
    elif "unable to determine imageio" in text:
        problem = "it is not an image in a known format: export it again, for example as .nii.gz or .nrrd"
    else:
        problem = "it is damaged or incomplete: copy or export it again"
    return LandmarkDetectionError(f"{path.name} cannot be read because {problem}.")


def _scalar(path: Path, image: sitk.Image) -> sitk.Image:
    """The image with one real number a voxel: grey stored as colour is converted, anything else refused."""
    channels = image.GetNumberOfComponentsPerPixel()
    if "complex" in image.GetPixelIDTypeAsString():
        message = f"{path.name} holds complex numbers: export its magnitude instead."
        raise LandmarkDetectionError(message)
    if channels == 1:
        return image
    colours = [sitk.VectorIndexSelectionCast(image, channel) for channel in range(min(channels, 3))]
    grey = sitk.GetArrayViewFromImage(colours[0])
    has_colours = channels in (3, 4)
    if not has_colours or not all(np.array_equal(grey, sitk.GetArrayViewFromImage(other)) for other in colours[1:]):
        message = (
            f"{path.name} holds {channels} values a voxel (colour or vectors): export it as a grey image, "
            "one volume a file."
        )
        raise LandmarkDetectionError(message)
    return colours[0]


def _three_dimensional(path: Path, image: sitk.Image) -> sitk.Image:
    """The image with exactly three axes: a picture gets one of a single voxel, trailing axes of one voxel go."""
    if image.GetDimension() == 2:
        return sitk.JoinSeries(image, 0.0, _SLICE_THICKNESS_MM)
    size = image.GetSize()
    if any(count > 1 for count in size[3:]):
        message = f"{path.name} has {len(size)} axes {size}: export one of its volumes as a file of its own."
        raise LandmarkDetectionError(message)
    while image.GetDimension() > 3:
        image = image[(slice(None),) * (image.GetDimension() - 1) + (0,)]
    return image


def _set_picture_geometry(
    path: Path, image: sitk.Image, spacing_mm: Sequence[float], origin_mm: Sequence[float] | None
) -> None:
    spacing = np.atleast_1d(np.asarray(spacing_mm, dtype=np.float64))[:2]
    if not np.isfinite(spacing).all() or not (spacing > 0).all():
        message = f"{path.name}: the pixel spacing must be above zero, in millimetres, not {spacing_mm}."
        raise LandmarkDetectionError(message)
    image.SetSpacing((float(spacing[0]), float(spacing[-1]), _SLICE_THICKNESS_MM))
    x, y = (0.0, 0.0) if origin_mm is None else origin_mm[:2]
    image.SetOrigin((float(x), float(y), 0.0))
    image.SetDirection(np.eye(3).ravel().tolist())


def finite_voxels(name: str, voxels: NDArray, report: Callable[[str], None] = _log.warning) -> NDArray:
    """The voxels with NaN and infinity replaced by the finite minimum; `report` is told so in a sentence.

    Raises:
        LandmarkDetectionError: if most of them are not finite, or all in a wide region that finite ones enclose. One
            that reaches the border is a mask around what was imaged.
    """
    if not np.issubdtype(voxels.dtype, np.floating) or np.isfinite([voxels.min(), voxels.max()]).all():
        return voxels
    finite = np.isfinite(voxels)
    share = 1.0 - finite.mean()
    if share > _LARGEST_SHARE_NOT_FINITE:
        message = f"{name}: {share:.0%} of its voxels are NaN or infinite: export it again."
        raise LandmarkDetectionError(message)
    hole = _largest_hole(~finite)
    if hole > max(1, voxels.size * _LARGEST_HOLE ** sum(count > 1 for count in voxels.shape)):
        message = f"{name}: {hole} NaN or infinite voxels leave a hole in what it shows: export it again."
        raise LandmarkDetectionError(message)
    report(f"{name}: {np.count_nonzero(~finite)} NaN or infinite voxels were set to the image's minimum.")
    return np.where(finite, voxels, voxels[finite].min())


def _largest_hole(is_missing: NDArray[np.bool_]) -> int:
    """Voxels of the largest region, connected through faces, that does not reach the border of the image."""
    labels = sitk.GetArrayFromImage(sitk.ConnectedComponent(sitk.GetImageFromArray(is_missing.astype(np.uint8))))
    counts = np.bincount(labels.ravel())
    counts[0] = 0
    for axis, length in enumerate(labels.shape):
        if length > 1:  # all of a picture lies at the ends of its third axis
            counts[np.unique(labels.take([0, -1], axis))] = 0
    return int(counts.max())
