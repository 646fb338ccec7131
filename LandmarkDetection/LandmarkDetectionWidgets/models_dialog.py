"""The window that lists the models, imports more, checks them and removes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from LandmarkDetectionLib.models.bundle import load_card
from LandmarkDetectionLib.models.card import ModelCard
from LandmarkDetectionLib.models.registry import (
    broken_models,
    import_model,
    is_shipped,
    list_models,
    remove_model,
    replaced_model,
    verify_model,
)

from .card_text import card_details
from .table_cells import set_cell, set_up_table


class ModelsDialog:
    """Manages the models that the user has.

    Args:
        ui_file: path of the window's .ui file.
        parent: the window it belongs to.
        on_changed: called after models came or went, with the name of the one that came, or None.
    """

    def __init__(self, ui_file: str, parent: qt.QWidget, on_changed: Callable[[str | None], None]) -> None:
        self.window = slicer.util.loadUI(ui_file)
        self.window.setParent(parent, qt.Qt.Dialog)
        self.ui = slicer.util.childWidgetVariables(self.window)
        self._on_changed = on_changed
        self._cards: list[ModelCard] = []
        headers = [_("Model"), _("Version"), _("Anatomy"), _("Modality"), _("Licence"), _("From")]
        set_up_table(self.ui.modelsTable, headers)
        self.ui.modelsTable.horizontalHeader().setStretchLastSection(True)
        self.ui.modelsTable.currentCellChanged.connect(self._show_card)
        self.ui.importFileButton.clicked.connect(self._on_import_file_clicked)
        self.ui.importFolderButton.clicked.connect(self._on_import_folder_clicked)
        self.ui.verifyButton.clicked.connect(self._on_verify_clicked)
        self.ui.removeButton.clicked.connect(self._on_remove_clicked)
        self.ui.closeButton.clicked.connect(self.window.close)

    def open(self) -> None:
        """Show the window; the rest of the program stays usable."""
        self.ui.resultLabel.setText("\n".join(broken_models()))
        self._fill()
        self.window.show()
        self.window.raise_()

    def _fill(self, chosen: str | None = None) -> None:
        self._cards = list_models()
        table = self.ui.modelsTable
        table.setRowCount(len(self._cards))
        for row, card in enumerate(self._cards):
            origin = _("shipped") if is_shipped(card.name) else _("imported")
            texts = (card.name, card.version, card.anatomy, card.modality, card.badge or card.licence, origin)
            for column, text in enumerate(texts):
                set_cell(table, row, column, text)
        names = [card.name for card in self._cards]
        table.setCurrentCell(names.index(chosen) if chosen in names else min(0, len(names) - 1), 0)
        self._show_card()

    def _show_card(self, *_arguments: int) -> None:
        card = self._card
        self.ui.cardLabel.setText("" if card is None else card_details(card))
        self.ui.verifyButton.setEnabled(card is not None)
        self.ui.verifyButton.setToolTip(_("Check that the model's files are whole and unaltered."))
        can_go = card is not None and not is_shipped(card.name)
        self.ui.removeButton.setEnabled(can_go)
        self.ui.removeButton.setToolTip(
            _("Delete the model from this computer.") if can_go else _("Only imported models can be removed.")
        )

    @property
    def _card(self) -> ModelCard | None:
        row = self.ui.modelsTable.currentRow()
        return self._cards[row] if 0 <= row < len(self._cards) else None

    def _on_import_file_clicked(self) -> None:
        title, kinds = _("Import a model"), _("Model bundles (*.zip)")
        self._import(qt.QFileDialog.getOpenFileName(self.window, title, "", kinds))

    def _on_import_folder_clicked(self) -> None:
        self._import(qt.QFileDialog.getExistingDirectory(self.window, _("Import a model")))

    def _import(self, path: str) -> None:
        if not path:
            return
        with slicer.util.tryWithErrorDisplay(_("The model was not imported.")):
            card = import_asking(path, self.window)
            if card is not None:
                self._fill(card.name)
                self.ui.resultLabel.setText(_("{name} was imported.").format(name=card.name))
                self._on_changed(card.name)

    def _on_verify_clicked(self) -> None:
        with slicer.util.tryWithErrorDisplay(_("The model is not usable."), waitCursor=True):
            card = verify_model(self._card.name)
            message = _("{name} is whole: its weights have the SHA-256 {hash}.")
            self.ui.resultLabel.setText(message.format(name=card.name, hash=card.weights_sha256))

    def _on_remove_clicked(self) -> None:
        name = self._card.name
        question = _("Delete the model {name} from this computer?").format(name=name)
        if not slicer.util.confirmOkCancelDisplay(question, parent=self.window):
            return
        with slicer.util.tryWithErrorDisplay(_("The model was not removed.")):
            remove_model(name)
            self._fill()
            self.ui.resultLabel.setText(_("{name} was removed.").format(name=name))
            self._on_changed(None)


def import_asking(path: str | Path, parent: qt.QWidget) -> ModelCard | None:
    """Import a model; if another one has its name, the user says whether that is replaced, and None means no.

    Raises:
        LandmarkDetectionError: as `import_model`, or if the model's method is unknown.
    """
    from LandmarkDetectionLib.detectors.registry import detector_class

    detector_class(load_card(path))
    old = replaced_model(path)
    question = _("Another model is named {name}: version {version}, {description} Replace it?")
    if old is not None and not slicer.util.confirmOkCancelDisplay(
        question.format(name=old.name, version=old.version, description=old.description), parent=parent
    ):
        return None
    with slicer.util.WaitCursor():
        return import_model(path)
