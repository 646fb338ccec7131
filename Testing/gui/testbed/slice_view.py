"""Slicer's own slice view, drawn offscreen and put on a Qt widget that hands it the mouse."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QResizeEvent
from PySide6.QtWidgets import QApplication

from .logics import Logics
from .rendered_view import RenderedView

_DISPLAYABLE_MANAGERS = (
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLMarkupsDisplayableManager",
)

_STEPS_OF_A_DRAG = 4


class SliceView(RenderedView):
    """One of the application's slice views: the volumes, models and markups of the scene on a slice.

    Args:
        logics: of the application.
        name: "Red", "Green" or "Yellow".
    """

    def __init__(self, logics: Logics, name: str) -> None:
        super().__init__()
        self.setMouseTracking(True)
        self._logics = logics
        self._logic = logics.slices[name]
        self._node = self._logic.GetSliceNode()
        self._window.SetNumberOfLayers(2)
        self._add_image_layer()
        self._interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())
        self._managers = self._add_markups_layer(logics)
        self._style = slicer.vtkMRMLSliceViewInteractorStyle()
        self._style.SetSliceLogic(self._logic)
        self._style.SetInteractor(self._interactor)
        self._style.SetDisplayableManagers(self._managers)
        self._interactor.Enable()
        self._managers.AddObserver(vtk.vtkCommand.UpdateEvent, lambda *_event: self.update())
        self._logic.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_event: self.update())

    @property
    def node(self) -> slicer.vtkMRMLSliceNode:
        """The view in the scene."""
        return self._node

    def show_volume(self, volume: slicer.vtkMRMLScalarVolumeNode) -> None:
        """Have the whole of a volume in view."""
        volume.CreateDefaultDisplayNodes()
        volume.GetDisplayNode().SetAndObserveColorNodeID(self._logics.grey().GetID())
        self._logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
        self._logic.FitSliceToBackground()

    def place_of(self, position_ras: tuple[float, float, float]) -> QPoint:
        """Where on the widget a position of the world is drawn."""
        ras_to_xy = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self._node.GetXYToRAS(), ras_to_xy)
        x, y = ras_to_xy.MultiplyPoint((*position_ras, 1.0))[:2]
        return QPoint(round(x), self.height - 1 - round(y))

    def drag(self, start: QPoint, end: QPoint) -> None:
        """What a person does with the left button; Qt moves no pointer where there is no screen."""
        self.grab()
        no_button, left = Qt.MouseButton.NoButton, Qt.MouseButton.LeftButton
        self._send(QEvent.Type.MouseMove, start, no_button, no_button)
        self._send(QEvent.Type.MouseButtonPress, start, left, left)
        for step in range(1, _STEPS_OF_A_DRAG + 1):
            self._send(QEvent.Type.MouseMove, start + (end - start) * step / _STEPS_OF_A_DRAG, no_button, left)
        self._send(QEvent.Type.MouseButtonRelease, end, left, no_button)

    def click(self, place: QPoint) -> None:
        """What a person does with the left button, after the pointer has come there."""
        self.drag(place, place)

    def _send(self, kind: QEvent.Type, place: QPoint, button: Qt.MouseButton, held: Qt.MouseButton) -> None:
        at = QPointF(place)
        event = QMouseEvent(kind, at, self.mapToGlobal(at), button, held, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(self, event)
        QApplication.processEvents()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._logic.ResizeSliceNode(event.size().width(), event.size().height())
        super().resizeEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._hand_over(event, "LeftButtonPressEvent" if event.button() == Qt.MouseButton.LeftButton else "")

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._hand_over(event, "LeftButtonReleaseEvent" if event.button() == Qt.MouseButton.LeftButton else "")

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._hand_over(event, "MouseMoveEvent")

    def _hand_over(self, event: QMouseEvent, name: str) -> None:
        place = event.position().toPoint()
        self._interactor.SetEventInformation(place.x(), self.height - 1 - place.y(), 0, 0)
        if name:
            self._interactor.InvokeEvent(name)
        self.update()

    def _pixels(self) -> np.ndarray:
        # Without a volume the logic has no picture.
        picture = self._logic.GetImageDataConnection()
        self._picture.SetVisibility(picture is not None)
        self._mapper.SetInputConnection(picture)
        return super()._pixels()

    def _add_image_layer(self) -> None:
        renderer = vtk.vtkRenderer()
        renderer.SetLayer(0)
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255.0)
        self._mapper.SetColorLevel(127.5)
        self._picture = vtk.vtkActor2D()
        self._picture.SetMapper(self._mapper)
        renderer.AddViewProp(self._picture)
        self._window.AddRenderer(renderer)

    def _add_markups_layer(self, logics: Logics) -> slicer.vtkMRMLDisplayableManagerGroup:
        renderer = vtk.vtkRenderer()
        renderer.SetLayer(1)
        self._window.AddRenderer(renderer)
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(logics.application)
        for manager in _DISPLAYABLE_MANAGERS:
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        managers = factory.InstantiateDisplayableManagers(renderer)
        managers.SetMRMLDisplayableNode(self._node)
        return managers
