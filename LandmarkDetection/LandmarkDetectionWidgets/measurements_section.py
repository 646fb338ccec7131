"""The Measurements section: the model's own, from where the landmarks are now."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from LandmarkDetectionLib.detection_text import measured
from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.measurements import MeasurementDefinition, measure_landmarks
from LandmarkDetectionLib.review import LandmarkState

from .card_text import calibration_note
from .shown_landmarks import ShownLandmarks
from .table_cells import fit_height, set_cell, set_up_table


class MeasurementsSection:
    """A row for every measurement that the model behind the landmarks defines.

    Args:
        ui: widgets of the panel by name.
        shown: the list of landmarks.
    """

    def __init__(self, ui: Any, shown: ShownLandmarks) -> None:
        self._table = ui.measurementsTable
        self._label = ui.measurementsLabel
        self._shown = shown
        set_up_table(self._table, [_("Measurement"), _("Value")])
        self._table.horizontalHeader().setStretchLastSection(True)
        shown.on_change(self._fill)
        self._fill()

    def _fill(self) -> None:
        card = self._shown.card
        definitions = () if card is None else card.measurements
        self._table.setVisible(bool(definitions))
        note = self._note()
        self._label.setText(note)
        self._label.setVisible(bool(note))
        self._table.setRowCount(len(definitions))
        fit_height(self._table)
        covariances = {}
        if definitions:
            sure = {landmark.label for landmark in self._shown.landmarks if landmark.is_as_predicted}
            found = self._shown.detection_in_world()
            covariances = {mark.label: mark.covariance_ras for mark in found.landmarks if mark.label in sure}
        for row, definition in enumerate(definitions):
            value, hint = self._value(definition, covariances)
            for column, text in enumerate((definition.name, value)):
                item = set_cell(self._table, row, column, text)
                item.setToolTip(definition.description if column == 0 else hint)

    def _note(self) -> str:
        if self._shown.detection is None:
            return _("Detect landmarks first.")
        if self._shown.card is None or not self._shown.card.measurements:
            return _("The model of these landmarks defines no measurement.")
        return calibration_note(self._shown.detection)

    def _value(self, definition: MeasurementDefinition, covariances: dict) -> tuple[str, str]:
        """What the table shows for a measurement, and what it says about it."""
        try:
            measurement = measure_landmarks(definition, self._shown.landmarks_in_world(), covariances)
        except LandmarkDetectionError as error:
            return "-", str(error)
        own = [landmark for landmark in self._shown.landmarks if landmark.label in definition.labels]
        doubtful = [landmark.label for landmark in own if landmark.state is LandmarkState.REVIEW]
        if doubtful:
            value = _("{value} · review first").format(value=measured(measurement))
            return value, _("Look at {labels} first.").format(labels=", ".join(doubtful))
        moved = [label for label in definition.labels if label not in covariances]
        if moved:
            return measured(measurement), _("Without ±, because {labels} was placed by a person.").format(
                labels=", ".join(moved)
            )
        return measured(measurement), _("Value ± standard deviation, from the uncertainty of the landmarks.")
