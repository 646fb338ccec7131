"""The Input section: which model finds landmarks in which volume, on which device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from LandmarkDetectionLib.models.card import ModelCard
from LandmarkDetectionLib.models.registry import import_model, list_models


class InputSection:
    """Fills the model chooser and says what the chosen model is.

    The volume and the device are bound to the parameter node by the panel's .ui file.

    Args:
        ui: widgets of the panel by name.
        on_model_chosen: called with the name of the model that the user chose.
    """

    def __init__(self, ui: Any, on_model_chosen: Callable[[str], None]) -> None:
        self._ui = ui
        self._on_model_chosen = on_model_chosen
        self._cards: dict[str, ModelCard] = {}
        self._is_filling = False
        ui.modelSelector.currentIndexChanged.connect(self._on_index_changed)
        ui.importModelButton.clicked.connect(self._on_import_clicked)
        self.reload_models()

    @property
    def model_names(self) -> tuple[str, ...]:
        """Of all models that can be chosen."""
        return tuple(self._cards)

    @property
    def card(self) -> ModelCard | None:
        """Of the chosen model."""
        return self._cards.get(self._ui.modelSelector.currentData)

    def reload_models(self) -> None:
        """Show the models there are now, keeping the choice if it is still one of them."""
        chosen = self._ui.modelSelector.currentData
        self._cards = {card.name: card for card in list_models()}
        self._is_filling = True
        self._ui.modelSelector.clear()
        for name, card in self._cards.items():
            self._ui.modelSelector.addItem(f"{name} ({card.badge})" if card.badge else name, name)
        self._is_filling = False
        self.choose_model(chosen)

    def choose_model(self, name: str | None) -> None:
        """Show a model as chosen, without telling; none if there is no model of that name."""
        self._is_filling = True
        self._ui.modelSelector.setCurrentIndex(list(self._cards).index(name) if name in self._cards else -1)
        self._is_filling = False
        self._ui.modelCardLabel.setText(self._card_line())
        self._ui.modelCardLabel.setToolTip(
            "" if self.card is None else f"{self.card.description}\n{self.card.limitations}"
        )

    def problem(self, volume_node: slicer.vtkMRMLScalarVolumeNode | None) -> str:
        """Why a detection cannot start, as a sentence; empty if it can."""
        if not self._cards:
            return _("There is no model: import one first.")
        if volume_node is None:
            return _("Load a volume and choose it first.")
        if self.card is None:
            return _("Choose a model first.")
        return ""

    def _card_line(self) -> str:
        card = self.card
        if card is None:
            return ""
        parts = [card.anatomy, card.modality, _("{count} landmarks").format(count=len(card.landmarks))]
        parts += [_("{error:.1f} mm mean error").format(error=accuracy.mre_mm) for accuracy in card.accuracy[:1]]
        return " · ".join([*parts, card.licence])

    def _on_index_changed(self) -> None:
        if not self._is_filling and self.card is not None:
            self._on_model_chosen(self.card.name)

    def _on_import_clicked(self) -> None:
        file = qt.QFileDialog.getOpenFileName(
            self._ui.importModelButton, _("Import a model bundle"), "", _("Model bundles (*.zip)")
        )
        if not file:
            return
        with slicer.util.tryWithErrorDisplay(_("The model was not imported."), waitCursor=True):
            name = import_model(file).name
            self.reload_models()
            self._on_model_chosen(name)
