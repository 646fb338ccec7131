"""The report of an evaluation on disk: report.json, its tables as CSV, and index.html."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..files.atomic import whole_file
from ..models.card import NOT_A_MEDICAL_DEVICE
from ..pages import render_page
from ..pictures import COLOURS
from .agreement_figures import axis_agreement, measurement_agreement
from .assembly import measured_by_name
from .cells import Rows, millimetres, percent, signed
from .figures import cumulative_error_curve, landmark_boxes
from .metrics import summarise_landmarks
from .outcome import Evaluation
from .report_csv import write_tables
from .report_tables import (
    absence_rows,
    accuracy_rows,
    average_rows,
    axis_rows,
    bin_rows,
    correlation_rows,
    coverage_rows,
    identification_rows,
    landmark_rows,
    measurement_rows,
    plane_rows,
    test_rows,
)
from .rivals import observer_title, rival_tables
from .uncertainty_figures import spread_and_error
from .worst_cases import worst_cases

REPORT_FILE = "report.json"


def write_report(evaluation: Evaluation, output: Path) -> None:
    """Write report.json, errors.csv, cases.csv, landmarks.csv and index.html, each whole or not at all.

    Raises:
        LandmarkDetectionError: if the folder cannot be written to.
    """
    write_tables(evaluation, output)
    write_page_and_json(_page(evaluation), evaluation.report, output)


def write_page_and_json(page: str, report: Mapping[str, Any], output: Path) -> None:
    """Write index.html, then report.json: where that is, all is."""
    with whole_file(output / "index.html") as path:
        path.write_text(page, encoding="utf-8")
    with whole_file(output / REPORT_FILE) as path:
        path.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _page(evaluation: Evaluation) -> str:
    report, table, study = evaluation.report, evaluation.table, evaluation.study
    return render_page(
        "evaluation.html",
        report=report,
        rows=_tables(evaluation),
        landmarks_beside=_landmarks_beside(evaluation),
        millimetres=millimetres,
        percent=percent,
        inline=inline_png,
        curve=cumulative_error_curve({study.model.name: table}, rival_tables(evaluation), study.thresholds_mm),
        boxes=landmark_boxes(table),
        worst=list(worst_cases(evaluation)),
        colours=COLOURS,
        not_a_medical_device=NOT_A_MEDICAL_DEVICE,
        **_further_figures(evaluation),
    )


def inline_png(png: bytes) -> str:
    """The address of a picture that is part of the page."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _tables(evaluation: Evaluation) -> dict[str, Rows]:
    report = evaluation.report
    uncertainty = report["uncertainty"]
    doubts = {"correlation": correlation_rows, "coverage": coverage_rows, "bins": bin_rows}
    return {
        "accuracy": accuracy_rows(report),
        "averages": average_rows(report),
        "landmarks": landmark_rows(report),
        "tests": test_rows(report["tests"]),
        "identification": identification_rows(report),
        "absence": absence_rows(report),
        "axes": axis_rows(report["agreement"]),
        "planes": plane_rows(report),
        "measurements": measurement_rows(report),
        **{name: make(uncertainty) if uncertainty else {} for name, make in doubts.items()},
    }


def _further_figures(evaluation: Evaluation) -> dict[str, bytes | None]:
    report, table, study = evaluation.report, evaluation.table, evaluation.study
    uncertainty, has_errors = report["uncertainty"], report["overall"]["mre_mm"] is not None
    has_regions = uncertainty is not None and uncertainty["regions"] is not None
    measured = measured_by_name(study, evaluation.outcomes)
    units = {definition.name: definition.unit for definition in study.measurements}
    return {
        "axes": axis_agreement(table, study.dimension) if has_errors else None,
        "measured": measurement_agreement(measured, units) if measured else None,
        "doubts": spread_and_error(table, evaluation.confidence, uncertainty) if has_regions else None,
    }


def _landmarks_beside(evaluation: Evaluation) -> Rows:
    """Each landmark's mean error beside the baselines' and observers', its shift, level and coverage."""
    report, uncertainty = evaluation.report, evaluation.report["uncertainty"]
    tables = {"Mean position": evaluation.mean_position, "Oracle": evaluation.oracle}
    tables |= {observer_title(name): table for name, table in evaluation.observers.items()}
    beside = {title: summarise_landmarks(table) for title, table in tables.items() if table is not None}
    rows = {}
    for label, summary in report["per_landmark"].items():
        shifts = report["agreement"]["per_landmark"][label]
        rows[label] = {
            "MRE (mm)": millimetres(summary["mre_mm"]),
            **{title: millimetres(summaries[label]["mre_mm"]) for title, summaries in beside.items()},
            **{f"Shift {axis}": signed(limits["bias"]) for axis, limits in shifts.items()},
            "Right level": percent(report["identification"]["per_landmark"][label]),
        }
        if uncertainty is not None and uncertainty["radius90"] is not None:
            rows[label]["In 90 % radius"] = percent(uncertainty["radius90"]["per_landmark"][label])
    return rows
