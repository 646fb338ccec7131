"""The results file: one row for each finished training and the cases it was measured on."""

from __future__ import annotations

import csv
import dataclasses
import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from LandmarkDetectionLib.files.atomic import whole_file

RESULTS = Path(__file__).with_name("results.csv")

Key = tuple[str, str, str, str, int]


@dataclass(frozen=True)
class TrainingResult:
    """One row of the file.

    Attributes:
        method, dataset: by name.
        split: measured on; "5 folds" where every case was held out once, "fold 1 of 3" where those of one fold were.
        recipe: the preset, the name of the configuration that changes it, if any, and what was changed for detection.
        seed: of the training.
        minutes: of training, reading excluded, on so many `cores`.
        steps: of the optimiser in that time, which tell whether the machine was busy; None where nobody counted.
        cases, points: measured.
        mre_mm, sd_mm, median_mm: of the radial error, all points pooled.
        sdr: share of the points within each of the dataset's thresholds, such as "2.0=0.8120;2.5=0.9010".
        mean_position_mm, moved_mean_shape_mm: mean errors of the baselines on the same points.
        seconds: of a detection on the CPU.
        peak_mb: most memory of a process that detects in one case.
        weights_mb: size of the file of weights.
        date, commit: when the training began, and of what; a "+" stands for changes on top of the commit.
    """

    method: str
    dataset: str
    split: str
    recipe: str
    seed: int
    minutes: float
    cores: int
    cases: int
    points: int
    mre_mm: float
    sd_mm: float
    median_mm: float
    sdr: str
    mean_position_mm: float
    moved_mean_shape_mm: float
    seconds: float
    peak_mb: int
    weights_mb: float
    date: str
    commit: str
    steps: int | None = None

    @property
    def key(self) -> Key:
        """What tells it from all others."""
        return self.method, self.dataset, self.split, self.recipe, self.seed

    @property
    def sdr_shares(self) -> dict[str, float]:
        """Success detection rates by threshold."""
        return {limit: float(share) for limit, share in (part.split("=") for part in self.sdr.split(";"))}


_OF_TEXT = {"str": str, "int": int, "float": float, "int | None": lambda text: int(text) if text else None}
_FIELDS = {field.name: _OF_TEXT[field.type] for field in dataclasses.fields(TrainingResult)}


def recipe_name(preset: str, config: Path | None = None, options: Mapping[str, str] | None = None) -> str:
    """What a row calls the preset, the configuration that changes it, and what was changed for detection."""
    training = preset if config is None else f"{preset} + {config.stem}"
    return ", ".join([training, *(f"{name}={value}" for name, value in (options or {}).items())])


def fold_name(number: int, count: int) -> str:
    """What a row calls the cases that one fold held out."""
    return f"fold {number} of {count}"


def sdr_text(shares: Mapping[str, float]) -> str:
    """Success detection rates by threshold in one cell."""
    return ";".join(f"{limit}={share:.4f}" for limit, share in shares.items())


def read_results(file: Path = RESULTS) -> list[TrainingResult]:
    """All rows; none if there is no file."""
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as rows:
        return [
            TrainingResult(**{name: _FIELDS[name](text) for name, text in row.items()}) for row in csv.DictReader(rows)
        ]


def add_result(result: TrainingResult, file: Path = RESULTS) -> None:
    """Add a row, in place of an older one of the same training; whoever else adds one meanwhile loses nothing."""
    with alone_in(file.parent):
        results = {one.key: one for one in [*read_results(file), result]}
        with whole_file(file) as path, path.open("w", newline="", encoding="utf-8") as rows:
            writer = csv.DictWriter(rows, _FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(dataclasses.asdict(one) for one in results.values())


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """No other process is within this at the same time for the same folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
