"""What an evaluation finds out, before it is written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..files.dataset import Case
from ..geometry import FloatArray
from ..landmarks import LandmarkSet
from ..measurements import MeasurementDefinition
from ..planes import PlaneDefinition
from .confidence import ConfidenceTable
from .metrics import ErrorTable
from .plane_images import ImageSimilarity
from .predictions import Prediction, PredictorIdentity


@dataclass(frozen=True, eq=False)
class Study:
    """What was evaluated on what.

    Attributes:
        dataset, split: names.
        dataset_path: folder or packed file of the dataset.
        dimension: 2 for pictures, 3 for volumes.
        labels: the landmarks that are compared.
        unknown_labels: those of the dataset that the model does not know.
        interchangeable: pairs of labels whose ends cannot be told apart.
        thresholds_mm: of the success detection rates.
        observers: names.
        model: which model it was.
        planes, measurements: what it derives from its landmarks.
    """

    dataset: str
    dataset_path: str
    split: str
    dimension: int
    labels: tuple[str, ...]
    unknown_labels: tuple[str, ...]
    interchangeable: tuple[tuple[str, str], ...]
    thresholds_mm: tuple[float, ...]
    observers: tuple[str, ...]
    model: PredictorIdentity
    planes: tuple[PlaneDefinition, ...]
    measurements: tuple[MeasurementDefinition, ...]


@dataclass(frozen=True, eq=False)
class CaseOutcome:
    """One case.

    Attributes:
        case: the case.
        truth: the landmarks as they were annotated: some may be marked missing, or lie outside the volume.
        counted_truth: the annotated landmarks that lie inside the volume.
        readings: what each observer placed.
        prediction: None if there is none; `message` then says why.
        message: one sentence about what went wrong, or empty.
        shape_space_mm: errors (n,) that the model's restricted shape space alone causes; None if it has none.
        plane_images: by plane, how like its picture is to the true one; only where there are both.
        mean_position, oracle: predictions of the baselines; None without training cases.
    """

    case: Case
    truth: LandmarkSet
    counted_truth: LandmarkSet
    readings: Mapping[str, LandmarkSet] = field(default_factory=dict)
    prediction: Prediction | None = None
    message: str = ""
    shape_space_mm: FloatArray | None = None
    plane_images: Mapping[str, ImageSimilarity] = field(default_factory=dict)
    mean_position: LandmarkSet | None = None
    oracle: LandmarkSet | None = None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All cases of a split.

    Attributes:
        study: what was evaluated on what.
        outcomes: one per case, in the order of the tables' rows.
        report: the contents of report.json.
        table: errors of the predictions.
        confidence: what the predictions say about themselves.
        mean_position, oracle: errors of the baselines on the same points; None without training cases.
        observers: errors of each observer.
    """

    study: Study
    outcomes: tuple[CaseOutcome, ...]
    report: Mapping[str, Any]
    table: ErrorTable
    confidence: ConfidenceTable
    mean_position: ErrorTable | None
    oracle: ErrorTable | None
    observers: Mapping[str, ErrorTable]
