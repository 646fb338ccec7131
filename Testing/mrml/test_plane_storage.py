"""Plane markups that this package writes are the planes that Slicer reads."""

from __future__ import annotations

import numpy as np
import slicer
import vtk

from LandmarkDetectionLib.files.planes import write_plane_markups
from LandmarkDetectionLib.geometry import rotation_matrix
from LandmarkDetectionLib.planes import StandardPlane


def a_plane(name, angle_deg, origin_ras, size_mm):
    return StandardPlane(name, np.array(origin_ras), *rotation_matrix((1, -2, 3), angle_deg).T, size_mm)


TV = a_plane("TV", 35.0, (10.0, -20.0, 30.0), (120.0, 90.0))
TC = a_plane("TC, tilted", 190.0, (0.0, 0.0, 0.0), (80.0, 80.5))


def assert_is_plane(node, plane):
    """Same name, origin, axes and size in Slicer's world."""
    matrix = vtk.vtkMatrix4x4()
    node.GetObjectToWorldMatrix(matrix)
    assert np.allclose(slicer.util.arrayFromVTKMatrix(matrix), plane.plane_to_ras, atol=1e-6)
    assert np.allclose(node.GetNormalWorld(), plane.normal, atol=1e-6)
    assert np.allclose(node.GetOriginWorld(), plane.origin_ras, atol=1e-6)
    assert np.allclose(node.GetSize(), plane.size_mm)
    assert node.GetName() == plane.name
    assert node.GetIsPlaneValid()


def test_the_plane_storage_node_reads_a_plane(scene, tmp_path):
    write_plane_markups([TV], tmp_path / "case.planes.mrk.json")
    node, storage = slicer.vtkMRMLMarkupsPlaneNode(), slicer.vtkMRMLMarkupsPlaneJsonStorageNode()
    scene.AddNode(node)
    scene.AddNode(storage)
    storage.SetFileName(str(tmp_path / "case.planes.mrk.json"))
    assert storage.ReadData(node)
    assert_is_plane(node, TV)
    assert node.GetNthControlPointLabel(0) == "TV"


def test_all_planes_of_a_file_are_loaded(scene, tmp_path):
    write_plane_markups([TV, TC], tmp_path / "case.planes.mrk.json")
    logic = slicer.vtkSlicerMarkupsLogic()
    logic.SetMRMLScene(scene)
    assert logic.LoadMarkups(str(tmp_path / "case.planes.mrk.json"), "case")
    nodes = slicer.util.getNodesByClass("vtkMRMLMarkupsPlaneNode")
    assert len(nodes) == 2
    for node, plane in zip(nodes, (TV, TC), strict=True):
        assert_is_plane(node, plane)
