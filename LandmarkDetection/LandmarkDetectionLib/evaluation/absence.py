"""Landmarks that an image does not show: are they flagged missing, and those that it shows not?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry import FloatArray
from .confidence import ConfidenceTable
from .metrics import ErrorTable

_PRESENCE_BINS = 10


def summarise_absence(table: ErrorTable, confidence: ConfidenceTable, cap_mm: float) -> dict[str, Any]:
    """Scores of the flag "missing", and a localisation score that counts its mistakes.

    A landmark is absent if it was annotated outside the image, or marked missing by who annotated it. Flags count over
    the landmarks the prediction says anything about. The capped mean takes every landmark that the truth or the
    prediction says is there, an error of at most `cap_mm`, and `cap_mm` for one that is missed (flagged, or without a
    prediction) or made up: an error without an upper bound ranks methods by their worst case, and one of the found
    landmarks alone by what they leave out [Koehler 2022].

    Returns:
        absent, present (counts of truths), flagged (all flags), flagged_absent (right ones), recall (of the absent
        ones, how many are flagged), precision (of the flags, how many are right), false_alarms (present, but
        flagged) and false_alarm_rate, presence_calibration_error (None without absent landmarks), capped_mre_mm,
        cap_mm, capped_points.
    """
    is_absent, is_present = confidence.is_absent & confidence.is_answered, table.is_counted & confidence.is_answered
    is_right, is_false_alarm = is_absent & confidence.is_flagged, is_present & confidence.is_flagged
    capped_mm = _capped_errors_mm(table, confidence, cap_mm)
    return {
        "absent": int(confidence.is_absent.sum()),
        "present": int(table.is_counted.sum()),
        "flagged": int(is_right.sum() + is_false_alarm.sum()),
        "flagged_absent": int(is_right.sum()),
        "recall": _share(is_right, is_absent),
        "precision": _share(is_right, is_right | is_false_alarm),
        "false_alarms": int(is_false_alarm.sum()),
        "false_alarm_rate": _share(is_false_alarm, is_present),
        "presence_calibration_error": _calibration_error(confidence.presence, is_present, is_absent),
        "capped_mre_mm": float(np.mean(capped_mm)) if len(capped_mm) else None,
        "cap_mm": cap_mm,
        "capped_points": len(capped_mm),
    }


def _capped_errors_mm(table: ErrorTable, confidence: ConfidenceTable, cap_mm: float) -> FloatArray:
    is_found = table.is_counted & ~np.isnan(table.errors_mm) & ~confidence.is_flagged
    is_made_up = confidence.is_absent & confidence.is_answered & ~confidence.is_flagged
    mistakes = int((table.is_counted & ~is_found).sum() + is_made_up.sum())
    return np.concatenate([np.minimum(table.errors_mm[is_found], cap_mm), np.full(mistakes, cap_mm)])


def _calibration_error(
    presence: FloatArray, is_present: NDArray[np.bool_], is_absent: NDArray[np.bool_]
) -> float | None:
    """Expected calibration error of the presence in ten equal bins: mean |share present - mean presence| [Guo 2017]."""
    is_known = (is_present | is_absent) & ~np.isnan(presence)
    if not (is_known & is_absent).any():
        return None
    gaps = (is_present.astype(np.float64) - presence)[is_known]
    bins = np.minimum((presence[is_known] * _PRESENCE_BINS).astype(int), _PRESENCE_BINS - 1)
    return float(np.abs(np.bincount(bins, gaps)).sum() / len(gaps))


def _share(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> float | None:
    return float(part.sum() / whole.sum()) if whole.any() else None
