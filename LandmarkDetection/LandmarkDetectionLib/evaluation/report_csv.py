"""The tables of an evaluation for spreadsheets: every point, every case, every landmark."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..files.atomic import whole_file
from ..files.results import DETECTED, FAILED, MISSING
from ..geometry import RAS_TO_LPS, apply_affine
from .agreement import axes_of
from .identification import nearest_truth
from .metrics import case_means_mm
from .outcome import Evaluation

_POINT_COLUMNS = (
    "case",
    "label",
    "status",
    "error_mm",
    *("l", "p", "s"),
    *("true_l", "true_p", "true_s"),
    "truth",
    "nearest_truth",
    "presence",
    "spread_mm",
    "radius90_mm",
)
_CASE_COLUMNS = ("case", "points", "failed", "mean_mm", "max_mm", "worst_landmark", "spread_mm", "seconds", "message")


def write_tables(evaluation: Evaluation, output: Path) -> None:
    """Write errors.csv (a row per scored point), cases.csv and landmarks.csv."""
    write_table(output / "errors.csv", _POINT_COLUMNS, _point_rows(evaluation))
    write_table(output / "cases.csv", _CASE_COLUMNS, _case_rows(evaluation))
    landmarks = list(_landmark_rows(evaluation))
    write_table(output / "landmarks.csv", tuple(landmarks[0]), (one.values() for one in landmarks))


def write_table(file: Path, columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a CSV file; numbers get four decimals, NaN and None are empty."""
    with whole_file(file) as path, path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows([[_cell(value) for value in row] for row in rows])


def _point_rows(evaluation: Evaluation) -> Iterator[list[Any]]:
    """One row per landmark that the truth says is there or absent; positions in LPS, as in every file."""
    table, confidence = evaluation.table, evaluation.confidence
    nearest = nearest_truth(table)
    for row, column in np.argwhere(table.is_counted | confidence.is_absent):
        pair_ras = np.stack([table.predicted_ras[row, column], table.true_ras[row, column]])
        is_located = not np.isnan(pair_ras[0]).any()
        status = MISSING if confidence.is_flagged[row, column] else DETECTED if is_located else FAILED
        yield [
            evaluation.outcomes[row].case.name,
            table.labels[column],
            status if is_located or confidence.is_absent[row, column] else FAILED,
            table.errors_mm[row, column],
            *(apply_affine(RAS_TO_LPS, pair_ras) + 0.0).ravel(),  # no negative zeros
            "present" if table.is_counted[row, column] else "absent",
            table.labels[nearest[row, column]] if nearest[row, column] >= 0 else "",
            confidence.presence[row, column],
            confidence.spread_mm[row, column],
            confidence.radius90_mm[row, column],
        ]


def _case_rows(evaluation: Evaluation) -> Iterator[list[Any]]:
    table = evaluation.table
    means_mm, spreads_mm = case_means_mm(table.errors_mm), case_means_mm(evaluation.confidence.spread_mm)
    for row, outcome in enumerate(evaluation.outcomes):
        errors_mm = table.errors_mm[row]
        has_errors = not np.isnan(errors_mm).all()
        yield [
            outcome.case.name,
            int(table.is_counted[row].sum()),
            int((table.is_counted[row] & np.isnan(errors_mm)).sum()),
            means_mm[row],
            np.nanmax(errors_mm) if has_errors else np.nan,
            table.labels[np.nanargmax(errors_mm)] if has_errors else "",
            spreads_mm[row],
            outcome.prediction.seconds if outcome.prediction else None,
            outcome.message,
        ]


def _landmark_rows(evaluation: Evaluation) -> Iterator[Mapping[str, Any]]:
    report, uncertainty = evaluation.report, evaluation.report["uncertainty"]
    for label, summary in report["per_landmark"].items():
        numbers = {key: value for key, value in summary.items() if not isinstance(value, dict)}
        agreement = report["agreement"]["per_landmark"][label]
        correlation = uncertainty["correlation"]["per_landmark"][label] if uncertainty else {}
        radius90 = uncertainty["radius90"] if uncertainty else None
        yield {
            "label": label,
            **{key: value for key, value in numbers.items() if key != "seconds_per_case"},
            **{f"sdr_{limit}": share for limit, share in summary["sdr"].items()},
            "outliers": summary["outliers"]["count"],
            "right_level_rate": report["identification"]["per_landmark"][label],
            **{f"bias_{axis}_mm": agreement[axis]["bias"] for axis in axes_of(evaluation.study.dimension)},
            "spread_error_pearson_r": correlation.get("pearson_r"),
            "spread_error_spearman_r": correlation.get("spearman_r"),
            "radius90_coverage": radius90["per_landmark"][label] if radius90 else None,
        }


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
