"""A comparison of methods on disk: report.json, its tables as CSV, and index.html."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ..models.card import NOT_A_MEDICAL_DEVICE
from ..pages import render_page
from .agreement_figures import axis_biases
from .comparison import Comparison
from .comparison_tables import (
    doubt_rows,
    further_rows,
    landmark_mean_rows,
    method_rows,
    plane_and_measurement_rows,
)
from .figures import case_means, cumulative_error_curve, landmark_means
from .metrics import case_means_mm
from .report_csv import write_table
from .report_files import inline_png, write_page_and_json
from .report_tables import test_rows
from .rivals import rival_tables


def method_folders(titles: Sequence[str]) -> dict[str, str]:
    """By title, the name of the folder for a method's own report: its title in the letters that every file may have,
    numbered where that leaves nothing, or what another method has."""
    folders: dict[str, str] = {}
    for number, title in enumerate(titles, 1):
        name = re.sub(r"[^\w.-]+", "_", title).strip("_.")
        is_taken = name.casefold() in ("", *(folder.casefold() for folder in folders.values()))
        folders[title] = f"{name}_{number}".strip("_") if is_taken else name
    return folders


def write_comparison(comparison: Comparison, output: Path) -> None:
    """Write methods.csv, cases.csv, tests.csv, index.html and report.json, each whole or not at all.

    Raises:
        LandmarkDetectionError: if the folder cannot be written to.
    """
    evaluations, report = comparison.evaluations, comparison.report
    summaries = {title: one["overall"] for title, one in report["methods"].items()}
    numbers = [key for key, value in next(iter(summaries.values())).items() if not isinstance(value, dict)]
    thresholds = next(iter(summaries.values()))["sdr"]
    write_table(
        output / "methods.csv",
        ("method", *numbers, *(f"sdr_{limit}" for limit in thresholds)),
        ([title, *(one[key] for key in numbers), *one["sdr"].values()] for title, one in summaries.items()),
    )
    means = [case_means_mm(one.table.errors_mm) for one in evaluations.values()]
    names = [outcome.case.name for outcome in next(iter(evaluations.values())).outcomes]
    write_table(output / "cases.csv", ("case", *evaluations), zip(names, *means, strict=True))
    write_table(output / "tests.csv", tuple(report["tests"][0]), (test.values() for test in report["tests"]))
    write_page_and_json(_page(comparison), report, output)


def _page(comparison: Comparison) -> str:
    methods, evaluations = comparison.report["methods"], comparison.evaluations
    first = next(iter(evaluations.values()))
    tables = {title: evaluation.table for title, evaluation in evaluations.items()}
    return render_page(
        "comparison.html",
        report=comparison.report,
        folders=method_folders(list(evaluations)),
        rows={
            "accuracy": method_rows(methods),
            "further": further_rows(methods),
            "doubts": doubt_rows(methods),
            "landmarks": landmark_mean_rows({**tables, **rival_tables(first)}),
            "derived": plane_and_measurement_rows(methods),
            "tests": test_rows(comparison.report["tests"]),
        },
        inline=inline_png,
        curve=cumulative_error_curve(tables, rival_tables(first), first.study.thresholds_mm),
        cases=case_means(tables),
        landmarks=landmark_means(tables),
        biases=axis_biases(tables, first.study.dimension),
        not_a_medical_device=NOT_A_MEDICAL_DEVICE,
    )
