"""What the panel says about a model, and how far what it says of itself can be trusted."""

from __future__ import annotations

from slicer.i18n import tr as _

from LandmarkDetectionLib.landmarks import Detection
from LandmarkDetectionLib.models.card import ModelCard


def card_line(card: ModelCard) -> str:
    """A model in one line: anatomy, modality, number of landmarks, accuracy."""
    parts = [card.anatomy, card.modality, _("{count} landmarks").format(count=len(card.landmarks))]
    parts += [_("{error:.2f} mm mean error").format(error=accuracy.mre_mm) for accuracy in card.accuracy[:1]]
    return " · ".join(parts)


def card_details(card: ModelCard) -> str:
    """A model in a paragraph: what it is, how well it does and where it fails, on what it was trained."""
    lines = [card.description]
    for accuracy in card.accuracy:
        text = _("{error:.2f} mm mean error ({median:.2f} mm median) on {cases} cases ({data})")
        line = text.format(
            error=accuracy.mre_mm,
            median=accuracy.median_mm,
            cases=accuracy.cases,
            data=accuracy.measured_on,
        )
        if accuracy.mean_position_mre_mm is not None:
            line += _("; the mean position alone: {error:.2f} mm").format(error=accuracy.mean_position_mre_mm)
        lines.append(line + ".")
    lines += [
        card.limitations,
        _("Trained on: {data} ({licence}).").format(data=card.training.data, licence=card.training.licence),
        _("Licence: {licence}.").format(licence=card.licence),
        card.not_a_medical_device,
    ]
    return "\n".join(filter(None, lines))


def calibration_note(detection: Detection | None) -> str:
    """What to know about a detection's uncertainties; empty if they are calibrated, or there is no detection."""
    if detection is None or detection.is_calibrated:
        return ""
    return _("± is the model's own guess: it is not calibrated, and may err by much more.")
