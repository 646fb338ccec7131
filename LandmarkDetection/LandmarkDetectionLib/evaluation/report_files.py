"""The report of an evaluation on disk: report.json, errors.csv and index.html."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..files.atomic import whole_file
from ..files.results import DETECTED, FAILED, MISSING
from ..geometry import RAS_TO_LPS, apply_affine
from ..landmarks import LandmarkSet
from ..models.card import NOT_A_MEDICAL_DEVICE
from ..pages import render_page
from ..pictures import COLOURS, landmark_picture
from .figures import cumulative_error_curve, landmark_boxes
from .metrics import summarise_landmarks
from .outcome import Evaluation
from .report import (
    MEAN_POSITION_TITLE,
    ORACLE_TITLE,
    columns,
    comparison,
    measurement_rows,
    millimetres,
    observer_title,
    plane_rows,
)

REPORT_FILE = "report.json"
_WORST_CASES = 6
_PICTURE_HEIGHT_PX, _VOLUME_HEIGHT_PX = 520, 360


def write_report(evaluation: Evaluation, output: Path) -> None:
    """Write the three files, each whole or not at all.

    Raises:
        LandmarkDetectionError: if the folder cannot be written to.
    """
    with whole_file(output / "errors.csv") as path, path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(_error_rows(evaluation))
    with whole_file(output / "index.html") as path:
        path.write_text(_page(evaluation), encoding="utf-8")
    with whole_file(output / REPORT_FILE) as path:
        path.write_text(json.dumps(evaluation.report, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _error_rows(evaluation: Evaluation) -> Iterator[list[str]]:
    """One row per counted point; positions in LPS, as in every file."""
    yield ["case", "label", "status", "error_mm", "l", "p", "s", "true_l", "true_p", "true_s"]
    table = evaluation.table
    for row, column in np.argwhere(table.is_counted):
        error_mm = table.errors_mm[row, column]
        status = FAILED if np.isnan(error_mm) else MISSING if table.is_flagged[row, column] else DETECTED
        pair_ras = np.stack([table.predicted_ras[row, column], table.true_ras[row, column]])
        positions = apply_affine(RAS_TO_LPS, pair_ras) + 0.0  # no negative zeros
        numbers = ["" if np.isnan(number) else f"{number:.4f}" for number in (error_mm, *positions.ravel())]
        yield [evaluation.outcomes[row].case.name, table.labels[column], status, *numbers]


def _page(evaluation: Evaluation) -> str:
    report = evaluation.report
    tables = {
        report["model"]["name"]: evaluation.table,
        MEAN_POSITION_TITLE: evaluation.mean_position,
        ORACLE_TITLE: evaluation.oracle,
        **{observer_title(name): table for name, table in evaluation.observers.items()},
    }
    tables = {title: table for title, table in tables.items() if table is not None}
    thresholds_mm = [float(limit) for limit in report["overall"]["sdr"]]
    return render_page(
        "evaluation.html",
        report=report,
        comparison={title: columns(summary) for title, summary in comparison(report).items()},
        landmarks=_landmark_rows(evaluation),
        planes=plane_rows(report),
        measurements=measurement_rows(report),
        millimetres=millimetres,
        curve=_base64(cumulative_error_curve(tables, thresholds_mm)),
        boxes=_base64(landmark_boxes(evaluation.table)),
        worst=list(_worst_cases(evaluation)),
        colours=COLOURS,
        not_a_medical_device=NOT_A_MEDICAL_DEVICE,
    )


def _landmark_rows(evaluation: Evaluation) -> dict[str, dict[str, str]]:
    """Each landmark's cells, the baselines' means right beside the model's."""
    baselines = {"Mean position": evaluation.mean_position, "Oracle": evaluation.oracle}
    beside = {heading: summarise_landmarks(table) for heading, table in baselines.items() if table is not None}
    rows = {}
    for label, summary in evaluation.report["per_landmark"].items():
        (heading, cell), *others = columns(summary).items()
        means = {title: millimetres(summaries[label]["mre_mm"]) for title, summaries in beside.items()}
        rows[label] = {heading: cell, **means, **dict(others)}
    return rows


def _worst_cases(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    """The cases with the largest single errors, each with a picture through that landmark."""
    table = evaluation.table
    errors_mm = np.where(np.isnan(table.errors_mm), -1.0, table.errors_mm)
    columns_of_largest = errors_mm.argmax(axis=1)
    largest_mm = errors_mm.max(axis=1)
    rows = [row for row in np.argsort(-largest_mm, kind="stable") if largest_mm[row] >= 0.0]
    for row in rows[:_WORST_CASES]:
        label = table.labels[columns_of_largest[row]]
        case = evaluation.outcomes[row].case
        positions = (table.predicted_ras[row], table.true_ras[row])
        predicted, truth = (LandmarkSet.from_array(table.labels, one) for one in positions)
        volume = case.read_volume()
        is_picture = volume.dimension == 2
        height_px = _PICTURE_HEIGHT_PX if is_picture else _VOLUME_HEIGHT_PX
        picture = landmark_picture(volume, predicted, truth, focus_ras=truth[label], named=[label], height_px=height_px)
        yield {
            "case": case.name,
            "label": label,
            "max_mm": largest_mm[row],
            "mean_mm": float(np.nanmean(table.errors_mm[row])),
            "is_picture": is_picture,
            "png": _base64(picture),
        }


def _base64(png: bytes) -> str:
    return base64.b64encode(png).decode("ascii")
