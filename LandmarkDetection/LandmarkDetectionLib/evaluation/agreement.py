"""Agreement with the truth axis by axis: is there a systematic shift, and how far do single points scatter about it?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..geometry import FloatArray
from .metrics import ErrorTable

_NORMAL_95 = 1.96

_AXES_OF_VOLUMES = {"right": (1.0, 0.0, 0.0), "anterior": (0.0, 1.0, 0.0), "superior": (0.0, 0.0, 1.0)}
_AXES_OF_PICTURES = {"x": (-1.0, 0.0, 0.0), "y": (0.0, -1.0, 0.0)}
"""Of a picture as it is stored: x to the right, y down. Its file is read as LPS, so both point against RAS."""


def axes_of(dimension: int) -> dict[str, FloatArray]:
    """Unit directions (3,) in RAS by name: towards the patient's right, front and head, or along a picture's sides."""
    axes = _AXES_OF_PICTURES if dimension == 2 else _AXES_OF_VOLUMES
    return {name: np.array(direction) for name, direction in axes.items()}


def limits_of_agreement(differences: FloatArray) -> dict[str, Any]:
    """Bland and Altman's numbers of differences (m,), predicted - true.

    Returns:
        points, bias (mean difference), sd (n - 1), lower and upper limit of agreement (bias -+ 1.96 sd); None where
        there are too few.
    """
    bias = float(np.mean(differences)) if len(differences) else None
    sd = float(np.std(differences, ddof=1)) if len(differences) > 1 else None
    limits = (None, None) if sd is None else (bias - _NORMAL_95 * sd, bias + _NORMAL_95 * sd)
    return {"points": len(differences), "bias": bias, "sd": sd, "lower": limits[0], "upper": limits[1]}


def summarise_agreement(
    table: ErrorTable, dimension: int, measured: Mapping[str, tuple[FloatArray, FloatArray]]
) -> dict[str, Any]:
    """Limits of agreement in millimetres along each axis, of all points (`axes`) and of each landmark (`per_landmark`),
    and of `measurements` in their own units.

    Args:
        table: of the predictions.
        dimension: 2 for pictures, 3 for volumes.
        measured: true and predicted values (m,) by measurement.
    """
    return {
        "axes": _along_axes(table, dimension),
        "per_landmark": {label: _along_axes(table.of_landmark(label), dimension) for label in table.labels},
        "measurements": {name: limits_of_agreement(found - true) for name, (true, found) in measured.items()},
    }


def coordinates_along(table: ErrorTable, direction: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Predicted and true coordinate (m,) along a direction, of the points that have both."""
    is_located = ~np.isnan(table.errors_mm)
    return table.predicted_ras[is_located] @ direction, table.true_ras[is_located] @ direction


def _along_axes(table: ErrorTable, dimension: int) -> dict[str, dict[str, Any]]:
    pairs = {name: coordinates_along(table, direction) for name, direction in axes_of(dimension).items()}
    return {name: limits_of_agreement(predicted - true) for name, (predicted, true) in pairs.items()}
