"""The Advanced section: the method's own options, and the pixel size of pictures that carry none."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import qt
import slicer
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
        self._volume_node: slicer.vtkMRMLScalarVolumeNode | None = None
        self._is_filling = False
        table = ui.optionsTable
        set_up_table(table, [_("Option"), _("Value")])
        table.horizontalHeader().setStretchLastSection(True)
        table.cellChanged.connect(self._on_cell_changed)
        ui.resetOptionsButton.clicked.connect(self._on_reset_clicked)
        ui.setPixelSpacingButton.clicked.connect(self._on_set_spacing_clicked)

    @property
    def options(self) -> dict[str, str]:
        """Those of the chosen model that differ from its card, as typed."""
        return {} if self._card is None else self._chosen.get(self._card.name, {})

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
        self._ui.resetOptionsButton.setEnabled(bool(self.options))

    def show_volume(self, volume_node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        """Offer to set the pixel size of a picture."""
        self._volume_node = volume_node
        image = None if volume_node is None else volume_node.GetImageData()
        is_picture = image is not None and 1 in image.GetDimensions()
        for widget in (self._ui.pixelSpacingSpinBox, self._ui.setPixelSpacingButton):
            widget.setEnabled(is_picture)
            widget.setToolTip(
                _("Size of a pixel, for pictures whose file does not tell it.")
                if is_picture
                else _("Only of single pictures (2D); volumes carry their geometry.")
            )
        if is_picture:
            self._ui.pixelSpacingSpinBox.setValue(volume_node.GetSpacing()[0])

    def _defaults(self) -> dict[str, str]:
        """The card's own values by name, as a user would type them."""
        inference = {} if self._card is None else self._card.inference
        return {name: value if isinstance(value, str) else json.dumps(value) for name, value in inference.items()}

    def _fill_row(self, row: int, name: str, default: str) -> None:
        label = set_cell(self._ui.optionsTable, row, 0, name)
        value = set_cell(self._ui.optionsTable, row, 1, self.options.get(name, default))
        label.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
        font = value.font()
        font.setBold(name in self.options)
        value.setFont(font)
        value.setToolTip(_("The model says {value}.").format(value=default))

    def _on_cell_changed(self, row: int, column: int) -> None:
        if self._is_filling or column == 0:
            return
        name, typed = (self._ui.optionsTable.item(row, index).text().strip() for index in (0, 1))
        options = {**self.options, name: typed}
        if typed in ("", self._defaults()[name]):
            del options[name]
        self._keep(options)

    def _on_reset_clicked(self) -> None:
        self._keep({})

    def _keep(self, options: dict[str, str]) -> None:
        chosen = {**self._chosen, self._card.name: options}
        self._on_options_changed(json.dumps({name: kept for name, kept in chosen.items() if kept}))

    def _on_set_spacing_clicked(self) -> None:
        size_mm = self._ui.pixelSpacingSpinBox.value
        counts, spacing = self._volume_node.GetImageData().GetDimensions(), self._volume_node.GetSpacing()
        in_plane = [size_mm if count > 1 else old for count, old in zip(counts, spacing, strict=True)]
        self._volume_node.SetSpacing(*in_plane)
