"""The .fcsv format, as vtkMRMLMarkupsFiducialStorageNode reads and writes it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from ..errors import LandmarkDetectionError
from .control_point import ControlPoint, flip_x_y

_COLUMNS = ("id", "x", "y", "z", "ow", "ox", "oy", "oz", "vis", "sel", "lock", "label", "desc", "associatedNodeID")
_STATUS_COLUMN = len(_COLUMNS)
"""Slicer appends the position's status after the named columns."""
_DEFINED, _MISSING = "2", "3"
_SYSTEMS = {"RAS": False, "0": False, "LPS": True, "1": True}
"""Whether each name of a coordinate system means LPS."""


def decode(text: str) -> list[ControlPoint]:
    """Control points; None as position where the status column says it is not defined.

    A file without a coordinate system is RAS, without column names has today's columns, as in Slicer.

    Raises:
        ValueError: if the text is not a .fcsv file.
    """
    lines = [line for line in text.split("\n") if line.strip()]
    header = dict(_header_field(line) for line in lines if line.startswith("#") and "=" in line)
    if not header:
        message = "it has no header"
        raise ValueError(message)
    system = header.get("coordinatesystem", "RAS").upper()
    if system not in _SYSTEMS:
        message = f'its coordinate system is "{system}", neither LPS nor RAS'
        raise ValueError(message)
    columns = [name.strip() for name in header.get("columns", ",".join(_COLUMNS)).split(",")]
    rows = csv.reader(line.rstrip("\r") for line in lines if not line.startswith("#"))
    return [_decode_row(row, columns, _SYSTEMS[system]) for row in rows]


def _header_field(line: str) -> tuple[str, str]:
    name, _, value = line.lstrip("# ").partition("=")
    return name.strip().lower(), value.strip()


def _decode_row(row: list[str], columns: list[str], is_lps: bool) -> ControlPoint:
    fields = dict(zip(columns, row, strict=False))
    if not {"x", "y", "z", "label"} <= fields.keys():
        message = f"the row {','.join(row)} lacks columns"
        raise ValueError(message)
    position = [float(fields[axis]) for axis in "xyz"]
    status = row[_STATUS_COLUMN] if len(columns) == len(_COLUMNS) < len(row) else _DEFINED
    is_defined = status.strip() == _DEFINED
    flipped = flip_x_y(position) if is_lps else position
    return ControlPoint(fields["label"], flipped if is_defined else None, fields.get("desc", ""))


def encode(points: Sequence[ControlPoint]) -> str:
    """The text of a .fcsv file, in LPS; missing points at the origin with the status that says so.

    Raises:
        LandmarkDetectionError: if a label or description has several lines, which the format cannot hold.
    """
    stream = io.StringIO()
    stream.write("# Markups fiducial file version = 5.12\n# CoordinateSystem = LPS\n")
    stream.write(f"# columns = {','.join(_COLUMNS)}\n")
    writer = csv.writer(stream, lineterminator="\n")
    for number, point in enumerate(points, start=1):
        if len(f"{point.label}{point.description}x".splitlines()) > 1:
            message = f'"{point.label}" has several lines, which .fcsv cannot hold: write a .mrk.json file.'
            raise LandmarkDetectionError(message)
        is_defined = point.position_ras is not None
        position = flip_x_y(point.position_ras) if is_defined else [0.0, 0.0, 0.0]
        status = _DEFINED if is_defined else _MISSING
        writer.writerow(
            [number, *position, 0, 0, 0, 1, 1, 1, 0, point.label, point.description, "", status, 0],
        )
    return stream.getvalue()
