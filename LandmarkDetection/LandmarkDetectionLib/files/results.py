"""The results folder of a run: what was found in each case, and the tables over all of them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ..errors import LandmarkDetectionError
from ..landmarks import DetectedLandmark, Detection, LandmarkSet
from ..review import LandmarkState, Position, Review, ReviewedLandmark, landmark_set_of
from .atomic import remove_partial_files, whole_file
from .detection_json import detection_from_json, detection_to_json
from .markups import write_markups
from .planes import write_plane_markups
from .review_json import reviewed_case_to_json

if TYPE_CHECKING:
    from ..measurements import Measurement
    from ..planes import StandardPlane

RESULTS_FILE = "results.csv"
MEASUREMENTS_FILE = "measurements.csv"
CASES_FILE = "cases.csv"
DETECTION_SUFFIX = ".detection.json"
MARKUPS_SUFFIX = ".mrk.json"
PLANES_SUFFIX = ".planes.mrk.json"
REVIEW_SUFFIX = ".review.json"

SUCCEEDED, FAILED = "succeeded", "failed"
"""Status of a case."""
DETECTED, REVIEW, MISSING = "detected", "review", "missing"
"""Status of a landmark; one on which several models disagree is to be reviewed. In a case that a person has reviewed
it may also be "accepted", "corrected" or "placed"."""


class LandmarkRow(NamedTuple):
    """A row of results.csv: a position in LPS millimetres, empty where the landmark is missing."""

    case: str
    label: str
    l: str  # noqa: E741 - the name of the column
    p: str
    s: str
    presence: str
    radius90_mm: str
    status: str


class MeasurementRow(NamedTuple):
    """A row of measurements.csv; `review` names the landmarks at which a person should look first."""

    case: str
    name: str
    value: str
    sd: str
    unit: str
    review: str


class CaseRow(NamedTuple):
    """A row of cases.csv."""

    case: str
    status: str
    seconds: str
    device: str
    message: str


Row = TypeVar("Row", LandmarkRow, MeasurementRow, CaseRow)


class ResultsFolder:
    """A folder that receives cases one by one; after each, all tables are whole and hold every case so far.

    Cases of earlier runs stay in the tables; one that is done again takes the place of its earlier self. There is a
    table of measurements once a case has any.

    Args:
        folder: made if it is not there.

    Raises:
        LandmarkDetectionError: if the folder cannot be written, or holds tables that are not of a run.

    Example:
        >>> results = ResultsFolder(Path("results"))
        >>> if not results.is_complete("case1", model.weights_sha256):
        ...     results.write_case("case1", detector.detect(volume))
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._case_rows = {row.case: row for row in _read_table(self.folder / CASES_FILE, CaseRow)}
        self._landmark_rows: dict[str, list[LandmarkRow]] = {}
        for row in _read_table(self.folder / RESULTS_FILE, LandmarkRow):
            self._landmark_rows.setdefault(row.case, []).append(row)
        self._measurement_rows: dict[str, list[MeasurementRow]] = {}
        for measured in _read_table(self.folder / MEASUREMENTS_FILE, MeasurementRow):
            self._measurement_rows.setdefault(measured.case, []).append(measured)
        self._write_tables()
        remove_partial_files(self.folder)

    @property
    def cases(self) -> list[CaseRow]:
        """Every case so far."""
        return list(self._case_rows.values())

    def is_complete(self, case: str, weights_sha256: str) -> bool:
        """Whether a case was done with these weights and everything about it is written."""
        row = self._case_rows.get(case)
        if row is None or row.status != SUCCEEDED or case not in self._landmark_rows:
            return False
        if not (self.folder / f"{case}{MARKUPS_SUFFIX}").is_file():
            return False
        try:
            return read_detection(self.folder / f"{case}{DETECTION_SUFFIX}").weights_sha256 == weights_sha256
        except LandmarkDetectionError:
            return False

    def write_case(
        self,
        case: str,
        detection: Detection,
        planes: Sequence[StandardPlane] = (),
        descriptions: Mapping[str, str] | None = None,
        measurements: Sequence[Measurement] = (),
    ) -> None:
        """Write a case's markups, planes and detection, then the tables; until then the case is not complete.

        Args:
            case: name of the case, different for each.
            detection: what was found.
            planes: those that follow from it.
            descriptions: of the landmarks, by label.
            measurements: those that follow from it.
        """
        landmarks = LandmarkSet(dict(detection.landmark_set), descriptions)
        with suppress(OSError):
            (self.folder / f"{case}{REVIEW_SUFFIX}").unlink()
        rows = _landmark_rows(case, detection)
        self._write(case, detection, landmarks, planes=planes, measurements=measurements, rows=rows)

    def write_reviewed_case(
        self,
        case: str,
        detection: Detection,
        landmarks: Sequence[ReviewedLandmark],
        review: Review,
        *,
        planes: Sequence[StandardPlane] = (),
        descriptions: Mapping[str, str] | None = None,
        measurements: Sequence[Measurement] = (),
    ) -> None:
        """As `write_case`, with the landmarks where a person left them, and a file that says who did what.

        Args:
            case: name of the case, different for each.
            detection: what was found, which stays as it was.
            landmarks: as they are now.
            review: how they came there.
            planes: those that follow from where the landmarks are now.
            descriptions: of the landmarks, by label.
            measurements: those that follow from where the landmarks are now.
        """
        with whole_file(self.folder / f"{case}{REVIEW_SUFFIX}") as temporary:
            content = reviewed_case_to_json(detection, review, landmarks)
            temporary.write_text(json.dumps(content, allow_nan=False, indent=1), encoding="utf-8")
        placed = LandmarkSet(dict(landmark_set_of(landmarks)), descriptions)
        rows = [_reviewed_row(case, landmark) for landmark in landmarks]
        self._write(case, detection, placed, planes=planes, measurements=measurements, rows=rows)

    def _write(
        self,
        case: str,
        detection: Detection,
        landmarks: LandmarkSet,
        *,
        planes: Sequence[StandardPlane],
        measurements: Sequence[Measurement],
        rows: list[LandmarkRow],
    ) -> None:
        detection_file = self.folder / f"{case}{DETECTION_SUFFIX}"
        with suppress(OSError):
            detection_file.unlink()
        write_markups(landmarks, self.folder / f"{case}{MARKUPS_SUFFIX}")
        planes_file = self.folder / f"{case}{PLANES_SUFFIX}"
        if planes:
            write_plane_markups(planes, planes_file)
        else:
            planes_file.unlink(missing_ok=True)
        with whole_file(detection_file) as temporary:
            temporary.write_text(json.dumps(detection_to_json(detection), allow_nan=False), encoding="utf-8")
        self._landmark_rows[case] = rows
        self._measurement_rows[case] = [_measurement_row(case, measurement) for measurement in measurements]
        seconds, notes = f"{detection.seconds:.3f}", " ".join(detection.notes)
        self._case_rows[case] = CaseRow(case, SUCCEEDED, seconds, detection.device, notes)
        self._write_tables()

    def write_failure(self, case: str, message: str, device: str = "") -> None:
        """Write into the tables that a case failed, and why; what an earlier run found in it goes."""
        for suffix in (MARKUPS_SUFFIX, PLANES_SUFFIX, DETECTION_SUFFIX, REVIEW_SUFFIX):
            with suppress(OSError):
                (self.folder / f"{case}{suffix}").unlink()
        self._landmark_rows.pop(case, None)
        self._measurement_rows.pop(case, None)
        self._case_rows[case] = CaseRow(case, FAILED, "", device, message)
        self._write_tables()

    def _write_tables(self) -> None:
        _write_table(self.folder / RESULTS_FILE, LandmarkRow, chain.from_iterable(self._landmark_rows.values()))
        measured = list(chain.from_iterable(self._measurement_rows.values()))
        if measured or (self.folder / MEASUREMENTS_FILE).is_file():
            _write_table(self.folder / MEASUREMENTS_FILE, MeasurementRow, measured)
        _write_table(self.folder / CASES_FILE, CaseRow, self._case_rows.values())


def read_detection(path: Path | str) -> Detection:
    """Read a .detection.json file.

    Raises:
        LandmarkDetectionError: if it is missing or malformed.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"The detection {path} cannot be read: detect the landmarks of this case again."
        raise LandmarkDetectionError(message) from error
    try:
        return detection_from_json(content)
    except LandmarkDetectionError as error:
        message = f"{path}: {error}"
        raise LandmarkDetectionError(message) from error


def write_landmark_table(path: Path | str, case: str, landmarks: Sequence[ReviewedLandmark]) -> None:
    """Write the rows of results.csv for one case, where its landmarks are now, to a file of their own.

    Raises:
        LandmarkDetectionError: if the file cannot be written.
    """
    _write_table(Path(path), LandmarkRow, [_reviewed_row(case, landmark) for landmark in landmarks])


def _landmark_rows(case: str, detection: Detection) -> list[LandmarkRow]:
    rows = []
    for landmark in detection.landmarks:
        status = MISSING if landmark.missing else REVIEW if landmark.needs_review else DETECTED
        position = None if landmark.missing else landmark.position_ras
        rows.append(_landmark_row(case, landmark.label, position, landmark, status))
    return rows


def _reviewed_row(case: str, landmark: ReviewedLandmark) -> LandmarkRow:
    """The radius is the detector's, so a landmark that was moved has none."""
    status = DETECTED if landmark.state is LandmarkState.PREDICTED else landmark.state.value
    uncertainty = landmark.predicted
    if uncertainty is not None and landmark.state is LandmarkState.CORRECTED:
        uncertainty = replace(uncertainty, radius90_mm=None)
    return _landmark_row(case, landmark.label, landmark.position_ras, uncertainty, status)


def _landmark_row(
    case: str, label: str, position_ras: Position, predicted: DetectedLandmark | None, status: str
) -> LandmarkRow:
    position = ("", "", "")
    if position_ras is not None:
        r, a, s = position_ras
        position = (f"{0.0 - r:.4f}", f"{0.0 - a:.4f}", f"{s:.4f}")
    presence = "" if predicted is None else f"{predicted.presence:.4f}"
    radius = "" if predicted is None or predicted.radius90_mm is None else f"{predicted.radius90_mm:.3f}"
    return LandmarkRow(case, label, *position, presence, radius, status)


def _measurement_row(case: str, measurement: Measurement) -> MeasurementRow:
    sd = "" if measurement.sd is None else f"{measurement.sd:.3f}"
    review = ", ".join(measurement.to_review)
    return MeasurementRow(case, measurement.name, f"{measurement.value:.3f}", sd, measurement.unit, review)


def _write_table(path: Path, row_type: type[Row], rows: Iterable[Row]) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(row_type._fields)
    writer.writerows(rows)
    with whole_file(path) as temporary:
        temporary.write_text(stream.getvalue(), encoding="utf-8", newline="")


def _read_table(path: Path, row_type: type[Row]) -> list[Row]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        header, *rows = list(csv.reader(stream)) or [[]]
    if tuple(header) != row_type._fields or any(len(row) != len(header) for row in rows):
        message = f"{path} is not a table of a detection run: choose another output folder."
        raise LandmarkDetectionError(message)
    return [row_type(*row) for row in rows]
