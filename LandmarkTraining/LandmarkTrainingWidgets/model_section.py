"""The Model section: which method learns, for how long, and from where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from LandmarkDetectionLib.models.card import ModelCard
from LandmarkDetectionLib.models.registry import list_models
from LandmarkDetectionLib.training.presets import PRESETS
from LandmarkDetectionLib.training.registry import COMPARATORS, METHODS
from LandmarkDetectionLib.training_setup import TrainingSetup


class ModelSection:
    """Fills the choosers of methods and models, and says how long the preset takes.

    The preset, name, device, settings and folds are bound to the parameter node by the panel's .ui file.

    Args:
        ui: widgets of the panel by name.
        on_method_chosen: called with the name of the method the user chose.
        on_initial_chosen: called with the name of the model to start from, empty for none.
    """

    def __init__(
        self, ui: Any, on_method_chosen: Callable[[str], None], on_initial_chosen: Callable[[str], None]
    ) -> None:
        self._ui = ui
        self._on_method_chosen = on_method_chosen
        self._on_initial_chosen = on_initial_chosen
        self._cards: dict[str, ModelCard] = {}
        self._is_filling = False
        self._fill(ui.methodSelector, {method: method for method in METHODS if method not in COMPARATORS})
        self.reload_models()
        ui.methodSelector.currentIndexChanged.connect(self._on_method_changed)
        ui.initialSelector.currentIndexChanged.connect(self._on_initial_changed)
        ui.browseConfigButton.clicked.connect(self._on_browse_clicked)

    def reload_models(self) -> None:
        """Offer the models there are now to start from."""
        chosen = self._ui.initialSelector.currentData
        self._cards = {card.name: card for card in list_models()}
        self._fill(
            self._ui.initialSelector, {"": _("nothing (learn from scratch)")} | {name: name for name in self._cards}
        )
        self._choose(self._ui.initialSelector, chosen or "")

    def card(self, name: str) -> ModelCard | None:
        """Of a model to start from, None if there is none of that name."""
        return self._cards.get(name)

    def show(self, setup: TrainingSetup, suggested_name: str) -> None:
        """Show choices without telling."""
        self._choose(self._ui.methodSelector, setup.method)
        self._choose(self._ui.initialSelector, setup.initial)
        self._ui.nameEdit.setPlaceholderText(suggested_name)
        self._ui.timeLabel.setText(_time_text(setup))

    def set_enabled(self, is_enabled: bool) -> None:
        """Whether choices can be made."""
        self._ui.modelCollapsibleButton.setEnabled(is_enabled)

    def _fill(self, selector: qt.QComboBox, texts: dict[str, str]) -> None:
        self._is_filling = True
        selector.clear()
        for value, text in texts.items():
            selector.addItem(text, value)
        self._is_filling = False

    def _choose(self, selector: qt.QComboBox, value: str) -> None:
        self._is_filling = True
        selector.setCurrentIndex(selector.findData(value))
        self._is_filling = False

    def _on_method_changed(self) -> None:
        if not self._is_filling:
            self._on_method_chosen(self._ui.methodSelector.currentData)

    def _on_initial_changed(self) -> None:
        if not self._is_filling:
            self._on_initial_chosen(self._ui.initialSelector.currentData)

    def _on_browse_clicked(self) -> None:
        file = qt.QFileDialog.getOpenFileName(
            self._ui.browseConfigButton, _("Choose a file of settings"), "", _("Settings (*.json)")
        )
        if file:
            self._ui.configEdit.setText(file)


def _time_text(setup: TrainingSetup) -> str:
    minutes = PRESETS[setup.preset]
    if minutes is None:
        texts = [_("The schedule of the publication: hours to days; a graphics processor is advised.")]
    else:
        texts = [_("At most {minutes:g} minutes on two processor cores.").format(minutes=minutes)]
    if setup.config:
        texts.append(_("The settings may say otherwise."))
    if setup.folds > 1:
        texts.append(_("{count} times that, for the folds.").format(count=setup.folds + 1))
    return " ".join(texts)
