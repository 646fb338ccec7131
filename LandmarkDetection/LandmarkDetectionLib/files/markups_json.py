"""The .mrk.json format, as vtkMRMLMarkupsJsonStorageNode reads and writes it (schema 1.0.x)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .control_point import ControlPoint, flip_x_y

MARKUPS_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
_POINT_ORIENTATION = [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0]
"""The RAS axes, written in LPS."""


def decode(text: str) -> list[ControlPoint]:
    """Control points of every point list in the file; None as position unless it is defined.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: if the text is not a markups file.
    """
    markups = json.loads(text)["markups"]
    point_lists = [markup for markup in markups if markup["type"] == "Fiducial"]
    if not point_lists:
        message = "it holds no point list"
        raise ValueError(message)
    return [point for point_list in point_lists for point in _decode_point_list(point_list)]


def _decode_point_list(markup: dict[str, Any]) -> list[ControlPoint]:
    system = str(markup.get("coordinateSystem", "LPS")).upper()
    if system not in ("LPS", "RAS", "0", "1"):
        message = f'its coordinate system is "{system}", neither LPS nor RAS'
        raise ValueError(message)
    units = markup.get("coordinateUnits", "mm")
    if "mm" not in (units, *units[:1]):
        message = f"its coordinates are in {units}, not in mm"
        raise ValueError(message)
    return [_decode_point(point, system in ("LPS", "1")) for point in markup.get("controlPoints", [])]


def _decode_point(point: dict[str, Any], is_lps: bool) -> ControlPoint:
    position = point.get("position") or None
    if point.get("positionStatus", "defined") != "defined":
        position = None
    if position is not None:
        position = flip_x_y(position) if is_lps else [float(value) for value in position]
    return ControlPoint(str(point.get("label", "")), position, str(point.get("description", "")))


def encode(points: Sequence[ControlPoint]) -> str:
    """The text of a .mrk.json file with one point list, in LPS; missing points without a position."""
    return encode_markups([fiducial_markup(points)])


def encode_markups(markups: Sequence[dict[str, Any]]) -> str:
    """The text of a .mrk.json file that holds these markups."""
    return json.dumps({"@schema": MARKUPS_SCHEMA, "markups": list(markups)}, indent=1, ensure_ascii=False) + "\n"


def fiducial_markup(points: Sequence[ControlPoint]) -> dict[str, Any]:
    """One point list as the JSON object of the schema."""
    return {
        "type": "Fiducial",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": False,
        "fixedNumberOfControlPoints": False,
        "labelFormat": "%N-%d",
        "lastUsedControlPointNumber": len(points),
        "controlPoints": [encode_point(number, point) for number, point in enumerate(points, start=1)],
    }


def encode_point(number: int, point: ControlPoint) -> dict[str, Any]:
    """A control point as the JSON object of the schema."""
    is_defined = point.position_ras is not None
    return {
        "id": str(number),
        "label": point.label,
        "description": point.description,
        "associatedNodeID": "",
        "position": flip_x_y(point.position_ras) if is_defined else "",
        "orientation": _POINT_ORIENTATION,
        "selected": True,
        "locked": False,
        "visibility": True,
        "positionStatus": "defined" if is_defined else "missing",
    }
