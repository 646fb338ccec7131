"""What the panel offers for single choices. Scenes store the names, so these never change."""

from __future__ import annotations

from enum import Enum

from slicer.i18n import tr as _


class Preset(Enum):
    """How long and how thoroughly to train."""

    QUICK = "quick"
    STANDARD = "standard"
    PAPER = "paper"

    def label(self) -> str:
        """What the panel shows."""
        return {
            Preset.QUICK: _("Quick"),
            Preset.STANDARD: _("Standard"),
            Preset.PAPER: _("As published"),
        }[self]


class Plot(Enum):
    """What the plot view shows of a training."""

    ERROR = "error"
    LOSS = "loss"

    def label(self) -> str:
        """What the panel shows."""
        return {Plot.ERROR: _("Validation error"), Plot.LOSS: _("Loss")}[self]
