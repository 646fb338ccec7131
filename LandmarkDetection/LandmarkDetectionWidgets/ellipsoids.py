"""Ellipsoids that hold the truth with 90 % probability, around every landmark that lies where it was predicted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import qt
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy

from LandmarkDetectionLib.geometry import FloatArray
from LandmarkDetectionLib.mrml import mapping_between
from LandmarkDetectionLib.review import ReviewedLandmark

from .shown_landmarks import ShownLandmarks

_CHI_SQUARE_90 = {2: 4.605, 3: 6.251}
"""Squared Mahalanobis distance that 90 % of normal errors do not exceed, by number of dimensions."""

_NODE_NAME = "Landmark uncertainty"
_COLOUR = (1.0, 0.75, 0.1)
_OPACITY = 0.3
_THINNEST_MM = 0.2
"""Half the thickness of an ellipsoid in a picture, where errors across the picture are impossible."""


class Ellipsoids:
    """One model in the scene that holds all ellipsoids and follows the landmarks; it is not saved, but made again.

    Args:
        check_box: by which the user asks for them.
        shown: the list of landmarks.
    """

    def __init__(self, check_box: qt.QCheckBox, shown: ShownLandmarks) -> None:
        self._check_box = check_box
        self._shown = shown
        self._is_on = False
        self._node: slicer.vtkMRMLModelNode | None = None
        shown.on_change(self._update)
        self._update()

    def set_on(self, is_on: bool) -> None:
        """Show them or not."""
        if is_on != self._is_on:
            self._is_on = is_on
            self._update()

    def _update(self) -> None:
        landmarks = [landmark for landmark in self._shown.landmarks if landmark.is_as_predicted]
        self._check_box.setEnabled(bool(landmarks))
        is_there = self._node is not None and slicer.mrmlScene.IsNodePresent(self._node)
        if not self._is_on or self._shown.node is None or not landmarks:
            if is_there:
                slicer.mrmlScene.RemoveNode(self._node.GetDisplayNode())
                slicer.mrmlScene.RemoveNode(self._node)
            self._node = None
            return
        if not is_there:
            self._node = _add_model()
        surface = ellipsoids(landmarks)
        to_world = mapping_between(self._shown.node.GetParentTransformNode(), None)
        points = to_world(vtk_to_numpy(surface.GetPoints().GetData()))
        surface.GetPoints().SetData(numpy_to_vtk(points, deep=True))
        self._node.SetAndObservePolyData(surface)


def ellipsoids(landmarks: Sequence[ReviewedLandmark]) -> vtk.vtkPolyData:
    """The surfaces of the 90 % ellipsoids of landmarks, in the coordinates of their predictions."""
    sphere = _unit_sphere()
    template = vtk_to_numpy(sphere.GetPoints().GetData()).astype(np.float64)
    triangles = vtk_to_numpy(sphere.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    centres = np.array([landmark.position_ras for landmark in landmarks])
    axes = np.array([semi_axes(landmark.predicted.covariance_ras) for landmark in landmarks])
    points = centres[:, None] + template @ axes.transpose(0, 2, 1)
    corners = triangles + len(template) * np.arange(len(landmarks))[:, None, None]

    surface = vtk.vtkPolyData()
    surface.SetPoints(vtk.vtkPoints())
    surface.GetPoints().SetData(numpy_to_vtk(np.ascontiguousarray(points.reshape(-1, 3)), deep=True))
    cells = vtk.vtkCellArray()
    offsets = 3 * np.arange(corners.size // 3 + 1, dtype=np.int64)
    cells.SetData(
        numpy_to_vtkIdTypeArray(offsets, deep=True),
        numpy_to_vtkIdTypeArray(np.ascontiguousarray(corners.ravel(), dtype=np.int64), deep=True),
    )
    surface.SetPolys(cells)
    return surface


def semi_axes(covariance_ras: FloatArray) -> FloatArray:
    """Matrix (3, 3) whose columns are the semi-axes of the 90 % ellipsoid of a covariance in square millimetres."""
    variances, directions = np.linalg.eigh(covariance_ras)
    dimension = 2 if variances[0] < 1e-6 * variances[-1] else 3
    lengths = np.sqrt(_CHI_SQUARE_90[dimension] * np.maximum(variances, 0.0))
    return directions * np.maximum(lengths, _THINNEST_MM)


def _unit_sphere() -> vtk.vtkPolyData:
    source = vtk.vtkSphereSource()
    source.SetRadius(1.0)
    source.SetThetaResolution(24)
    source.SetPhiResolution(16)
    source.Update()
    return source.GetOutput()


def _add_model() -> slicer.vtkMRMLModelNode:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", _NODE_NAME)
    node.SetSaveWithScene(False)
    node.SetSelectable(False)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetSaveWithScene(False)
    display.SetColor(*_COLOUR)
    display.SetOpacity(_OPACITY)
    display.SetVisibility2D(True)
    return node
