"""A Qt widget that shows what VTK draws offscreen."""

from __future__ import annotations

import os

os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

import numpy as np
import vtk
from PySide6.QtCore import QSize
from PySide6.QtGui import QImage, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QWidget
from vtk.util.numpy_support import vtk_to_numpy


class RenderedView(QWidget):
    """A render window of its own; what is drawn in it is for subclasses to add."""

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumSize(QSize(120, 120))
        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(True)
        self._window.SetMultiSamples(0)
        self._interactor = vtk.vtkGenericRenderWindowInteractor()
        self._interactor.SetRenderWindow(self._window)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._window.SetSize(event.size().width(), event.size().height())
        super().resizeEvent(event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        pixels = self._pixels()
        height, width = pixels.shape[:2]
        QPainter(self).drawImage(0, 0, QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888))

    def _pixels(self) -> np.ndarray:
        self._window.Render()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self._window)
        grabber.ReadFrontBufferOff()
        grabber.Update()
        image = grabber.GetOutput()
        width, height = image.GetDimensions()[:2]
        return np.ascontiguousarray(vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, 3)[::-1])
