"""What ITK accepts without a word: cut files, whose end it fills with zeros, and unusable geometry."""

from __future__ import annotations

import math
import struct
from pathlib import Path

from ..errors import LandmarkDetectionError
from .image_names import NIFTI_SUFFIXES
from .nifti import NiftiHeader, holds_bytes

_META_SUFFIXES = (".mha", ".mhd")
_UNCOMPRESSED_SUFFIXES = (".gipl", ".vtk", ".hdr")
_META_HEADER_BYTES = 1 << 16
_META_GEOMETRY = ("elementspacing", "elementsize", "offset", "position", "origin", "transformmatrix", "orientation")
_TIFF_VERSIONS = {42: (4, "I", "H", 12), 43: (8, "Q", "Q", 20)}
"""By version (classic, big): position of the first offset, formats of offsets and counts, bytes of an entry."""


def check_before_reading(file: Path) -> None:
    """Refuse an empty file, a cut picture, and geometry that is zero or not finite.

    Raises:
        LandmarkDetectionError: in these cases, or if the file cannot be opened.
    """
    try:
        problem = _problem(file)
    except OSError as error:
        message = f"{file} cannot be opened ({error.strerror}): check that you may read it."
        raise LandmarkDetectionError(message) from error
    if problem:
        message = f"{file.name} {problem}."
        raise LandmarkDetectionError(message)


def _problem(file: Path) -> str:
    name = file.name.lower()
    if file.stat().st_size == 0:
        return "is empty: copy or export it again"
    is_picture_cut = (
        (name.endswith((".jpg", ".jpeg")) and _is_jpeg_cut(file))
        or (name.endswith((".tif", ".tiff")) and _is_tiff_cut(file))
        or (name.endswith(".bmp") and _is_bmp_cut(file))
    )
    if is_picture_cut:
        return "is incomplete: copy or export it again"
    nifti = NiftiHeader.read(file) if name.endswith(NIFTI_SUFFIXES) else None
    is_meta_broken = name.endswith(_META_SUFFIXES) and not _has_finite_geometry(_meta_fields(file))
    if is_meta_broken or (nifti is not None and not nifti.has_usable_geometry):
        return "has a voxel size or position that is zero or not finite: correct its header"
    return ""


def check_length(file: Path, data_bytes: float) -> None:
    """Refuse a file that holds fewer voxels than its header promises; what ITK itself checks is not checked again.

    Args:
        file: the image file.
        data_bytes: size of its voxels in memory.

    Raises:
        LandmarkDetectionError: if bytes are missing.
    """
    name = file.name.lower()
    is_cut = False
    if name.endswith(NIFTI_SUFFIXES):
        header = NiftiHeader.read(file)
        is_cut = header is not None and not holds_bytes(file, header.promised_bytes)
    elif name.endswith(_META_SUFFIXES):
        is_cut = _is_meta_cut(file, data_bytes)
    elif name.endswith(_UNCOMPRESSED_SUFFIXES):
        data_file = file.with_suffix(".img") if name.endswith(".hdr") else file
        is_cut = data_file.exists() and data_file.stat().st_size < data_bytes
    if is_cut:
        message = f"{file.name} is incomplete: copy or export it again."
        raise LandmarkDetectionError(message)


def _meta_fields(file: Path) -> dict[str, str]:
    """The header of a MetaImage by lower-case key, and its length as "headerbytes"."""
    with file.open("rb") as stream:
        start = stream.read(_META_HEADER_BYTES)
    header = start[: start.find(b"\n", start.find(b"ElementDataFile")) + 1]
    pairs = (line.partition("=") for line in header.decode("latin-1").splitlines())
    return {key.strip().lower(): value.strip() for key, _, value in pairs} | {"headerbytes": str(len(header))}


def _has_finite_geometry(meta_fields: dict[str, str]) -> bool:
    try:
        return all(math.isfinite(float(n)) for key in _META_GEOMETRY for n in meta_fields.get(key, "").split())
    except ValueError:
        return False


def _is_meta_cut(file: Path, data_bytes: float) -> bool:
    """MetaImage: the voxels follow the header (LOCAL) or are in the file it names."""
    fields = _meta_fields(file)
    compressed_bytes = fields.get("compresseddatasize", "")
    if fields.get("compresseddata", "").lower() == "true":
        data_bytes = int(compressed_bytes) if compressed_bytes.isdigit() else 0
    data_name = fields.get("elementdatafile", "")
    if data_name.upper() == "LOCAL":
        return file.stat().st_size < int(fields["headerbytes"]) + data_bytes
    data_file = file.parent / data_name
    return data_file.is_file() and data_file.stat().st_size < data_bytes


def _is_jpeg_cut(file: Path) -> bool:
    """JPEG: an end mark follows the last scan."""
    content = file.read_bytes()
    return content.startswith(b"\xff\xd8") and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda")


def _is_bmp_cut(file: Path) -> bool:
    """BMP: the header holds the length of the file."""
    with file.open("rb") as stream:
        header = stream.read(6)
    return header.startswith(b"BM") and file.stat().st_size < int.from_bytes(header[2:6], "little")


def _is_tiff_cut(file: Path) -> bool:
    """TIFF: every directory (one a slice) in the chain lies within the file."""
    content = file.read_bytes()
    order = {b"II": "<", b"MM": ">"}.get(content[:2])
    version = struct.unpack_from(f"{order}H", content, 2)[0] if order and len(content) >= 8 else None
    if version not in _TIFF_VERSIONS:
        return False
    position, offset_format, count_format, entry_bytes = _TIFF_VERSIONS[version]
    seen: set[int] = set()
    try:
        while (offset := struct.unpack_from(order + offset_format, content, position)[0]) and offset not in seen:
            seen.add(offset)
            entries = struct.unpack_from(order + count_format, content, offset)[0]
            position = offset + struct.calcsize(count_format) + entries * entry_bytes
    except struct.error:
        return True
    return False
