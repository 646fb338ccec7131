"""The Export section: landmarks as markups or as a table, or the whole reviewed case in a results folder."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.markups import write_markups
from LandmarkDetectionLib.files.results import ResultsFolder, write_landmark_table
from LandmarkDetectionLib.mrml import mapping_between
from LandmarkDetectionLib.planes import StandardPlane, standard_plane
from LandmarkDetectionLib.review import Review, ReviewedLandmark, reviewed_landmarks

from .measurements_section import measurements_now
from .shown_landmarks import ShownLandmarks


class ExportSection:
    """Writes where the landmarks are now, in world coordinates, and how they came there.

    Args:
        ui: widgets of the panel by name.
        shown: the list of landmarks.
    """

    def __init__(self, ui: Any, shown: ShownLandmarks) -> None:
        self._ui = ui
        self._shown = shown
        ui.saveLandmarksButton.clicked.connect(self._on_save_clicked)
        ui.exportButton.clicked.connect(self._on_export_clicked)
        shown.on_change(self._update)
        self._update()

    def _update(self) -> None:
        ui = self._ui
        no_list = "" if self._shown.node is not None else _("Detect landmarks first.")
        no_detection = "" if self._shown.detection is not None else _("Only detected landmarks can be added.")
        ui.saveLandmarksButton.setEnabled(not no_list)
        ui.saveLandmarksButton.setToolTip(
            no_list or _("Write the landmarks as markups (.mrk.json, .fcsv) or as a table (.csv).")
        )
        ui.exportButton.setEnabled(not (no_list or no_detection))
        ui.exportButton.setToolTip(
            no_list
            or no_detection
            or _(
                "Write the case as the command line does: its markups, a row a landmark in results.csv, a row a "
                "measurement in measurements.csv, what was detected, and who changed what."
            )
        )
        if no_list:
            self._say("")

    def _on_save_clicked(self) -> None:
        with slicer.util.tryWithErrorDisplay(_("The landmarks were not saved.")):
            file = qt.QFileDialog.getSaveFileName(
                self._ui.saveLandmarksButton,
                _("Save the landmarks"),
                f"{self._case_name()}.mrk.json",
                _("Markups (*.mrk.json);;Fiducials (*.fcsv);;Table (*.csv)"),
            )
            if file:
                self._save(Path(file))
                self._say(_("Written to {path}").format(path=file))

    def _save(self, file: Path) -> None:
        if file.suffix.lower() == ".csv":
            write_landmark_table(file, self._case_name(), self._reviewed_in_world())
        else:
            write_markups(self._shown.landmarks_in_world(), file)

    def _on_export_clicked(self) -> None:
        with slicer.util.tryWithErrorDisplay(_("The case was not exported.")):
            folder = qt.QFileDialog.getExistingDirectory(self._ui.exportButton, _("Choose a results folder"))
            if folder:
                self._export(Path(folder))

    def _export(self, folder: Path) -> None:
        results, case = ResultsFolder(folder), self._case_name()
        is_known = any(row.case == case for row in results.cases)
        question = _("The folder holds a case {case} already. Replace it?").format(case=case)
        if is_known and not slicer.util.confirmOkCancelDisplay(question):
            return
        results.write_reviewed_case(
            case,
            self._shown.detection_in_world(),
            self._reviewed_in_world(),
            self._review_in_world(),
            planes=self._planes(),
            descriptions=self._shown.landmarks_in_world().descriptions,
            measurements=measurements_now(self._shown)[0],
        )
        self._say(_("Written to {path}").format(path=folder))

    def _reviewed_in_world(self) -> tuple[ReviewedLandmark, ...]:
        detection = None if self._shown.detection is None else self._shown.detection_in_world()
        return reviewed_landmarks(detection, self._review_in_world(), list(self._shown.landmarks_in_world().items()))

    def _review_in_world(self) -> Review:
        to_world = mapping_between(self._shown.node.GetParentTransformNode(), None)
        return self._shown.review.mapped(lambda position: to_world(position[None])[0])

    def _planes(self) -> list[StandardPlane]:
        """Those that the landmarks define as they are now."""
        planes = []
        for definition in () if self._shown.card is None else self._shown.card.planes:
            with suppress(LandmarkDetectionError):
                planes.append(standard_plane(definition, self._shown.landmarks_in_world()))
        return planes

    def _case_name(self) -> str:
        return re.sub(r"[^\w.-]", "_", self._shown.name)

    def _say(self, text: str) -> None:
        self._ui.exportLabel.setText(text)
        self._ui.exportLabel.setVisible(bool(text))
