"""The tables of a comparison: a row for each method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .cells import (
    ABSENT,
    Rows,
    interval,
    mean_and_deviation,
    millimetres,
    percent,
    probability,
    signed,
    without_idle_columns,
)
from .metrics import ErrorTable, case_means_mm
from .report import cases_and_landmarks, rows_as_text
from .report_tables import COUNTS_OF_FAILURES, columns, rival_summaries, test_rows

Report = Mapping[str, Any]
Methods = Mapping[str, Report]


def method_rows(methods: Methods) -> Rows:
    """Every method's errors, then those of the baselines and observers."""
    first = next(iter(methods.values()))
    summaries = {**{title: report["overall"] for title, report in methods.items()}, **rival_summaries(first)}
    return without_idle_columns({title: columns(one) for title, one in summaries.items()}, COUNTS_OF_FAILURES)


def further_rows(methods: Methods) -> Rows:
    """Macro averages, levels, missing landmarks and seconds of every method."""
    return {title: dict(_further_cells(report)) for title, report in methods.items()}


def _further_cells(report: Report) -> Iterator[tuple[str, str]]:
    yield "Mean of cases (mm)", mean_and_deviation(report["macro"]["cases"], "mre_mm", "sd_mm")
    yield "Mean of landmarks (mm)", mean_and_deviation(report["macro"]["landmarks"], "mre_mm", "sd_mm")
    yield "Right level", percent(report["identification"]["right_level_rate"])
    yield "Id-rate", percent(report["identification"]["id_rate"])
    yield "Absent: recall", percent(report["absence"]["recall"])
    yield "Absent: precision", percent(report["absence"]["precision"])
    yield "False alarms", str(report["absence"]["false_alarms"])
    yield "Capped mean (mm)", millimetres(report["absence"]["capped_mre_mm"])
    yield "Seconds per case", millimetres(report["overall"]["seconds_per_case"])


def doubt_rows(methods: Methods) -> Rows:
    """Spread against error, and coverage, of the methods that say how sure they are."""
    return {
        title: dict(_doubt_cells(report["uncertainty"])) for title, report in methods.items() if report["uncertainty"]
    }


def _doubt_cells(uncertainty: Report) -> Iterator[tuple[str, str]]:
    points, cases = uncertainty["correlation"]["points"], uncertainty["correlation"]["cases"]
    for unit, found in (("points", points), ("cases", cases)):
        yield f"Pearson r, {unit} (p)", f"{signed(found['pearson_r'])} ({probability(found['pearson_p'])})"
        yield f"Spearman ρ, {unit} (p)", f"{signed(found['spearman_r'])} ({probability(found['spearman_p'])})"
    radius = uncertainty["radius90"] or dict.fromkeys(("coverage", "interval95", "mean_radius_mm"))
    yield "In 90 % radius", percent(radius["coverage"])
    yield "95 % interval", interval(radius["interval95"])
    yield "Mean radius (mm)", millimetres(radius["mean_radius_mm"])
    levels = (uncertainty["regions"] or {"levels": {}})["levels"]
    yield "In 90 % region", percent(levels["0.9"]["coverage"] if levels else None)


def landmark_mean_rows(tables: Mapping[str, ErrorTable]) -> Rows:
    """Every landmark's mean error, a column for each method, baseline and observer."""
    means = {title: case_means_mm(table.errors_mm.T) for title, table in tables.items()}
    labels = next(iter(tables.values())).labels
    return {
        label: {title: millimetres(None if np.isnan(one[row]) else one[row]) for title, one in means.items()}
        for row, label in enumerate(labels)
    }


def plane_and_measurement_rows(methods: Methods) -> Rows:
    """Every method's mean errors of the planes and measurements that its model card defines."""
    rows: dict[str, dict[str, str]] = {}
    for title, report in methods.items():
        for name, errors in report["planes"].items():
            rows.setdefault(f"{name}: offset (mm)", {})[title] = millimetres(errors["offset_mm"]["mean"])
            rows.setdefault(f"{name}: normal (°)", {})[title] = millimetres(errors["normal_angle_deg"]["mean"])
            rows.setdefault(f"{name}: in-plane (°)", {})[title] = millimetres(errors["in_plane_angle_deg"]["mean"])
        for name, errors in report["measurements"].items():
            cells = rows.setdefault(f"{name}: absolute error ({errors['unit']})", {})
            cells[title] = millimetres(errors["mean_absolute_error"])
    return {name: {title: cells.get(title, ABSENT) for title in methods} for name, cells in rows.items()}


def format_comparison(report: Report, width: int | None = None) -> str:
    """A comparison as plain text: the methods' errors, their further numbers, and the tests between them, in tables no
    wider than said."""
    lines = [f"{report['dataset']}, split {report['split']}: {cases_and_landmarks(report)}", ""]
    for rows in (method_rows, further_rows, doubt_rows):
        if found := rows(report["methods"]):
            lines += [rows_as_text(found, width=width), ""]
    lines += [rows_as_text(test_rows(report["tests"]), "Wilcoxon: first − second (mm)", width)]
    if report["landmarks_not_compared"]:
        lines += ["", f"Not known to every method: {', '.join(report['landmarks_not_compared'])}"]
    for title, method in report["methods"].items():
        lines += [f"\n{title}, {one['case']}: {one['message']}" for one in method["failed"]]
    return "\n".join(lines)
