"""The Advanced section: the options of the models' methods."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from LandmarkDetectionLib.models.card import ModelCard

from .table_cells import fit_height, set_cell, set_up_table


class AdvancedSection:
    """Shows the options of the chosen model's method, those that were changed in bold.

    Args:
        ui: widgets of the panel by name.
        on_options_changed: called with the options to keep, as text, after the user changed one.
    """

    def __init__(self, ui: Any, on_options_changed: Callable[[str], None]) -> None:
        self._ui = ui
        self._on_options_changed = on_options_changed
        self._card: ModelCard | None = None
        self._chosen: dict[str, dict[str, str]] = {}
        self._is_filling = False
        table = ui.optionsTable
        set_up_table(table, [_("Option"), _("Value")])
        table.horizontalHeader().setStretchLastSection(True)
        table.cellChanged.connect(self._on_cell_changed)
        ui.resetOptionsButton.clicked.connect(self._on_reset_clicked)

    def options_of(self, model: str) -> dict[str, str]:
        """Those of a model that differ from its card, as typed while it was the chosen one."""
        return self._chosen.get(model, {})

    @property
    def _options(self) -> dict[str, str]:
        return {} if self._card is None else self.options_of(self._card.name)

    def show(self, card: ModelCard | None, options: str) -> None:
        """Show the options of a model, as they were kept by the scene."""
        self._chosen = json.loads(options) if options else {}
        self._card = card
        defaults = self._defaults()
        self._is_filling = True
        self._ui.optionsTable.setRowCount(len(defaults))
        for row, (name, value) in enumerate(defaults.items()):
            self._fill_row(row, name, value)
        self._is_filling = False
        fit_height(self._ui.optionsTable)
        self._ui.resetOptionsButton.setEnabled(bool(self._options))

    def _defaults(self) -> dict[str, str]:
        """The card's own values by name, as a user would type them."""
        inference = {} if self._card is None else self._card.inference
        return {name: value if isinstance(value, str) else json.dumps(value) for name, value in inference.items()}

    def _fill_row(self, row: int, name: str, default: str) -> None:
        label = set_cell(self._ui.optionsTable, row, 0, name)
        value = set_cell(self._ui.optionsTable, row, 1, self._options.get(name, default))
        label.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
        font = value.font()
        font.setBold(name in self._options)
        value.setFont(font)
        value.setToolTip(_("The model says {value}.").format(value=default))

    def _on_cell_changed(self, row: int, column: int) -> None:
        if self._is_filling or column == 0:
            return
        name, typed = (self._ui.optionsTable.item(row, index).text().strip() for index in (0, 1))
        options = {**self._options, name: typed}
        if typed in ("", self._defaults()[name]):
            del options[name]
        self._keep(options)

    def _on_reset_clicked(self) -> None:
        self._keep({})

    def _keep(self, options: dict[str, str]) -> None:
        chosen = {**self._chosen, self._card.name: options}
        self._on_options_changed(json.dumps({name: kept for name, kept in chosen.items() if kept}))
