"""What an image's header promises, checked before its voxels are read: memory and geometry."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import LandmarkDetectionError
from .image_names import PICTURE_SUFFIXES, TIFF_SUFFIXES, is_dicom_file

PRINT_SPACINGS_MM = (1.0, 25.4 / 72, 25.4 / 96)
"""What programs write into TIFF files when they know nothing: no unit, 72 or 96 dots per inch."""
_COPIES_IN_MEMORY = 2
"""ITK's buffer and the array taken from it."""


def data_bytes(header: sitk.ImageFileReader) -> float:
    """Size of the voxels that a header promises."""
    voxels = float(np.prod(np.array(header.GetSize(), dtype=np.float64)))
    return voxels * header.GetNumberOfComponents() * _bytes_per_value(header.GetPixelID())


def check_memory(path: Path, needed_bytes: float) -> None:
    """Refuse an image that needs more memory than is free."""
    needed, available = needed_bytes * _COPIES_IN_MEMORY, _available_memory_bytes()
    if needed > available:
        message = (
            f"{path.name} needs {needed / 2**30:.1f} GB of memory and {available / 2**30:.1f} GB are free: "
            "check that it is not damaged, crop it or make its voxels larger."
        )
        raise LandmarkDetectionError(message)


def _bytes_per_value(pixel_id: int) -> int:
    name = sitk.GetPixelIDValueAsString(pixel_id)
    bits = next((int(bits) for bits in ("64", "32", "16") if f"{bits}-bit" in name), 8)
    return bits // 8


def _available_memory_bytes() -> float:
    if sys.platform == "win32":
        return _windows_available_memory_bytes()
    memory_information = Path("/proc/meminfo")
    if memory_information.exists():
        fields = dict(line.split(":") for line in memory_information.read_text().splitlines())
        return float(fields["MemAvailable"].split()[0]) * 1024
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def _windows_available_memory_bytes() -> float:
    import ctypes

    status = (ctypes.c_ulonglong * 8)()
    ctypes.cast(status, ctypes.POINTER(ctypes.c_ulong))[0] = ctypes.sizeof(status)
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
    return float(status[2])


def check_geometry(path: Path, header: sitk.ImageFileReader) -> None:
    """Refuse spacing, origin or axes that are not finite, not above zero or span no space."""
    dimension = header.GetDimension()
    axes = np.array(header.GetDirection()).reshape(dimension, dimension)
    spacing, origin = np.array(header.GetSpacing()), np.array(header.GetOrigin())
    numbers = np.concatenate([axes.ravel(), spacing, origin])
    if np.isfinite(numbers).all() and (spacing > 0).all() and abs(np.linalg.det(axes)) > 1e-6:
        return
    message = (
        f"{path.name}: its geometry is not usable (spacing {spacing.tolist()}, origin {origin.tolist()}, "
        f"axes {axes.tolist()}): correct its header."
    )
    raise LandmarkDetectionError(message)


def lacks_geometry(file: Path, header: sitk.ImageFileReader) -> bool:
    """Whether an image is a picture whose file says nothing true about the size of its pixels."""
    name = file.name.lower()
    if name.endswith(PICTURE_SUFFIXES):
        return True
    spacings = header.GetSpacing()[:2]
    if name.endswith(TIFF_SUFFIXES):
        return any(np.allclose(spacings, default, rtol=1e-4) for default in PRINT_SPACINGS_MM)
    is_flat = np.prod(header.GetSize()[2:]) == 1
    spacing_tags = ("0028|0030", "0018|1164")
    has_spacing_tag = any(header.HasMetaDataKey(tag) for tag in spacing_tags)
    return is_dicom_file(file) and is_flat and spacings == (1.0, 1.0) and not has_spacing_tag
