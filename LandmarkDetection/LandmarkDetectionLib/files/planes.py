"""Standard planes as Slicer's plane markups: all planes of a case in one .mrk.json file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..geometry import RAS_TO_LPS
from .atomic import whole_file
from .control_point import ControlPoint, flip_x_y
from .markups_json import encode_markups, encode_point

if TYPE_CHECKING:
    from ..planes import StandardPlane


def write_plane_markups(planes: Sequence[StandardPlane], path: Path | str) -> None:
    """Write planes, in LPS, as vtkMRMLMarkupsPlaneJsonStorageNode reads them; each bears its name.

    Raises:
        LandmarkDetectionError: if the file cannot be written.
    """
    with whole_file(path) as temporary:
        text = encode_markups([_plane_markup(plane) for plane in planes])
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _plane_markup(plane: StandardPlane) -> dict[str, Any]:
    width_mm, height_mm = (float(length) for length in plane.size_mm)
    return {
        "type": "Plane",
        "name": plane.name,
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": False,
        "fixedNumberOfControlPoints": False,
        "labelFormat": "%N-%d",
        "lastUsedControlPointNumber": 1,
        "planeType": "pointNormal",
        "sizeMode": "absolute",
        "center": flip_x_y(plane.origin_ras),
        "normal": flip_x_y(plane.normal),
        "objectToBase": RAS_TO_LPS.ravel().tolist(),
        "baseToNode": (RAS_TO_LPS @ plane.plane_to_ras).ravel().tolist(),
        "size": [width_mm, height_mm, 0.0],
        "planeBounds": [-width_mm / 2, width_mm / 2, -height_mm / 2, height_mm / 2],
        "controlPoints": [encode_point(1, ControlPoint(plane.name, plane.origin_ras))],
    }
