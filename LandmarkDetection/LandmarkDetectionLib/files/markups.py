"""Landmark sets in Slicer's Markups files: .mrk.json and the older .fcsv."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from ..errors import LandmarkDetectionError
from ..landmarks import LandmarkSet
from . import markups_fcsv, markups_json
from .atomic import whole_file
from .control_point import ControlPoint

MARKUPS_SUFFIXES = (".mrk.json", ".fcsv")

_FORMATS = dict(zip(MARKUPS_SUFFIXES, (markups_json, markups_fcsv), strict=True))


def read_markups(path: Path | str) -> LandmarkSet:
    """Control points of a .mrk.json or .fcsv file, in RAS; those without a defined position are missing (None).

    Raises:
        LandmarkDetectionError: if the file is missing or malformed, or its labels are not unique.
    """
    path = Path(path)
    _format_of(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        message = f"The markups file {path} cannot be read: check that it exists and is a Markups file of Slicer."
        raise LandmarkDetectionError(message) from error
    return parse_markups(text, path)


def parse_markups(text: str, path: Path) -> LandmarkSet:
    """The control points in the text of a file of this name, as `read_markups` gives them.

    Raises:
        LandmarkDetectionError: if it is malformed, or its labels are not unique.
    """
    try:
        points = _format_of(path).decode(text)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{path.name} is not a valid markups file ({error}): save it again from Slicer."
        raise LandmarkDetectionError(message) from error
    return _landmark_set(path, points)


def write_markups(landmarks: LandmarkSet, path: Path | str) -> None:
    """Write a landmark set to a .mrk.json or .fcsv file, missing points as Slicer's own storage nodes write them.

    Raises:
        LandmarkDetectionError: if the suffix is another one, the file cannot be written, or a text does not fit .fcsv.
    """
    path = Path(path)
    text = markups_text(landmarks, path)
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def markups_text(landmarks: LandmarkSet, path: Path) -> str:
    """What a file of this name holds for a landmark set.

    Raises:
        LandmarkDetectionError: as `write_markups`.
    """
    points = [
        ControlPoint(label, position, landmarks.descriptions.get(label, "")) for label, position in landmarks.items()
    ]
    return _format_of(path).encode(points)


def markups_stem(path: Path | str) -> str | None:
    """A markups file's name without its suffix; None if the path is no markups file."""
    name = Path(path).name
    suffix = next((suffix for suffix in MARKUPS_SUFFIXES if name.lower().endswith(suffix)), None)
    return None if suffix is None else name[: -len(suffix)]


def _format_of(path: Path) -> ModuleType:
    for suffix, markups_format in _FORMATS.items():
        if path.name.lower().endswith(suffix):
            return markups_format
    message = f"{path.name} is no markups file: its name must end with {' or '.join(MARKUPS_SUFFIXES)}."
    raise LandmarkDetectionError(message)


def _landmark_set(path: Path, points: list[ControlPoint]) -> LandmarkSet:
    labels = [point.label for point in points]
    if "" in labels:
        message = f"{path.name}: control point {labels.index('') + 1} has no label: name it in Slicer."
        raise LandmarkDetectionError(message)
    duplicates = sorted({label for label in labels if labels.count(label) > 1})
    if duplicates:
        message = f'{path.name}: more than one control point is called "{duplicates[0]}": labels must be unique.'
        raise LandmarkDetectionError(message)
    descriptions = {point.label: point.description for point in points if point.description}
    try:
        return LandmarkSet({point.label: point.position_ras for point in points}, descriptions)
    except LandmarkDetectionError as error:
        message = f"{path.name}: {error}"
        raise LandmarkDetectionError(message) from error
