"""The size of a picture's pixels, which most picture files do not tell: seen to be lacking, and entered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from LandmarkDetectionLib.files.image_headers import PRINT_SPACINGS_MM
from LandmarkDetectionLib.files.image_names import PICTURE_SUFFIXES

_ENTERED_ATTRIBUTE = "LandmarkDetection.PixelSizeEntered"
"""Node attribute of a picture whose pixel size a person has entered; scenes save it."""


class PixelSize:
    """Shown for pictures (2D) alone; volumes carry their geometry.

    Args:
        ui: widgets of the panel by name.
        on_entered: called after the user has entered a size.
    """

    def __init__(self, ui: Any, on_entered: Callable[[], None]) -> None:
        self._ui = ui
        self._on_entered = on_entered
        self._node: slicer.vtkMRMLScalarVolumeNode | None = None
        ui.setPixelSpacingButton.clicked.connect(self._on_set_clicked)

    def show(self, node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        """Show the pixel size of a volume if it is a picture."""
        self._node = node
        is_shown = node is not None and _is_picture(node)
        for widget in (self._ui.pixelSpacingLabel, self._ui.pixelSpacingSpinBox, self._ui.setPixelSpacingButton):
            widget.setVisible(is_shown)
        if is_shown:
            self._ui.pixelSpacingSpinBox.setValue(_in_plane_mm(node)[0])

    @property
    def doubt(self) -> str:
        """Says that the pixel size is not known, and what to do; empty if it is known."""
        if self._node is None or not _is_picture(self._node) or not _lacks_size(self._node):
            return ""
        text = _("The file does not tell how large a pixel is; {size:.4g} mm is a guess. Enter the pixel size above.")
        return text.format(size=_in_plane_mm(self._node)[0])

    def _on_set_clicked(self) -> None:
        size_mm = self._ui.pixelSpacingSpinBox.value
        counts, spacing = self._node.GetImageData().GetDimensions(), self._node.GetSpacing()
        in_plane = [size_mm if count > 1 else old for count, old in zip(counts, spacing, strict=True)]
        with slicer.util.NodeModify(self._node):
            self._node.SetAttribute(_ENTERED_ATTRIBUTE, "true")
            self._node.SetSpacing(*in_plane)
        self._on_entered()


def _is_picture(node: slicer.vtkMRMLScalarVolumeNode) -> bool:
    image = node.GetImageData()
    return image is not None and 1 in image.GetDimensions()


def _in_plane_mm(node: slicer.vtkMRMLScalarVolumeNode) -> list[float]:
    counts = node.GetImageData().GetDimensions()
    return [size for size, count in zip(node.GetSpacing(), counts, strict=True) if count > 1] or [1.0]


def _lacks_size(node: slicer.vtkMRMLScalarVolumeNode) -> bool:
    """Whether a picture comes from a file that tells no size, or has one that programs write if they know none."""
    if node.GetAttribute(_ENTERED_ATTRIBUTE) is not None:
        return False
    storage = node.GetStorageNode()
    file = "" if storage is None else storage.GetFileName() or ""
    is_default = any(np.allclose(_in_plane_mm(node), default, rtol=1e-4) for default in PRINT_SPACINGS_MM)
    return is_default or file.lower().endswith(PICTURE_SUFFIXES)
