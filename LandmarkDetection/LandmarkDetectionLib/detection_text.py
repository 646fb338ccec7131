"""What was found in a case, as a person reads it in the terminal."""

from __future__ import annotations

from .case_result import CaseResult
from .landmarks import DetectedLandmark, Detection
from .measurements import Measurement
from .text_table import text_table


def case_text(result: CaseResult) -> str:
    """Tables of the landmarks (RAS) and the measurements of a case that succeeded, and the notes on it."""
    detection = result.detection
    heading = (
        f"{result.name}: {detection.model_name} {detection.model_version} "
        f"on {detection.device}, {detection.seconds:.2f} s"
    )
    parts = [heading, _landmark_table(detection)]
    if result.measurements:
        rows = [(measurement.name, measured(measurement)) for measurement in result.measurements]
        parts.append(text_table(("measurement", "value"), rows, texts=2))
    parts += [f"Note: {note}" for note in result.notes]
    return "\n\n".join(parts)


def case_line(result: CaseResult) -> str:
    """The same in one line."""
    detection = result.detection
    found = [mark for mark in detection.landmarks if not mark.missing]
    line = f"{result.name}: {len(found)} of {len(detection.landmarks)} landmarks"
    if found:
        least_certain = max(found, key=lambda mark: mark.spread_mm)
        line += f", spread at most {least_certain.spread_mm:.1f} mm ({least_certain.label})"
    notes = f", {len(result.notes)} notes" if result.notes else ""
    return f"{line}, {detection.seconds:.2f} s on {detection.device}{notes}"


def measured(measurement: Measurement) -> str:
    """A value with its standard deviation and unit."""
    unit = {"deg": "°"}.get(measurement.unit, f" {measurement.unit}")
    spread = "" if measurement.sd is None else f" ± {measurement.sd:.1f}"
    return f"{measurement.value:.1f}{spread}{unit}"


def _landmark_table(detection: Detection) -> str:
    """Positions in RAS millimetres; the calibrated radius only if there is one."""
    is_calibrated = any(mark.radius90_mm is not None for mark in detection.landmarks)
    headings = ["landmark", "R (mm)", "A (mm)", "S (mm)", "presence", "spread (mm)", "90 % within (mm)"]
    columns = len(headings) if is_calibrated else len(headings) - 1
    rows = [_landmark_cells(mark)[:columns] for mark in detection.landmarks]
    return text_table(headings[:columns], rows)


def _landmark_cells(mark: DetectedLandmark) -> list[str]:
    position = ["missing", "", ""] if mark.missing else [f"{coordinate:.1f}" for coordinate in mark.position_ras]
    radius = "" if mark.radius90_mm is None else f"{mark.radius90_mm:.1f}"
    return [mark.label, *position, f"{mark.presence:.2f}", f"{mark.spread_mm:.1f}", radius]
