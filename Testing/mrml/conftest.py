"""Slicer's real MRML scene without Slicer: what slicer-core needs before nodes behave as they do in the application."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[slicer.vtkMRMLScene]:
    """An empty scene, also as `slicer.mrmlScene`, with the logics that register the storage of volumes and markups."""
    scene = slicer.vtkMRMLScene()
    application_logic = slicer.vtkSlicerApplicationLogic()
    application_logic.SetMRMLScene(scene)
    logics = [slicer.vtkSlicerMarkupsLogic(), slicer.vtkSlicerVolumesLogic()]
    for logic in logics:
        logic.SetMRMLApplicationLogic(application_logic)
        logic.SetMRMLScene(scene)
    monkeypatch.setattr(slicer, "mrmlScene", scene, raising=False)
    yield scene
    scene.Clear(True)


@pytest.fixture
def warp_node(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLTransformNode:
    """A non-linear transform: R grows by R^2 / 100, so it moves (10, y, z) to (11, y, z)."""
    grid = vtk.vtkImageData()
    grid.SetDimensions(101, 2, 2)
    grid.SetOrigin(-50.0, -500.0, -500.0)
    grid.SetSpacing(1.0, 1000.0, 1000.0)
    right = np.tile(np.arange(-50.0, 51.0), 4)
    displacements = np.column_stack((right**2 / 100.0, np.zeros((len(right), 2))))
    grid.GetPointData().SetScalars(numpy_to_vtk(displacements, deep=True))
    warp = vtk.vtkGridTransform()
    warp.SetDisplacementGridData(grid)
    warp.SetInterpolationModeToLinear()
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "warp")
    node.SetAndObserveTransformToParent(warp)
    return node
