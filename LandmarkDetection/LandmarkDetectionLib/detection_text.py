"""What was found in a case, as a person reads it in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from .case_result import CaseResult
from .landmarks import DetectedLandmark, Detection
from .measurements import Measurement
from .text_table import text_lines, text_table
from .wording import counted

_HEADINGS = (
    "landmark",
    "R (mm)",
    "A (mm)",
    "S (mm)",
    "presence",
    "spread (mm)",
    "90 % radius (mm)",
    "models apart (mm)",
    "to do",
)
_KEPT = "kept from an earlier run"
_ALWAYS_SHOWN = 6
"""Columns from the left that a table has even if they are empty."""


def case_text(result: CaseResult, width: int | None = None) -> str:
    """Tables of the landmarks (RAS) and the measurements of a case that succeeded, and the notes on it.

    Args:
        result: the case.
        width: letters that a line may have, if there is a limit.
    """
    detection = result.detection
    origin = ", " + _KEPT if result.is_kept else f" on {detection.device}, {detection.seconds:.2f} s"
    heading = f"{result.name}: {detection.model_name} {detection.model_version}{origin}"
    parts = [heading, _landmark_table(detection, width)]
    if result.measurements:
        parts.append(_measurement_table(result.measurements))
    if not detection.is_calibrated:
        models, are = ("model's", "it is") if len(detection.model_names) == 1 else ("models'", "they are")
        guess = f"The spread (a standard deviation) and the ± of measurements are the {models} own guess"
        parts.append(text_lines(f"{guess}: {are} not calibrated, and may err by much more.", width))
    parts += [text_lines(f"Note: {note}", width) for note in result.notes]
    return "\n\n".join(parts)


def case_line(result: CaseResult) -> str:
    """The same in one line."""
    detection = result.detection
    found = [mark for mark in detection.landmarks if not mark.missing]
    line = f"{result.name}: {len(found)} of {counted(len(detection.landmarks), 'landmark')}"
    if found:
        least_certain = max(found, key=lambda mark: mark.spread_mm)
        line += f", spread at most {least_certain.spread_mm:.1f} mm ({least_certain.label})"
    review = [mark.label for mark in detection.landmarks if mark.needs_review]
    if review:
        line += f", to review: {', '.join(review)}"
    notes = f", {counted(len(result.notes), 'note')}" if result.notes else ""
    origin = _KEPT if result.is_kept else f"{detection.seconds:.2f} s on {detection.device}"
    return f"{line}, {origin}{notes}"


def measured(measurement: Measurement) -> str:
    """A value with its standard deviation and unit."""
    unit = {"deg": "°"}.get(measurement.unit, f" {measurement.unit}")
    deviation = "" if measurement.sd is None else f" ± {measurement.sd:.1f}"
    return f"{measurement.value:z.1f}{deviation}{unit}"


def review_first(measurement: Measurement) -> str:
    """Which landmarks to look at before a measurement is used, if any."""
    return f"review {', '.join(measurement.to_review)} first" if measurement.to_review else ""


def _measurement_table(measurements: Sequence[Measurement]) -> str:
    """With a column of what to do only if there is something."""
    rows = [(one.name, measured(one), review_first(one)) for one in measurements]
    columns = 3 if any(row[2] for row in rows) else 2
    headings = ("measurement", "value", "to do")[:columns]
    return text_table(headings, [row[:columns] for row in rows], texts=columns)


def _landmark_table(detection: Detection, width: int | None) -> str:
    """Positions in RAS millimetres; a column for the radius, the disagreement or the review only if it is not empty."""
    rows = [_landmark_cells(mark) for mark in detection.landmarks]
    filled = [index for index in range(len(_HEADINGS)) if index < _ALWAYS_SHOWN or any(row[index] for row in rows)]
    shown = [[row[index] for index in filled] for row in rows]
    return text_table([_HEADINGS[index] for index in filled], shown, width=width)


def _landmark_cells(mark: DetectedLandmark) -> list[str]:
    position = ["missing", "", ""] if mark.missing else [f"{coordinate:z.1f}" for coordinate in mark.position_ras]
    optional = ["" if number is None else f"{number:.1f}" for number in (mark.radius90_mm, mark.disagreement_mm)]
    review = "review" if mark.needs_review else ""
    return [mark.label, *position, f"{mark.presence:.2f}", f"{mark.spread_mm:.1f}", *optional, review]
