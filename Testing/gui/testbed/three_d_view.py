"""Slicer's own 3D view, drawn offscreen; nobody can turn it with the mouse."""

from __future__ import annotations

import slicer
import vtk

from .logics import Logics
from .rendered_view import RenderedView

_DISPLAYABLE_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLThreeDReformatDisplayableManager",
    "vtkMRMLMarkupsDisplayableManager",
)


class ThreeDView(RenderedView):
    """The models and markups of the scene, and the slices that are shown in 3D."""

    def __init__(self, logics: Logics) -> None:
        super().__init__()
        self._logic = slicer.vtkMRMLViewLogic()
        self._logic.SetMRMLApplicationLogic(logics.application)
        self._logic.SetMRMLScene(logics.scene)
        self._node = self._logic.AddViewNode("1")
        self._node.SetBoxVisible(False)
        self._node.SetAxisLabelsVisible(False)
        self._renderer = vtk.vtkRenderer()
        self._window.AddRenderer(self._renderer)
        self._interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())
        factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(logics.application)
        for manager in _DISPLAYABLE_MANAGERS:
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        self._managers = factory.InstantiateDisplayableManagers(self._renderer)
        self._managers.SetMRMLDisplayableNode(self._node)
        self._interactor.Enable()
        self._managers.AddObserver(vtk.vtkCommand.UpdateEvent, lambda *_event: self.update())

    def look_from(self, direction_ras: tuple[float, float, float], distance_mm: float) -> None:
        """Look at the middle of what is shown."""
        camera = self._renderer.GetActiveCamera()
        self._renderer.ResetCamera()
        focus = camera.GetFocalPoint()
        camera.SetPosition(*(at + distance_mm * part for at, part in zip(focus, direction_ras, strict=True)))
        camera.SetViewUp(0.0, 0.0, 1.0)
        self._renderer.ResetCameraClippingRange()
        self.update()
