"""The Landmarks section's table: what was found, how sure the model is, and where the points are now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from LandmarkDetectionLib.landmarks import DetectedLandmark, Doubt
from LandmarkDetectionLib.review import LandmarkState, ReviewedLandmark, uncertainty_mm

from .card_text import calibration_note
from .shown_landmarks import ShownLandmarks
from .table_cells import set_cell, set_up_table

_COLOURS = {
    LandmarkState.REVIEW: "#d07a00",
    LandmarkState.CORRECTED: "#3b82d6",
    LandmarkState.ACCEPTED: "#2e9e4f",
    LandmarkState.MISSING: "#8a8a8a",
}
"""Of the state's text, legible on a light and on a dark background."""


class LandmarksSection:
    """Shows a list of landmarks and follows it as points are moved; a selected row centres the slice views.

    Args:
        ui: widgets of the panel by name.
        shown: the list.
        on_row_changed: called when another row is selected.
    """

    def __init__(self, ui: Any, shown: ShownLandmarks, on_row_changed: Callable[[], None]) -> None:
        self._table = ui.landmarksTable
        self._calibration_label = ui.calibrationLabel
        self._shown = shown
        self._on_row_changed = on_row_changed
        self._rows: list[tuple] = []
        headers = [_("Landmark"), _("Presence"), _("± mm"), "R", "A", "S", _("State")]
        set_up_table(self._table, headers)
        for column, meaning in (
            (1, _("How likely the volume shows the landmark, as the model sees it.")),
            (2, _("How far from the truth the landmark may be, as the model sees it.")),
        ):
            self._table.horizontalHeaderItem(column).setToolTip(meaning)
        self._table.horizontalHeader().setMinimumSectionSize(36)
        self._table.horizontalHeader().setSectionResizeMode(0, qt.QHeaderView.Stretch)
        self._table.currentCellChanged.connect(self._on_row_chosen)
        self._table.cellClicked.connect(self._centre_views)
        shown.on_change(self._fill)
        self._fill()

    @property
    def row(self) -> int | None:
        """Of the selected landmark."""
        row = self._table.currentRow()
        return row if 0 <= row < len(self._shown.landmarks) else None

    def select(self, label: str) -> None:
        """Select a landmark by its label."""
        row = next(index for index, landmark in enumerate(self._shown.landmarks) if landmark.label == label)
        self._table.setCurrentCell(row, 0)
        self._centre_views(row)

    def _fill(self) -> None:
        landmarks = self._shown.landmarks
        note = calibration_note(self._shown.detection)
        self._calibration_label.setText(note)
        self._calibration_label.setVisible(bool(note))
        if len(landmarks) != len(self._rows):
            self._rows = [()] * len(landmarks)
            self._table.setRowCount(len(landmarks))
        for index, landmark in enumerate(landmarks):
            description = self._shown.node.GetNthControlPointDescription(index)
            position = self._shown.node.GetNthControlPointPositionWorld(index)
            row = (*_texts(landmark, position), description, landmark.is_reviewed)
            if row != self._rows[index]:
                self._rows[index] = row
                self._fill_row(index, landmark)

    def _fill_row(self, index: int, landmark: ReviewedLandmark) -> None:
        *texts, description, _is_reviewed = self._rows[index]
        for column, text in enumerate(texts):
            item = set_cell(self._table, index, column, text)
            if 0 < column < len(texts) - 1:
                item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
        predicted = landmark.predicted
        self._table.item(index, 0).setToolTip("\n".join(filter(None, (landmark.label, description))))
        self._table.item(index, 1).setToolTip(_presence_meaning(landmark))
        self._table.item(index, 2).setToolTip("" if predicted is None else _uncertainty_meaning(predicted))
        state = self._table.item(index, len(texts) - 1)
        state.setToolTip(_state_meaning(landmark))
        colour = _COLOURS.get(landmark.state)
        state.setForeground(qt.QBrush() if colour is None else qt.QBrush(qt.QColor(colour)))

    def _on_row_chosen(self, row: int) -> None:
        self._centre_views(row)
        self._on_row_changed()

    def _centre_views(self, row: int) -> None:
        node = self._shown.node
        if 0 <= row < self._table.rowCount and node.GetNthControlPointPositionStatus(row) == node.PositionDefined:
            slicer.modules.markups.logic().JumpSlicesToNthPointInMarkup(node.GetID(), row, True)


def _texts(landmark: ReviewedLandmark, position: np.ndarray) -> tuple[str, ...]:
    predicted = landmark.predicted
    return (
        landmark.label,
        f"{predicted.presence:.2f}" if _is_presence_shown(landmark) else "",
        f"{uncertainty_mm(predicted):.1f}" if landmark.is_as_predicted else "",
        *(("", "", "") if landmark.position_ras is None else (f"{value:.1f}" for value in position)),
        _state_text(landmark.state),
    )


def _is_presence_shown(landmark: ReviewedLandmark) -> bool:
    """Whether nobody has decided otherwise: beside "missing", a person's word, the model's 1.00 would be a riddle."""
    if landmark.predicted is None:
        return False
    return landmark.is_as_predicted or (landmark.predicted.missing and landmark.state is LandmarkState.MISSING)


def _presence_meaning(landmark: ReviewedLandmark) -> str:
    if landmark.predicted is None or _is_presence_shown(landmark):
        return ""
    text = _("The model gave it a presence of {presence:.2f}; a person has decided since.")
    return text.format(presence=landmark.predicted.presence)


def _uncertainty_meaning(predicted: DetectedLandmark) -> str:
    if predicted.radius90_mm is None:
        return _("Spread of the model's answers (standard deviation); this model is not calibrated.")
    return _("Calibrated: the truth lies within this radius with 90 % probability.")


def _state_text(state: LandmarkState) -> str:
    return {
        LandmarkState.PREDICTED: _("predicted"),
        LandmarkState.REVIEW: _("needs review"),
        LandmarkState.CORRECTED: _("corrected"),
        LandmarkState.ACCEPTED: _("accepted"),
        LandmarkState.MISSING: _("missing"),
        LandmarkState.PLACED: _("placed"),
        LandmarkState.UNPLACED: _("not placed"),
    }[state]


def _state_meaning(landmark: ReviewedLandmark) -> str:
    doubts = (
        [] if landmark.is_reviewed else [_doubt_text(doubt, landmark.predicted) for doubt in landmark.predicted.doubts]
    )
    if landmark.state is LandmarkState.MISSING and not landmark.is_reviewed:
        return "\n".join((_("The model takes this landmark not to be in the volume."), *doubts))
    if landmark.state is LandmarkState.REVIEW:
        return "\n".join(doubts)
    return {
        LandmarkState.PREDICTED: _("Where the model says; nobody has checked it."),
        LandmarkState.CORRECTED: _("A person moved it."),
        LandmarkState.ACCEPTED: _("Where the model says, and a person agreed."),
        LandmarkState.MISSING: _("A person says that it is not in the volume."),
        LandmarkState.PLACED: _("A person placed it; the model does not know it."),
        LandmarkState.UNPLACED: _("It has no position yet."),
    }[landmark.state]


def _doubt_text(doubt: Doubt, predicted: DetectedLandmark) -> str:
    if doubt is Doubt.PRESENCE:
        return _("It is open whether it is in the volume: its presence is {presence:.2f}.").format(
            presence=predicted.presence
        )
    if doubt is Doubt.UNSURE:
        return _("The model is much less sure of it than it usually is.")
    if predicted.disagreement_mm is None:
        return _("Models disagree whether it is in the volume.")
    return _("Models disagree: they lie {distance:.1f} mm apart.").format(distance=predicted.disagreement_mm)
