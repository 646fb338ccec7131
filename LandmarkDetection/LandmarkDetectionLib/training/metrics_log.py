"""The log of a training: one CSV file, with which a resumed training goes on."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from ..files.atomic import whole_file
from .log_files import COLUMNS


class MetricsLog(Logger):
    """Adds a row to the file as soon as there is one, so that others can follow the training.

    Args:
        file: to write.
        from_step: the step a training begins with: earlier rows are kept, later ones, which a training that was
            interrupted wrote after its last checkpoint, go.
        minutes: tells how long the training has lasted.
    """

    name = "metrics"
    version = ""

    def __init__(self, file: Path, from_step: int, minutes: Callable[[], float]) -> None:
        super().__init__()
        self._file = file
        self._minutes = minutes
        self._keep(from_step)

    @rank_zero_only
    def _keep(self, from_step: int) -> None:
        rows = []
        if from_step and self._file.exists():
            with self._file.open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.DictReader(file) if int(row["step"]) < from_step]
        with whole_file(self._file) as path, path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add a row."""
        with self._file.open("a", newline="", encoding="utf-8") as file:
            row = {**metrics, "step": step, "minutes": round(self._minutes(), 3)}
            csv.DictWriter(file, COLUMNS, extrasaction="ignore").writerow(row)

    def log_hyperparams(self, *_arguments: Any, **_named: Any) -> None:
        """Nothing: the model's card has them."""
