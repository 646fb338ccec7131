"""Standard planes become plane markups, and slice views turn to them."""

from __future__ import annotations

import numpy as np
import slicer
import vtk

from LandmarkDetectionLib.mrml import add_plane, show_plane
from LandmarkDetectionLib.planes import StandardPlane

X_AXIS = np.array([0.6, 0.8, 0.0])
NORMAL = np.array([0.48, -0.36, 0.8])
PLANE = StandardPlane("TV", np.array([1.0, 2.0, 3.0]), X_AXIS, np.cross(NORMAL, X_AXIS), NORMAL, (80.0, 60.0))


def test_a_plane_markup_has_the_plane_s_axes_origin_and_size(scene):
    node = add_plane(PLANE)
    assert node.GetName() == "TV"
    assert node.GetIsPlaneValid()
    matrix = vtk.vtkMatrix4x4()
    node.GetObjectToWorldMatrix(matrix)
    np.testing.assert_allclose(slicer.util.arrayFromVTKMatrix(matrix), PLANE.plane_to_ras, atol=1e-9)
    np.testing.assert_allclose(node.GetSizeWorld(), [80.0, 60.0])


def test_a_plane_markup_survives_slicer_s_own_file(scene, tmp_path):
    storage = slicer.vtkMRMLMarkupsPlaneJsonStorageNode()
    storage.SetFileName(str(tmp_path / "plane.mrk.json"))
    assert storage.WriteData(add_plane(PLANE))
    read = scene.AddNewNodeByClass("vtkMRMLMarkupsPlaneNode")
    assert storage.ReadData(read)
    np.testing.assert_allclose(read.GetNormalWorld(), NORMAL, atol=1e-6)
    np.testing.assert_allclose(read.GetOriginWorld(), PLANE.origin_ras, atol=1e-6)
    np.testing.assert_allclose(read.GetSizeWorld(), [80.0, 60.0], atol=1e-6)


def test_a_slice_view_shows_the_plane_with_x_to_the_right_and_y_down(scene):
    slice_node = scene.AddNewNodeByClass("vtkMRMLSliceNode")
    slice_node.SetDimensions(200, 100, 1)
    slice_node.SetFieldOfView(200.0, 100.0, 1.0)
    show_plane(PLANE, slice_node)
    slice_to_ras = slicer.util.arrayFromVTKMatrix(slice_node.GetSliceToRAS())
    np.testing.assert_allclose(slice_to_ras[:3, 0], PLANE.x_axis, atol=1e-9)
    np.testing.assert_allclose(slice_to_ras[:3, 1], -PLANE.y_axis, atol=1e-9)
    np.testing.assert_allclose(slice_to_ras[:3, 3], PLANE.origin_ras, atol=1e-9)
    assert np.linalg.det(slice_to_ras[:3, :3]) > 0
