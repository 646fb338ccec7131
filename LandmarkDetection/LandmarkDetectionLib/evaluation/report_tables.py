"""The tables of a report: cells by row and column, for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .cells import (
    Rows,
    interval,
    mean_and_deviation,
    millimetres,
    percent,
    probability,
    signed,
    size,
    threshold,
    without_idle_columns,
)
from .rivals import MEAN_POSITION_TITLE, ORACLE_TITLE, observer_title

Report = Mapping[str, Any]

COUNTS_OF_FAILURES = ("Missing", "No prediction")
"""Headings of the columns that are shown only if something is missing."""


def accuracy_rows(report: Report) -> Rows:
    """The model's errors, and those of the baselines and observers."""
    rows = {report["model"]["name"]: report["overall"], **rival_summaries(report)}
    return without_idle_columns({title: columns(one) for title, one in rows.items()}, COUNTS_OF_FAILURES)


def rival_summaries(report: Report) -> dict[str, Mapping[str, Any]]:
    """Summaries of the baselines and observers, by title."""
    rows = {
        MEAN_POSITION_TITLE: report["mean_position_baseline"],
        ORACLE_TITLE: report["translated_mean_shape_oracle"],
        **{observer_title(name): summary for name, summary in report["observers"].items()},
        **{f"Between observers {pair}": summary for pair, summary in report["between_observers"].items()},
    }
    return {title: summary for title, summary in rows.items() if summary is not None}


def columns(summary: Mapping[str, Any]) -> dict[str, str]:
    """The cells of one row by column heading."""
    return {
        "MRE ± SD (mm)": mean_and_deviation(summary, "mre_mm", "sd_mm"),
        "Median (IQR)": f"{millimetres(summary['median_mm'])} ({millimetres(summary['iqr_mm'])})",
        "95 %": millimetres(summary["p95_mm"]),
        "Max": millimetres(summary["max_mm"]),
        **{f"≤ {threshold(limit)} mm": percent(share) for limit, share in summary["sdr"].items()},
        f"> {threshold(summary['outliers']['threshold_mm'])} mm": str(summary["outliers"]["count"]),
        "Missing": str(summary["missing"]),
        "No prediction": str(summary["failed"]),
    }


def average_rows(report: Report) -> Rows:
    """The mean error, with every point, every case or every landmark counting the same."""
    overall, macro = report["overall"], report["macro"]
    averages = {
        "Every point counts the same (micro)": (overall, overall["points"] - overall["failed"]),
        "Every case counts the same (macro)": (macro["cases"], macro["cases"]["count"]),
        "Every landmark counts the same (macro)": (macro["landmarks"], macro["landmarks"]["count"]),
    }
    return {
        title: {"MRE ± SD (mm)": mean_and_deviation(one, "mre_mm", "sd_mm"), "of": str(count)}
        for title, (one, count) in averages.items()
    }


def landmark_rows(report: Report) -> Rows:
    """Each landmark's errors."""
    rows = {label: columns(summary) for label, summary in report["per_landmark"].items()}
    return without_idle_columns(rows, COUNTS_OF_FAILURES)


def axis_rows(agreement: Mapping[str, Any]) -> Rows:
    """Limits of agreement along each axis."""
    return {
        f"towards {axis}" if len(agreement["axes"]) == 3 else axis: _agreement_cells(one)
        for axis, one in agreement["axes"].items()
    }


def test_rows(tests: Sequence[Mapping[str, Any]]) -> Rows:
    """A row for each pair of methods: difference and corrected p, with cases and with points as units, and the verdict
    that the cases allow."""
    rows: dict[str, dict[str, str]] = {}
    verdicts = {}
    for test in tests:
        pair, units = f"{test['first']} − {test['second']}", f"{test['unit']}s"
        rows[pair] = rows.get(pair, {}) | {
            units.capitalize(): str(test["pairs"]),
            f"Median Δ, {units}": signed(test["median_difference_mm"]),
            f"p, {units}": probability(test["p"]),
            f"p Holm, {units}": probability(test["p_holm"]),
        }
        if test["unit"] == "case":
            verdicts[pair] = test["better"] or "not decided"
    return {pair: {**cells, "Smaller errors": verdicts[pair]} for pair, cells in rows.items()}


def identification_rows(report: Report) -> Rows:
    """Right level, VerSe's rate and whole cases."""
    found = report["identification"]
    return {
        "Nearest truth has the same label (right level)": {"": percent(found["right_level_rate"])},
        f"… and is closer than {threshold(found['id_distance_mm'])} mm (id-rate of VerSe)": {
            "": percent(found["id_rate"])
        },
        "Cases with every landmark at the right level": {"": f"{found['cases_all_right']} of {found['cases']}"},
    }


def absence_rows(report: Report) -> Rows:
    """Scores of the flag "missing"."""
    found = report["absence"]
    rows = {
        "Absent landmarks flagged (recall)": f"{percent(found['recall'])} of {found['absent']}",
        "Flags that are right (precision)": f"{percent(found['precision'])} of {found['flagged']}",
        "False alarms: present, but flagged": f"{found['false_alarms']} ({percent(found['false_alarm_rate'])})",
        "Calibration error of the presence": percent(found["presence_calibration_error"]),
        f"Mean error capped at {threshold(found['cap_mm'])} mm, mistakes counting as that": (
            f"{millimetres(found['capped_mre_mm'])} mm over {found['capped_points']}"
        ),
    }
    return {title: {"": cell} for title, cell in rows.items()}


def correlation_rows(uncertainty: Mapping[str, Any]) -> Rows:
    """Spread against error, with points, then cases as units."""
    units = {"One point per case and landmark": "points", "One point per case (means)": "cases"}
    return {title: _correlation_cells(uncertainty["correlation"][key]) for title, key in units.items()}


def _correlation_cells(found: Mapping[str, Any]) -> dict[str, str]:
    return {
        "Points": str(found["points"]),
        "Pearson r": signed(found["pearson_r"]),
        "p": probability(found["pearson_p"]),
        "Spearman ρ": signed(found["spearman_r"]),
        "p (ρ)": probability(found["spearman_p"]),
    }


def coverage_rows(uncertainty: Mapping[str, Any]) -> Rows:
    """How often regions hold the truth, and how large they are."""
    rows = {}
    radius90, regions = uncertainty["radius90"], uncertainty["regions"]
    if radius90 is not None:
        rows["Calibrated radius of 90 %"] = {
            **_coverage_cells(radius90),
            "Mean size": f"{size(radius90['mean_radius_mm'])} mm",
            "Median size": f"{size(radius90['median_radius_mm'])} mm",
        }
    if regions is not None:
        unit = regions["unit"].replace("^3", "³").replace("^2", "²")
        for level, found in regions["levels"].items():
            rows[f"Region of {100 * float(level):g} % of the covariance"] = {
                **_coverage_cells(found),
                "Mean size": f"{size(found['mean_size'])} {unit}",
                "Median size": f"{size(found['median_size'])} {unit}",
            }
    return rows


def _coverage_cells(found: Mapping[str, Any]) -> dict[str, str]:
    return {
        "Holds the truth": percent(found["coverage"]),
        "95 % interval (cases)": interval(found["interval95"]),
        "Points": str(found["points"]),
    }


def bin_rows(uncertainty: Mapping[str, Any]) -> Rows:
    """Errors in fifths of rising spread."""
    return {
        f"{index}. fifth": {
            "Spread (mm)": f"{millimetres(one['spread_mm'][0])} to {millimetres(one['spread_mm'][1])}",
            "MRE (mm)": millimetres(one["mre_mm"]),
            "Median": millimetres(one["median_mm"]),
            "95 %": millimetres(one["p95_mm"]),
            "Overlap with the same fifth of errors": percent(one["jaccard"]),
        }
        for index, one in enumerate(uncertainty["quantile_bins"], 1)
    }


def plane_rows(report: Report) -> Rows:
    """Errors of the standard planes, and how like their pictures are."""
    return {
        name: {
            "Offset (mm)": _spread(errors["offset_mm"]),
            "Normal (°)": _spread(errors["normal_angle_deg"]),
            "In-plane (°)": _spread(errors["in_plane_angle_deg"]),
            "PSNR (dB)": _spread(errors["psnr_db"]),
            "SSIM": _spread(errors["ssim"]),
            "Cases": str(errors["cases"]),
            "Failed": str(errors["failed"]),
        }
        for name, errors in report["planes"].items()
    }


def measurement_rows(report: Report) -> Rows:
    """Errors of the measurements, with their limits of agreement."""
    return {
        f"{name} ({errors['unit']})": {
            "Mean truth": millimetres(errors["mean_true"]),
            "Mean absolute error": millimetres(errors["mean_absolute_error"]),
            "Relative (%)": millimetres(errors["mean_absolute_percentage_error"]),
            "Mean ±": millimetres(errors["mean_sd"]),
            "Truth in 90 % interval": _held_share(errors["interval90"]),
            **{h: c for h, c in _agreement_cells(report["agreement"]["measurements"][name]).items() if h != "Points"},
            "Cases": str(errors["cases"]),
            "Failed": str(errors["failed"]),
        }
        for name, errors in report["measurements"].items()
    }


def _held_share(held: Mapping[str, Any] | None) -> str:
    return "" if held is None else f"{percent(held['coverage'])} ({interval(held['interval95'])})"


def _agreement_cells(limits: Mapping[str, Any]) -> dict[str, str]:
    return {
        "Bias": signed(limits["bias"]),
        "SD": millimetres(limits["sd"]),
        "95 % limits": f"{signed(limits['lower'])} to {signed(limits['upper'])}",
        "Points": str(limits["points"]),
    }


def _spread(spread: Mapping[str, float | None]) -> str:
    return mean_and_deviation(spread, "mean", "sd")
