"""The chooser of further models: all that are chosen look for the same landmarks and answer as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import qt
from slicer.i18n import tr as _

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.models.card import ModelCard
from LandmarkDetectionLib.models.joint_card import JointCard


class SecondOpinions:
    """A button with a menu of the models that can be asked together with the first.

    Args:
        ui: widgets of the panel by name.
        on_chosen: called with the names of the models that are chosen after the user changed one.
    """

    def __init__(self, ui: Any, on_chosen: Callable[[tuple[str, ...]], None]) -> None:
        self._button = ui.secondOpinionButton
        self._on_chosen = on_chosen
        self._menu = qt.QMenu(self._button)
        self._button.setMenu(self._menu)
        self._actions: dict[str, qt.QAction] = {}
        self._is_filling = False
        self.cards: tuple[ModelCard, ...] = ()

    def show(self, first: ModelCard | None, cards: Iterable[ModelCard], chosen: Sequence[str]) -> None:
        """Offer the models that fit the first, and show some as chosen, without telling."""
        others = [] if first is None else [card for card in cards if _belong_together(first, card)]
        self.cards = tuple(card for card in others if card.name in chosen)
        self._is_filling = True
        if [card.name for card in others] != list(self._actions):
            self._fill(others)
        for name, action in self._actions.items():
            action.setChecked(name in chosen)
        self._is_filling = False
        names = [card.name for card in self.cards]
        self._button.setText(_("none") if not names else ", ".join(names))
        self._button.setEnabled(bool(others))
        self._button.setToolTip(
            _("Models that look for the same landmarks. Where they disagree, a landmark needs review.")
            if others
            else _("No other model finds these landmarks: import or train one.")
        )

    def _fill(self, cards: Sequence[ModelCard]) -> None:
        self._menu.clear()
        self._actions = {}
        for card in cards:
            action = self._menu.addAction(card.name)
            action.setCheckable(True)
            action.toggled.connect(self._on_toggled)
            self._actions[card.name] = action

    def _on_toggled(self, *_arguments: bool) -> None:
        if not self._is_filling:
            self._on_chosen(tuple(name for name, action in self._actions.items() if action.isChecked()))


def _belong_together(first: ModelCard, other: ModelCard) -> bool:
    try:
        JointCard.of([first, other])
    except LandmarkDetectionError:
        return False
    return True
