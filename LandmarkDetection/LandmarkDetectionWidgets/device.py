"""Where a network can run, as the panels offer it."""

from __future__ import annotations

from enum import Enum

from slicer.i18n import tr as _


class Device(Enum):
    """Where the network runs. Scenes store the names, so these never change."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"

    def label(self) -> str:
        """What a panel shows."""
        return {
            Device.AUTO: _("Automatic"),
            Device.CPU: _("CPU"),
            Device.CUDA: _("NVIDIA graphics processor (CUDA)"),
            Device.MPS: _("Apple graphics processor (MPS)"),
        }[self]
