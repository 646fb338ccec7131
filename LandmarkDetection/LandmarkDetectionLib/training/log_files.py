"""The files by which others can follow a training while it runs: what it plans, and what it has reached."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from ..files.atomic import whole_file

LOG_FILE = "metrics.csv"
PLAN_FILE = "plan.json"
CHECKPOINT_FILE = "last.ckpt"
"""What a resumed training goes on from."""
FOLDS_FILE = "folds.json"
"""How the cases are divided, where a training has folds."""

COLUMNS = ("step", "minutes", "loss", "validation_error_mm")
"""Of the log. Steps count from 0, minutes include earlier parts of a resumed training; a row has a loss or an error."""


@dataclass(frozen=True)
class TrainingPlan:
    """What ends a training: so many steps, or so many minutes if those are over first."""

    steps: int
    minutes: float


@dataclass(frozen=True)
class TrainingProgress:
    """What a training has reached.

    Attributes:
        plan: what ends it; None if it has not begun to learn.
        step: how many steps are done, as far as the log says.
        minutes: how long they took.
        losses, errors_mm: (step, value) pairs in the order of the log; the errors are those of the validation cases.
    """

    plan: TrainingPlan | None = None
    step: int = 0
    minutes: float = 0.0
    losses: tuple[tuple[int, float], ...] = ()
    errors_mm: tuple[tuple[int, float], ...] = ()

    @property
    def fraction(self) -> float:
        """Share of the training that is over, from 0 to 1."""
        if self.plan is None:
            return 0.0
        return min(max(self.step / self.plan.steps, self.minutes / self.plan.minutes), 1.0)

    @property
    def minutes_left(self) -> float | None:
        """At the speed so far; None while there is no telling."""
        if self.plan is None or self.step == 0:
            return None
        for_steps = self.minutes * (self.plan.steps / self.step - 1.0)
        return max(min(for_steps, self.plan.minutes - self.minutes), 0.0)

    @property
    def best_error_mm(self) -> float | None:
        """The smallest validation error, None before the first validation."""
        return min((error for _, error in self.errors_mm), default=None)


def write_plan(folder: Path, plan: TrainingPlan) -> None:
    """Say in the training's folder what ends it."""
    with whole_file(folder / PLAN_FILE) as path:
        path.write_text(json.dumps(asdict(plan)), encoding="utf-8")


def read_progress(folder: Path) -> TrainingProgress:
    """What the training with this folder has reached; nothing if it has not begun, or its files are damaged."""
    try:
        plan = TrainingPlan(**json.loads((folder / PLAN_FILE).read_text(encoding="utf-8")))
        if not (plan.steps > 0 and plan.minutes > 0):
            return TrainingProgress()
        with (folder / LOG_FILE).open(newline="", encoding="utf-8") as file:
            rows = [{name: _number(row.get(name)) for name in COLUMNS} for row in csv.DictReader(file)]
    except (OSError, ValueError, TypeError, csv.Error):
        return TrainingProgress()
    rows = [row for row in rows if math.isfinite(row["step"] + row["minutes"])]
    step, minutes = (rows[-1]["step"] + 1, rows[-1]["minutes"]) if rows else (0, 0.0)
    losses, errors_mm = (
        tuple((int(row["step"]), row[name]) for row in rows if not math.isnan(row[name])) for name in COLUMNS[2:]
    )
    return TrainingProgress(plan, int(step), minutes, losses, errors_mm)


def network_folder(folder: Path, index: int) -> Path:
    """For the files of one of several networks that a training teaches one after the other."""
    return folder / str(index)


def network_folders(folder: Path) -> list[Path]:
    """Those of a training's networks in the order they learn; the training's own where all learns at once."""
    count = sum(one.name.isdecimal() for one in folder.glob("[0-9]*"))
    return [network_folder(folder, index) for index in range(count)] or [folder]


def _number(text: str | None) -> float:
    """NaN where a cell is empty, or the line is still being written."""
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
