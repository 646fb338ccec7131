"""What an evaluation finds out, before it is written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..files.dataset import Case
from ..geometry import FloatArray
from ..landmarks import LandmarkSet
from .metrics import ErrorTable
from .predictions import Prediction


@dataclass(frozen=True, eq=False)
class CaseOutcome:
    """One case.

    Attributes:
        case: the case.
        counted_truth: the annotated landmarks that lie inside the volume.
        prediction: None if there is none; `message` then says why.
        message: one sentence about what went wrong, or empty.
        shape_space_mm: errors (n,) that the model's restricted shape space alone causes; None if it has none.
    """

    case: Case
    counted_truth: LandmarkSet
    prediction: Prediction | None
    message: str = ""
    shape_space_mm: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All cases of a split.

    Attributes:
        report: the contents of report.json.
        outcomes: one per case, in the order of the tables' rows.
        table: errors of the predictions.
        mean_position, oracle: errors of the baselines on the same points; None without training cases.
        observers: errors of each observer.
    """

    report: Mapping[str, Any]
    outcomes: tuple[CaseOutcome, ...]
    table: ErrorTable
    mean_position: ErrorTable | None
    oracle: ErrorTable | None
    observers: Mapping[str, ErrorTable]
