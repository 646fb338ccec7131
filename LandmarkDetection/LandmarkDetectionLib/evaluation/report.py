"""A report as tables of text: the model beside its baselines and the observers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..text_table import text_table

Summary = Mapping[str, Any]

ABSENT = "–"
MEAN_POSITION_TITLE = "Mean position (no image)"
ORACLE_TITLE = "Mean shape at the true centroid (oracle)"


def comparison(report: Mapping[str, Any]) -> dict[str, Summary]:
    """Summaries by title, the model first."""
    rows = {
        report["model"]["name"]: report["overall"],
        MEAN_POSITION_TITLE: report["mean_position_baseline"],
        ORACLE_TITLE: report["translated_mean_shape_oracle"],
    }
    rows |= {observer_title(name): summary for name, summary in report["observers"].items()}
    return {title: summary for title, summary in rows.items() if summary is not None}


def observer_title(name: str) -> str:
    """How an observer is called."""
    return f"Observer {name}"


def columns(summary: Summary) -> dict[str, str]:
    """The cells of one row by column heading."""
    return {
        "MRE ± SD (mm)": f"{millimetres(summary['mre_mm'])} ± {millimetres(summary['sd_mm'])}",
        "Median (IQR)": f"{millimetres(summary['median_mm'])} ({millimetres(summary['iqr_mm'])})",
        "95 %": millimetres(summary["p95_mm"]),
        "Max": millimetres(summary["max_mm"]),
        **{f"≤ {limit} mm": percent(share) for limit, share in summary["sdr"].items()},
        "Missing": str(summary["missing"]),
        "No prediction": str(summary["failed"]),
    }


def format_summary(report: Mapping[str, Any]) -> str:
    """A report as plain text: the model's numbers with the baselines beside them."""
    lines = [_heading(report), "", _text({title: columns(one) for title, one in comparison(report).items()})]
    if report["overall"]["seconds_per_case"] is not None:
        lines += ["", f"Seconds per case: {report['overall']['seconds_per_case']:.2f}"]
    if report["shape_space_mm"] is not None:
        lines += ["", f"Error of the model's shape space alone: {millimetres(report['shape_space_mm'])} mm"]
    for title, rows in (("Plane", plane_rows(report)), ("Measurement", measurement_rows(report))):
        if rows:
            lines += ["", _text(rows, title)]
    if report["landmarks_unknown_to_model"]:
        lines += ["", f"Not found by this model: {', '.join(report['landmarks_unknown_to_model'])}"]
    lines += [f"\n{one['case']}: {one['message']}" for one in report["failed"]]
    return "\n".join(lines)


def _heading(report: Mapping[str, Any]) -> str:
    model = f"{report['model']['name']} {report['model']['version']}".strip()
    counts = f"{report['cases']} cases, {report['landmarks']} landmarks, {report['overall']['points']} points"
    return f"{model} on {report['dataset']}, split {report['split']}: {counts}"


def plane_rows(report: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Cells by plane and column heading."""
    return {
        name: {
            "Offset (mm)": _mean_and_sd(errors["offset_mm"]),
            "Normal (°)": _mean_and_sd(errors["normal_angle_deg"]),
            "In-plane (°)": _mean_and_sd(errors["in_plane_angle_deg"]),
            "Cases": str(errors["cases"]),
            "Failed": str(errors["failed"]),
        }
        for name, errors in report["planes"].items()
    }


def measurement_rows(report: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Cells by measurement and column heading."""
    return {
        f"{name} ({errors['unit']})": {
            "Mean truth": millimetres(errors["mean_true"]),
            "Mean absolute error": millimetres(errors["mean_absolute_error"]),
            "Relative (%)": millimetres(errors["mean_absolute_percentage_error"]),
            "Cases": str(errors["cases"]),
            "Failed": str(errors["failed"]),
        }
        for name, errors in report["measurements"].items()
    }


def millimetres(value: float | None) -> str:
    """Two decimals, or a dash."""
    return ABSENT if value is None else f"{value:.2f}"


def percent(share: float | None) -> str:
    """A share as a percentage, or a dash."""
    return ABSENT if share is None else f"{100.0 * share:.1f} %"


def _mean_and_sd(spread: Mapping[str, float | None]) -> str:
    return f"{millimetres(spread['mean'])} ± {millimetres(spread['sd'])}"


def _text(rows: Mapping[str, Mapping[str, str]], corner: str = "") -> str:
    headings = [corner, *next(iter(rows.values()))]
    return text_table(headings, [[title, *row.values()] for title, row in rows.items()])
