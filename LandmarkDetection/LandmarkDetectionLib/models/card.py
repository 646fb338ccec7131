"""ModelCard: all that is known about a model besides its weights; the contents of model.json."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import LandmarkDetectionError
from ..geometry import direction_of
from ..landmarks import MODELS_SEPARATOR, LandmarkDefinition
from ..measurements import MeasurementDefinition
from ..planes import PlaneDefinition
from ..preprocessing import Preprocessing
from ..shape_model import ShapeModel
from .calibration import Calibration
from .record import FieldError, parse_record, record_to_json

FORMAT_VERSION = 1
NOT_A_MEDICAL_DEVICE = "For research; not a medical device and not for diagnosis or treatment."

_SPLITS = ("train", "validation", "test")

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class FieldOfView:
    """Smallest and largest image size (3,) in millimetres along the canonical axes seen in training."""

    minimum: Triple
    maximum: Triple

    def __post_init__(self) -> None:
        _require(min(self.minimum) > 0, "minimum", "must be three positive numbers")
        pairs = zip(self.minimum, self.maximum, strict=True)
        _require(all(low <= high for low, high in pairs), "maximum", "must not be smaller than minimum")


@dataclass(frozen=True)
class Accuracy:
    """Errors measured on one split of one dataset, all landmarks of all cases pooled.

    `split` is a split's name or what else the cases were, as "5 folds"; `sdr` maps a threshold in millimetres, as text,
    to the fraction of errors at or below it.
    """

    dataset: str
    split: str
    cases: int
    landmarks: int
    mre_mm: float
    median_mm: float
    sd_mm: float
    sdr: dict[str, float]
    mean_position_mre_mm: float | None = None
    commit: str = ""

    def __post_init__(self) -> None:
        for name in ("cases", "landmarks"):
            _require(getattr(self, name) >= 1, name, "must be at least 1")
        for name in ("mre_mm", "median_mm", "sd_mm", "mean_position_mre_mm"):
            _require((getattr(self, name) or 0) >= 0, name, "must not be negative")

    @property
    def measured_on(self) -> str:
        """The dataset and the part of it, as in "brain, test split" or "spine, 5 folds"."""
        return f"{self.dataset}, {self.split}" + " split" * (self.split in _SPLITS)


@dataclass(frozen=True)
class ResourceNeeds:
    """What one detection takes: seconds, and megabytes of memory at its peak."""

    cpu_seconds: float
    gpu_seconds: float | None
    memory_mb: float


@dataclass(frozen=True)
class TrainingRecord:
    """What the model was trained on, and how; `licence` is that of the data."""

    data: str
    cases: int
    licence: str
    preset: str
    notes: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a model finds, in which images, how well, and under which terms.

    Attributes:
        name: lower-case letters, digits and hyphens; what the user types.
        method: key of the detector in the registry of detectors.
        dimension: 2 for pictures, 3 for volumes.
        landmarks: in the order of the network's outputs.
        interchangeable: pairs of labels whose ends cannot be told apart.
        network, inference: JSON objects that the method's detector validates.
        shape_model: of all landmarks, in millimetres, or None if the method needs none.
        rotation_range_deg: largest deviation from the usual orientation that was seen in training.
        worst_cases: which cases it errs most on of those its accuracy was measured on, and why; empty if nobody looked.
        badge: "research use only" if the licence of the data asks for it.
        weights_sha256: of weights.safetensors; empty until the bundle is saved.

    Raises:
        LandmarkDetectionError: if a value breaks a rule or contradicts another.
    """

    format_version: Literal[1] = FORMAT_VERSION
    name: str
    version: str
    method: str
    modality: str
    anatomy: str
    dimension: Literal[2, 3]
    description: str
    landmarks: tuple[LandmarkDefinition, ...]
    interchangeable: tuple[tuple[str, str], ...] = ()
    preprocessing: Preprocessing
    network: dict[str, Any]
    inference: dict[str, Any] = field(default_factory=dict)
    shape_model: ShapeModel | None = None
    planes: tuple[PlaneDefinition, ...] = ()
    measurements: tuple[MeasurementDefinition, ...] = ()
    field_of_view_mm: FieldOfView
    rotation_range_deg: float
    accuracy: tuple[Accuracy, ...] = ()
    calibration: Calibration | None = None
    resources: ResourceNeeds | None = None
    training: TrainingRecord
    licence: str
    badge: Literal["", "research use only"] = ""
    citation: str
    limitations: str
    worst_cases: str = ""
    not_a_medical_device: str = NOT_A_MEDICAL_DEVICE
    weights_sha256: str = ""

    def __post_init__(self) -> None:
        _require(bool(re.fullmatch(r"[a-z0-9][a-z0-9-]*", self.name)), "name", "must be like brain-t1: a-z, 0-9, -")
        for name in ("version", "method", "not_a_medical_device"):
            _require(bool(getattr(self, name).strip()), name, "must not be empty")
        joins = f'must not hold "{MODELS_SEPARATOR}", which joins the versions of several models'
        _require(MODELS_SEPARATOR not in self.version, "version", joins)
        _require(0 <= self.rotation_range_deg <= 180, "rotation_range_deg", "must lie between 0 and 180")
        is_hash = re.fullmatch(r"([0-9a-f]{64})?", self.weights_sha256)
        _require(bool(is_hash), "weights_sha256", "must be 64 hexadecimal digits in lower case")
        _check_landmarks(self.landmarks)
        _check_preprocessing(self.preprocessing)
        is_posed = self.preprocessing.pose_spacing_mm > 0
        _require(self.dimension == 3 or not is_posed, "preprocessing.pose_spacing_mm", "must be 0 for pictures")
        _check_labels_in_use(self)
        if self.shape_model is not None:
            _check_shape_model(self.shape_model, len(self.landmarks))

    @classmethod
    def from_json(cls, data: object, where: str = "model.json") -> ModelCard:
        """Parse the contents of a model.json.

        Raises:
            LandmarkDetectionError: naming the first field that is missing, unknown or not what it must be.
        """
        version = data.get("format_version", "missing") if isinstance(data, dict) else FORMAT_VERSION
        if version != FORMAT_VERSION:
            message = f"{where}: format_version is {version}, but must be {FORMAT_VERSION}; update the extension."
            raise LandmarkDetectionError(message)
        return parse_record(cls, data, where)

    def to_json(self) -> dict[str, Any]:
        """The JSON object that `from_json` reads back."""
        return record_to_json(self)

    @property
    def labels(self) -> tuple[str, ...]:
        """Landmark labels in the order of the network's outputs."""
        return tuple(landmark.label for landmark in self.landmarks)


def _require(condition: bool, field_name: str, problem: str) -> None:
    if not condition:
        raise FieldError(field_name, problem)


def _check_landmarks(landmarks: tuple[LandmarkDefinition, ...]) -> None:
    _require(len(landmarks) > 0, "landmarks", "must name at least one landmark")
    seen: set[str] = set()
    for index, landmark in enumerate(landmarks):
        _require(bool(landmark.label.strip()), f"landmarks[{index}].label", "must not be empty")
        _require(landmark.label not in seen, f"landmarks[{index}].label", f'repeats the label "{landmark.label}"')
        is_side = landmark.side in ("", "left", "right")
        _require(is_side, f"landmarks[{index}].side", "must be left, right or empty")
        seen.add(landmark.label)


def _check_preprocessing(preprocessing: Preprocessing) -> None:
    _require(_is_orientation(preprocessing.orientation), "preprocessing.orientation", 'must be like "RAS"')
    spacing_is_positive = all(spacing > 0 for spacing in preprocessing.spacing_mm)
    _require(spacing_is_positive, "preprocessing.spacing_mm", "must be three positive numbers")
    for name in ("foreground_radius_mm", "pose_spacing_mm"):
        _require(getattr(preprocessing, name) >= 0, f"preprocessing.{name}", "must not be negative")
    for look in preprocessing.looks:
        name = "high_percentile" if look is preprocessing else "second_look_percentiles"
        in_order = 0 <= look.low_percentile < look.high_percentile <= 100
        _require(in_order, f"preprocessing.{name}", "must lie above low_percentile, both in 0 to 100")


def _is_orientation(text: str) -> bool:
    try:
        direction_of(text)
    except ValueError:
        return False
    return True


def _check_labels_in_use(card: ModelCard) -> None:
    """Every label that another part of the card mentions must be one of its landmarks."""
    for index, pair in enumerate(card.interchangeable):
        _require_known(pair, card.labels, f"interchangeable[{index}]")
        _require(pair[0] != pair[1], f"interchangeable[{index}]", "must name two different landmarks")
    for index, plane in enumerate(card.planes):
        _require_known(plane.labels, card.labels, f"planes[{index}]")
    for index, measurement in enumerate(card.measurements):
        _require_known(measurement.labels, card.labels, f"measurements[{index}]")
    if card.calibration is not None:
        for name, values in card.calibration.by_label:
            _require_known(values, card.labels, f"calibration.{name}")


def _require_known(labels: Iterable[str], known: tuple[str, ...], field_name: str) -> None:
    for label in labels:
        _require(label in known, field_name, f'names "{label}", which is not one of the model\'s landmarks')


def _check_shape_model(shape_model: ShapeModel, landmark_count: int) -> None:
    coordinates, modes = 3 * landmark_count, len(shape_model.eigenvalues)
    _require(
        shape_model.mean.shape == (coordinates,), "shape_model.mean", f"must have {coordinates} numbers, 3 a landmark"
    )
    fits = shape_model.eigenvectors.shape == (modes, coordinates) and shape_model.eigenvalues.ndim == 1
    problem = f"must be one row of {coordinates} numbers for each of the {modes} eigenvalues"
    _require(fits, "shape_model.eigenvectors", problem)
    _require(bool((shape_model.eigenvalues >= 0).all()), "shape_model.eigenvalues", "must not be negative")
