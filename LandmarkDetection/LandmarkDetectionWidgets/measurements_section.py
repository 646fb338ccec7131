"""The Measurements section: the model's own, from where the landmarks are now."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from slicer.i18n import tr as _

from LandmarkDetectionLib.detection_text import measured
from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.measurements import Measurement, MeasurementDefinition, measure_landmarks
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
        measurements, problems = measurements_now(self._shown)
        by_name = {measurement.name: measurement for measurement in measurements}
        for row, definition in enumerate(definitions):
            measurement = by_name.get(definition.name)
            value, hint = (
                ("-", problems[definition.name]) if measurement is None else self._value(definition, measurement)
            )
            for column, text in enumerate((definition.name, value)):
                item = set_cell(self._table, row, column, text)
                item.setToolTip(definition.description if column == 0 else hint)

    def _note(self) -> str:
        if self._shown.detection is None:
            return _("Detect landmarks first.")
        if self._shown.card is None or not self._shown.card.measurements:
            return _("The model of these landmarks defines no measurement.")
        return calibration_note(self._shown.detection)

    def _value(self, definition: MeasurementDefinition, measurement: Measurement) -> tuple[str, str]:
        """What the table shows for a measurement, and what it says about it."""
        if measurement.to_review:
            value = _("{value} · review first").format(value=measured(measurement))
            return value, _("Look at {labels} first.").format(labels=", ".join(measurement.to_review))
        own = [landmark for landmark in self._shown.landmarks if landmark.label in definition.labels]
        moved = [landmark.label for landmark in own if not landmark.is_as_predicted]
        if moved:
            return measured(measurement), _("Without ±, because {labels} was placed by a person.").format(
                labels=", ".join(moved)
            )
        return measured(measurement), _("Value ± standard deviation, from the uncertainty of the landmarks.")


def measurements_now(shown: ShownLandmarks) -> tuple[list[Measurement], dict[str, str]]:
    """The model's measurements where the landmarks are now, in the world, and by name why there is not another.

    Those of landmarks that a person moved have no standard deviation.
    """
    definitions = () if shown.card is None else shown.card.measurements
    measurements: list[Measurement] = []
    problems: dict[str, str] = {}
    if not definitions:
        return measurements, problems
    as_predicted = {landmark.label for landmark in shown.landmarks if landmark.is_as_predicted}
    to_review = {landmark.label for landmark in shown.landmarks if landmark.state is LandmarkState.REVIEW}
    found, positions = shown.detection_in_world().landmarks, shown.landmarks_in_world()
    covariances_ras = {mark.label: mark.covariance_ras for mark in found if mark.label in as_predicted}
    for definition in definitions:
        try:
            measurement = measure_landmarks(definition, positions, covariances_ras)
        except LandmarkDetectionError as error:
            problems[definition.name] = str(error)
        else:
            doubtful = tuple(label for label in definition.labels if label in to_review)
            measurements.append(replace(measurement, to_review=doubtful))
    return measurements, problems
