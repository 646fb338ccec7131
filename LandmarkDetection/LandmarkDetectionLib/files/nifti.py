"""What ITK repairs or ignores in silence in NIfTI files: geometry, missing bytes, voxels that are not finite."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import LandmarkDetectionError

_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK_BYTES = 1 << 22
_DAMAGES = (EOFError, zlib.error, gzip.BadGzipFile)


@dataclass(frozen=True)
class _Layout:
    """Where a version of NIfTI keeps its fields: (offset, struct format)."""

    counts: tuple[int, str]
    voxel_type: tuple[int, str]
    bits_per_voxel: tuple[int, str]
    sizes: tuple[int, str]
    data_offset: tuple[int, str]
    form_codes: tuple[int, str]
    quaternion: tuple[int, str]
    matrix: tuple[int, str]


_LAYOUTS = {
    348: _Layout((40, "8h"), (70, "h"), (72, "h"), (76, "8f"), (108, "f"), (252, "2h"), (256, "6f"), (280, "12f")),
    540: _Layout((16, "8q"), (12, "h"), (14, "h"), (104, "8d"), (168, "q"), (344, "2i"), (352, "6d"), (400, "12d")),
}
"""By the size of the header, its first number: version 1 and version 2."""

_FLOAT_TYPES = {16: "f4", 64: "f8"}
"""Voxel types that can hold numbers that are not finite, as numpy names them."""


@dataclass(frozen=True)
class NiftiHeader:
    """What a NIfTI file promises.

    Attributes:
        has_usable_geometry: whether voxel sizes, and the matrix and quaternion in use, are finite and sizes not zero.
        data_offset: where the voxels begin in the uncompressed file.
        promised_bytes: length of the uncompressed file.
        float_type: numpy's name of the voxel type with its byte order, None if it cannot hold NaN or infinity.
    """

    has_usable_geometry: bool
    data_offset: int
    promised_bytes: int
    float_type: str | None

    @classmethod
    def read(cls, file: Path) -> NiftiHeader | None:
        """The header of a file, compressed or not; None if it is no NIfTI file."""
        try:
            with _uncompressed(file) as stream:
                content = stream.read(max(_LAYOUTS))
        except _DAMAGES:
            return None
        for order in "<>":
            if len(content) >= min(_LAYOUTS) and struct.unpack_from(order + "i", content)[0] in _LAYOUTS:
                return cls._parse(content, order)
        return None

    @classmethod
    def _parse(cls, content: bytes, order: str) -> NiftiHeader:
        layout = _LAYOUTS[struct.unpack_from(order + "i", content)[0]]

        def field(place: tuple[int, str]) -> tuple[float, ...]:
            return struct.unpack_from(order + place[1], content, place[0])

        axes, *counts = field(layout.counts)
        counts = [max(int(count), 1) for count in counts[: int(axes)]]
        sizes = [size for size, count in zip(field(layout.sizes)[1:4], counts, strict=False) if count > 1]
        uses_quaternion, uses_matrix = (code > 0 for code in field(layout.form_codes))
        numbers = (
            *(field(layout.quaternion) if uses_quaternion else ()),
            *(field(layout.matrix) if uses_matrix else ()),
        )
        (bits,), (offset,), (type_code,) = (
            field(place) for place in (layout.bits_per_voxel, layout.data_offset, layout.voxel_type)
        )
        is_usable = all(math.isfinite(number) for number in (*sizes, *numbers, offset)) and 0.0 not in sizes
        offset = max(int(offset), 0) if is_usable else 0
        float_type = order + _FLOAT_TYPES[type_code] if type_code in _FLOAT_TYPES else None
        return cls(is_usable, offset, offset + math.prod(counts) * int(bits) // 8, float_type)


def holds_bytes(file: Path, count: int) -> bool:
    """Whether a file, once uncompressed, holds at least so many bytes.

    The last four bytes of a gzip stream give its length. Only where they disagree (a cut file, or several streams in
    a row) is the file uncompressed to count.
    """
    with file.open("rb") as raw:
        is_compressed = raw.read(2) == _GZIP_MAGIC
        raw.seek(-4, 2)
        if not is_compressed:
            return raw.tell() + 4 >= count
        if struct.unpack("<I", raw.read())[0] == count % 2**32:
            return True
    return _counted_bytes(file, count) >= count


def not_finite_voxels(file: Path) -> NDArray[np.int64]:
    """Positions in the file's order of the voxels that are NaN or infinite; ITK reads them as zero.

    Raises:
        LandmarkDetectionError: if the file cannot be uncompressed.
    """
    header = NiftiHeader.read(file)
    if header is None or header.float_type is None:
        return np.empty(0, np.int64)
    found, start = [np.empty(0, np.int64)], 0
    item_bytes = np.dtype(header.float_type).itemsize
    count = (header.promised_bytes - header.data_offset) // item_bytes
    try:
        with _uncompressed(file) as stream:
            stream.read(header.data_offset)
            while chunk := stream.read(min(_CHUNK_BYTES, (count - start) * item_bytes)):
                values = np.frombuffer(chunk, header.float_type)
                found.append(start + np.flatnonzero(~np.isfinite(values)))
                start += len(values)
    except _DAMAGES as error:
        message = f"{file.name} is damaged: copy or export it again."
        raise LandmarkDetectionError(message) from error
    return np.concatenate(found)


def _counted_bytes(file: Path, limit: int) -> int:
    counted = 0
    try:
        with _uncompressed(file) as stream:
            while counted < limit and (chunk := stream.read(_CHUNK_BYTES)):
                counted += len(chunk)
    except _DAMAGES:
        return counted
    return counted


def _uncompressed(file: Path) -> BinaryIO:
    with file.open("rb") as raw:
        is_compressed = raw.read(2) == _GZIP_MAGIC
    return gzip.open(file, "rb") if is_compressed else file.open("rb")
