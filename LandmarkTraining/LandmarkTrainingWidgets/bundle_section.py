"""The Save model bundle section: a trained model joins those that Landmark Detection offers, or becomes a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from LandmarkDetectionLib.models.bundle_files import export_bundle
from LandmarkDetectionLib.training_setup import TrainingSetup
from LandmarkDetectionWidgets.models_dialog import import_asking


class BundleSection:
    """Saves the trained model.

    Args:
        ui: widgets of the panel by name.
        on_saved: called when there is one more model to choose.
    """

    def __init__(self, ui: Any, on_saved: Any) -> None:
        self._ui = ui
        self._on_saved = on_saved
        self._setup: TrainingSetup | None = None
        ui.saveModelButton.clicked.connect(self._on_save_clicked)
        ui.exportModelButton.clicked.connect(self._on_export_clicked)

    def show(self, setup: TrainingSetup, problem: str) -> None:
        """Show whether a model can be saved.

        Args:
            setup: what was trained.
            problem: why it cannot be saved, as a sentence; empty if it can.
        """
        if setup != self._setup or problem:
            self._ui.saveLabel.setText("")
        self._setup = setup
        self._ui.saveModelButton.setEnabled(not problem)
        self._ui.saveModelButton.setToolTip(problem or _("Make the model ready in Landmark Detection."))
        self._ui.exportModelButton.setEnabled(not problem)
        self._ui.exportModelButton.setToolTip(problem or _("Write the model to a .zip file, for another computer."))
        self._ui.saveLabel.setVisible(bool(self._ui.saveLabel.text))

    def _on_save_clicked(self) -> None:
        self._say("")
        with slicer.util.tryWithErrorDisplay(_("The model was not saved.")):
            card = import_asking(self._setup.output, self._ui.saveModelButton)
            if card is not None:
                self._say(_("{name} is ready in Landmark Detection.").format(name=card.name))
                self._on_saved()

    def _on_export_clicked(self) -> None:
        self._say("")
        with slicer.util.tryWithErrorDisplay(_("The model was not exported.")):
            file = qt.QFileDialog.getSaveFileName(
                self._ui.exportModelButton,
                _("Export the model bundle"),
                f"{self._setup.name}.zip",
                _("Model bundles (*.zip)"),
            )
            if file:
                file = file if file.lower().endswith(".zip") else f"{file}.zip"
                export_bundle(self._setup.output, Path(file))
                self._say(_("{name} was written to {file}.").format(name=self._setup.name, file=file))

    def _say(self, text: str) -> None:
        self._ui.saveLabel.setText(text)
        self._ui.saveLabel.setVisible(bool(text))
