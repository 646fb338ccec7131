"""The few fields of a NIfTI header that ITK repairs or ignores in silence."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import LandmarkDetectionError

_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK_BYTES = 1 << 22


@dataclass(frozen=True)
class _Layout:
    """Where a NIfTI version keeps its fields: (offset, struct format)."""

    dim: tuple[int, str]
    bits_per_voxel: tuple[int, str]
    voxel_size: tuple[int, str]
    data_offset: tuple[int, str]
    form_codes: tuple[int, str]
    quaternion: tuple[int, str]
    matrix: tuple[int, str]


_LAYOUTS = {
    348: _Layout((40, "8h"), (72, "h"), (76, "8f"), (108, "f"), (252, "2h"), (256, "6f"), (280, "12f")),
    540: _Layout((16, "8q"), (14, "h"), (104, "8d"), (168, "q"), (344, "2i"), (352, "6d"), (400, "12d")),
}
"""By the size of the header, its first number: version 1 and version 2."""


def check_nifti(file: Path) -> None:
    """Refuse a NIfTI file that is shorter than its header promises or whose geometry is zero or not finite.

    Raises:
        LandmarkDetectionError: in these cases; a file that is no NIfTI at all is left to ITK.
    """
    with file.open("rb") as raw:
        is_compressed = raw.read(2) == _GZIP_MAGIC
        raw.seek(0)
        try:
            header = (gzip.GzipFile(fileobj=raw) if is_compressed else raw).read(max(_LAYOUTS))
            expected_bytes = _check_header(file, header)
            if expected_bytes and not _holds(raw, expected_bytes, is_compressed):
                raise EOFError
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            message = f"{file.name} is incomplete or damaged: copy or export it again."
            raise LandmarkDetectionError(message) from error


def _check_header(file: Path, header: bytes) -> int:
    """The number of bytes, uncompressed, that the header promises; 0 if it is no NIfTI header."""
    order = next((order for order in "<>" if _number(header, 0, order + "i") in _LAYOUTS), None)
    if order is None:
        return 0
    layout = _LAYOUTS[_number(header, 0, order + "i")]

    def field(place: tuple[int, str]) -> tuple[float, ...]:
        return struct.unpack_from(order + place[1], header, place[0])

    axes, *counts = field(layout.dim)
    counts = [max(int(count), 1) for count in counts[: int(axes)]]
    sizes = [size for size, count in zip(field(layout.voxel_size)[1:4], counts, strict=False) if count > 1]
    uses_quaternion, uses_matrix = (code > 0 for code in field(layout.form_codes))
    numbers = list(sizes)
    numbers += field(layout.quaternion) if uses_quaternion else ()
    numbers += field(layout.matrix) if uses_matrix else ()
    if not all(math.isfinite(number) for number in numbers) or 0.0 in sizes:
        message = f"{file.name}: its header holds a voxel size or position that is zero or not finite: correct it."
        raise LandmarkDetectionError(message)
    (bits,), (offset,) = field(layout.bits_per_voxel), field(layout.data_offset)
    return int(offset) + math.prod(counts) * bits // 8


def _number(header: bytes, offset: int, layout: str) -> int:
    return struct.unpack_from(layout, header, offset)[0] if len(header) >= min(_LAYOUTS) else 0


def _holds(raw: BinaryIO, expected_bytes: int, is_compressed: bool) -> bool:
    """Whether a file holds at least so many bytes.

    The last four bytes of a gzip stream give its length. Only where they disagree (cut, or several streams in a row)
    is the file decompressed to count.
    """
    raw.seek(-4, 2)
    if not is_compressed:
        return raw.tell() + 4 >= expected_bytes
    if struct.unpack("<I", raw.read(4))[0] == expected_bytes % 2**32:
        return True
    raw.seek(0)
    stream, counted = gzip.GzipFile(fileobj=raw), 0
    while counted < expected_bytes and (chunk := stream.read(_CHUNK_BYTES)):
        counted += len(chunk)
    return counted >= expected_bytes
