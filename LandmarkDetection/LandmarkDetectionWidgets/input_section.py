"""The Input section: which models find landmarks in which volume, on which device, and whether they fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.models.card import ModelCard
from LandmarkDetectionLib.models.registry import list_models
from LandmarkDetectionLib.mrml import grid_of
from LandmarkDetectionLib.suitability import check_dimension, field_of_view_doubts, modality_doubts

from .card_text import card_details, card_line
from .models_dialog import ModelsDialog
from .pixel_size import PixelSize
from .second_opinions import SecondOpinions

_BADGE_STYLE = "QLabel {{ border: 1px solid {colour}; border-radius: 6px; padding: 1px 6px; color: {colour}; }}"
_LICENCE_COLOUR, _RESTRICTED_COLOUR = "#2e9e4f", "#d07a00"
_DOUBT_STYLE = "QLabel { border: 1px solid #d07a00; border-radius: 4px; padding: 4px; color: #d07a00; }"
_AGREED_SETTING = "LandmarkDetection/ResearchUseAgreed/{name}"


class InputSection(VTKObservationMixin):
    """Fills the model chooser, says what the chosen model is, and warns where a volume does not look like its own.

    The volume and the device are bound to the parameter node by the panel's .ui file.

    Args:
        ui: widgets of the panel by name.
        models_ui_file: path of the .ui file of the window that manages models.
        on_model_chosen: called with the name of the model that the user chose.
        on_opinions_chosen: called with the names of the further models that the user chose.
        on_changed: called after the models or the volume changed.
    """

    def __init__(
        self,
        ui: Any,
        models_ui_file: str,
        on_model_chosen: Callable[[str], None],
        on_opinions_chosen: Callable[[tuple[str, ...]], None],
        on_changed: Callable[[], None],
    ) -> None:
        VTKObservationMixin.__init__(self)
        self._ui = ui
        self._on_model_chosen = on_model_chosen
        self._on_changed = on_changed
        self._cards: dict[str, ModelCard] = {}
        self._volume_node: slicer.vtkMRMLScalarVolumeNode | None = None
        self._is_filling = False
        self.models = ModelsDialog(models_ui_file, ui.manageModelsButton.window(), self._on_models_changed)
        ui.modelSelector.currentIndexChanged.connect(self._on_index_changed)
        ui.manageModelsButton.clicked.connect(self.models.open)
        ui.doubtsLabel.setStyleSheet(_DOUBT_STYLE)
        self._opinions = SecondOpinions(ui, on_opinions_chosen)
        self._pixel_size = PixelSize(ui, self._on_volume_changed)
        self.reload_models()

    @property
    def likely_model(self) -> str:
        """Name of the first model about which the volume raises the fewest doubts; empty without voxels or models."""
        grid = None if self._volume_node is None else grid_of(self._volume_node)
        if grid is None:
            return ""

        def doubt_count(name: str) -> float:
            card = self._cards[name]
            return len(self._doubts_of(card)) if grid.dimension == card.dimension else math.inf

        return min(self._cards, key=doubt_count, default="")

    @property
    def card(self) -> ModelCard | None:
        """Of the chosen model, the first if there are several."""
        return self._cards.get(self._ui.modelSelector.currentData)

    @property
    def cards(self) -> tuple[ModelCard, ...]:
        """Of all models that are asked together."""
        return () if self.card is None else (self.card, *self._opinions.cards)

    def reload_models(self) -> None:
        """Show the models there are now, keeping the choice if it is still one of them."""
        chosen = self._ui.modelSelector.currentData
        self._cards = {card.name: card for card in list_models()}
        self._is_filling = True
        self._ui.modelSelector.clear()
        for name in self._cards:
            self._ui.modelSelector.addItem(name, name)
        self._is_filling = False
        self.choose(chosen, [card.name for card in self._opinions.cards], self._volume_node)

    def choose(
        self, model: str | None, opinions: Sequence[str], volume_node: slicer.vtkMRMLScalarVolumeNode | None
    ) -> None:
        """Show models as chosen, without telling, none if there is none of that name; and look at a volume."""
        self._is_filling = True
        self._ui.modelSelector.setCurrentIndex(list(self._cards).index(model) if model in self._cards else -1)
        self._is_filling = False
        self._opinions.show(self.card, self._cards.values(), opinions)
        self._watch(volume_node)
        self._pixel_size.show(volume_node)
        self._show_card()
        self._show_doubts()

    def problem(self) -> str:
        """Why a detection cannot start, as a sentence; empty if it can."""
        if not self._cards:
            return _("There is no model: import one first.")
        if self._volume_node is None:
            return _("Load a volume and choose it first.")
        if self.card is None:
            return _("Choose a model first.")
        try:
            grid = grid_of(self._volume_node)
            if grid is None:
                return _("The volume has no voxels: choose another one.")
            check_dimension(grid, self.card)
        except LandmarkDetectionError as error:
            return str(error)
        return ""

    def is_agreed(self) -> bool:
        """Whether the models may be used; one for research alone asks once, and the answer is remembered."""
        return all(map(_is_agreed, self.cards))

    def close(self) -> None:
        """Close the window of the models, and look at nothing any more."""
        self.models.window.close()
        self._watch(None)

    def _watch(self, volume_node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        if volume_node is self._volume_node:
            return
        self.removeObservers()
        self._volume_node = volume_node
        if volume_node is not None:
            for event in (
                vtk.vtkCommand.ModifiedEvent,
                volume_node.ImageDataModifiedEvent,
                volume_node.TransformModifiedEvent,
            ):
                self.addObserver(volume_node, event, self._on_volume_modified)

    def _show_card(self) -> None:
        card = self.card
        ui = self._ui
        ui.modelCardLabel.setText("" if card is None else card_line(card))
        ui.modelCardLabel.setToolTip("" if card is None else card_details(card))
        ui.badgeLabel.setVisible(card is not None)
        if card is not None:
            ui.badgeLabel.setText(card.badge or card.licence)
            ui.badgeLabel.setStyleSheet(
                _BADGE_STYLE.format(colour=_RESTRICTED_COLOUR if card.badge else _LICENCE_COLOUR)
            )
            ui.badgeLabel.setToolTip(_("Licence of the model: {licence}.").format(licence=card.licence))

    def _show_doubts(self) -> None:
        doubts = self._doubts()
        self._ui.doubtsLabel.setText("\n".join(doubts))
        self._ui.doubtsLabel.setVisible(bool(doubts))

    def _doubts(self) -> tuple[str, ...]:
        """Why the volume may not be one for the models."""
        if self._volume_node is None or self.card is None:
            return ()
        if problem := self.problem():
            return (problem,)
        if doubt := self._pixel_size.doubt:
            return (doubt,)  # its size in millimetres, with which others begin, is not known
        return tuple(chain.from_iterable(map(self._doubts_of, self.cards)))

    def _doubts_of(self, card: ModelCard) -> tuple[str, ...]:
        least_value = self._volume_node.GetImageData().GetScalarRange()[0]
        grid = grid_of(self._volume_node)
        return *field_of_view_doubts(grid, card), *modality_doubts(least_value, card)

    def _on_volume_modified(self, _caller: vtk.vtkObject, _event: str) -> None:
        self._on_volume_changed()

    def _on_volume_changed(self) -> None:
        self._pixel_size.show(self._volume_node)
        self._show_doubts()
        self._on_changed()

    def _on_models_changed(self, name: str | None) -> None:
        self.reload_models()
        if name is not None:
            self._on_model_chosen(name)
        self._on_changed()

    def _on_index_changed(self) -> None:
        if not self._is_filling and self.card is not None:
            self._on_model_chosen(self.card.name)


def _is_agreed(card: ModelCard) -> bool:
    settings, key = slicer.app.userSettings(), _AGREED_SETTING.format(name=card.name)
    if not card.badge or settings.value(key) == card.weights_sha256:
        return True
    question = _("{name} is for research use only: the licence of its training data is {licence}. Go on?")
    question = question.format(name=card.name, licence=card.training.licence.rstrip("."))
    if not slicer.util.confirmOkCancelDisplay(question):
        return False
    settings.setValue(key, card.weights_sha256)
    return True
