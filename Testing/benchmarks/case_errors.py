"""The mean error of every case that a row of results.csv was measured on: what paired tests between methods need."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from training_results import RESULTS, Key, alone_in

from LandmarkDetectionLib.files.atomic import whole_file

CASE_ERRORS = RESULTS.with_name("case_errors.csv")

CaseErrors = dict[str, float]
"""Millimetres by the name of the case."""

_COLUMNS = ("method", "dataset", "split", "recipe", "seed", "errors_mm")


def errors_of_report(folder: Path) -> CaseErrors:
    """The cases' mean errors that the report in a folder holds; a case without any landmark is left out."""
    with (folder / "cases.csv").open(newline="", encoding="utf-8") as rows:
        return {row["case"]: float(row["mean_mm"]) for row in csv.DictReader(rows) if row["mean_mm"]}


def read_case_errors(file: Path = CASE_ERRORS) -> dict[Key, CaseErrors]:
    """All rows by the key of their row in results.csv; none if there is no file."""
    if not file.exists():
        return {}
    with file.open(newline="", encoding="utf-8") as rows:
        return {_key(row): _errors(row["errors_mm"]) for row in csv.DictReader(rows)}


def add_case_errors(key: Key, errors_mm: CaseErrors, file: Path = CASE_ERRORS) -> None:
    """Add a row, in place of an older one of the same key; whoever else adds one meanwhile loses nothing."""
    with alone_in(file.parent):
        found = {**read_case_errors(file), key: errors_mm}
        with whole_file(file) as path, path.open("w", newline="", encoding="utf-8") as rows:
            writer = csv.writer(rows, lineterminator="\n")
            writer.writerow(_COLUMNS)
            writer.writerows(
                [*one, ";".join(f"{name}={mm:.3f}" for name, mm in own.items())] for one, own in found.items()
            )


def _key(row: Mapping[str, str]) -> Key:
    method, dataset, split, recipe, seed = (row[name] for name in _COLUMNS[:-1])
    return method, dataset, split, recipe, int(seed)


def _errors(cell: str) -> CaseErrors:
    pairs = (part.rpartition("=") for part in cell.split(";") if part)
    return {name: float(mm) for name, _, mm in pairs}
