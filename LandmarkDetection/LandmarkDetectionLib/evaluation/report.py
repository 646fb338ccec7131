"""A report as plain text: the model beside its baselines and the observers, and what else it found, briefly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..text_table import text_table
from ..wording import counted
from .cells import Rows, interval, millimetres, percent, probability, signed, threshold
from .report_tables import accuracy_rows, measurement_rows, plane_rows

Report = Mapping[str, Any]


def format_summary(report: Report, width: int | None = None) -> str:
    """A report as plain text: the model's numbers with the baselines beside them, in tables no wider than said."""
    lines = [_heading(report), "", rows_as_text(accuracy_rows(report), width=width), "", *findings(report)]
    for title, rows in (("Plane", plane_rows(report)), ("Measurement", measurement_rows(report))):
        if rows:
            lines += ["", rows_as_text(rows, title, width)]
    if report["landmarks_unknown_to_model"]:
        lines += ["", f"Not found by this model: {', '.join(report['landmarks_unknown_to_model'])}"]
    lines += [f"\n{one['case']}: {one['message']}" for one in report["failed"]]
    return "\n".join(lines)


def findings(report: Report) -> Iterator[str]:
    """What a report found beside the errors, a line each."""
    yield _means(report)
    if report["landmarks"] > 1:
        found = report["identification"]
        yield (
            f"Right level: {percent(found['right_level_rate'])} of the points, "
            f"{found['cases_all_right']} of {counted(found['cases'], 'case')} in full"
        )
    if report["absence"]["absent"] or report["absence"]["flagged"]:
        found = report["absence"]
        yield (
            f"Missing landmarks: recall {percent(found['recall'])} of {found['absent']}, "
            f"precision {percent(found['precision'])}, {counted(found['false_alarms'], 'false alarm')}"
        )
    if report["uncertainty"] is not None:
        yield from _doubts(report["uncertainty"])
    if report["shape_space_mm"] is not None:
        yield f"Error of the model's shape space alone: {millimetres(report['shape_space_mm'])} mm"
    if report["overall"]["seconds_per_case"] is not None:
        yield f"Seconds per case: {report['overall']['seconds_per_case']:.2f}"


def rows_as_text(rows: Rows, corner: str = "", width: int | None = None) -> str:
    """A table for the terminal, as `text_table` lays it out in a width."""
    headings = [corner, *next(iter(rows.values()))]
    return text_table(headings, [[title, *row.values()] for title, row in rows.items()], width=width)


def _means(report: Report) -> str:
    cases, landmarks = report["macro"]["cases"], report["macro"]["landmarks"]
    outliers = report["overall"]["outliers"]
    return (
        f"Mean of the cases' means {millimetres(cases['mre_mm'])} ± {millimetres(cases['sd_mm'])} mm, "
        f"of the landmarks' means {millimetres(landmarks['mre_mm'])} ± {millimetres(landmarks['sd_mm'])} mm; "
        f"outliers above {threshold(outliers['threshold_mm'])} mm: {outliers['count']} ({percent(outliers['share'])})"
    )


def _doubts(uncertainty: Mapping[str, Any]) -> Iterator[str]:
    found = uncertainty["correlation"]["points"]
    if found["pearson_r"] is not None:
        points = counted(found["points"], "point")
        yield (
            f"Spread against error: Pearson {signed(found['pearson_r'])} (p {probability(found['pearson_p'])}), "
            f"Spearman {signed(found['spearman_r'])} (p {probability(found['spearman_p'])}), {points}"
        )
    if uncertainty["radius90"] is not None:
        radius = uncertainty["radius90"]
        yield (
            f"90 % radius, {millimetres(radius['mean_radius_mm'])} mm on average: holds the truth in "
            f"{percent(radius['coverage'])} ({interval(radius['interval95'])} by case bootstrap)"
        )
    if uncertainty["regions"] is not None:
        levels = uncertainty["regions"]["levels"].items()
        shares = ", ".join(f"{100 * float(level):g} %: {percent(one['coverage'])}" for level, one in levels)
        yield f"Regions of the covariance hold the truth in: {shares}"


def _heading(report: Report) -> str:
    model = f"{report['model']['name']} {report['model']['version']}".strip()
    points = counted(report["overall"]["points"], "point")
    return f"{model} on {report['dataset']}, split {report['split']}: {cases_and_landmarks(report)}, {points}"


def cases_and_landmarks(report: Report) -> str:
    """How much was judged."""
    return f"{counted(report['cases'], 'case')}, {counted(report['landmarks'], 'landmark')}"
