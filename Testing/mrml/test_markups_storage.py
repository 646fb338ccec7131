"""Markups files pass between this package and Slicer's own storage nodes, both formats, both ways."""

from __future__ import annotations

import numpy as np
import pytest
import slicer

from LandmarkDetectionLib.files.markups import read_markups, write_markups
from LandmarkDetectionLib.landmarks import LandmarkSet

STORAGE = {
    ".mrk.json": slicer.vtkMRMLMarkupsJsonStorageNode,
    ".fcsv": slicer.vtkMRMLMarkupsFiducialStorageNode,
}
NODE = slicer.vtkMRMLMarkupsNode

LANDMARKS = LandmarkSet(
    {
        "AC": (0.5, -2.25, 3.125),
        "missing": None,
        'a, "b"': (-100.0, 200.0, -300.5),
        "at the origin": (0.0, 0.0, 0.0),
        " Höcker 患者 ": (1.0, 2.0, 3.0),
        "back\\slash\ttab": (1e-4, -1e4, 7.0),
    },
    {"AC": 'Anterior "commissure", midpoint', "missing": "seen by nobody", "at the origin": "é, è"},
)

pytestmark = pytest.mark.parametrize("suffix", list(STORAGE))


def node_from_file(scene, path, suffix):
    """The fiducial node that Slicer's storage node reads from a file."""
    node, storage = slicer.vtkMRMLMarkupsFiducialNode(), STORAGE[suffix]()
    scene.AddNode(node)
    scene.AddNode(storage)
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    return node


def file_from_node(scene, node, path, suffix, system):
    """The file that Slicer's storage node writes of a node."""
    storage = STORAGE[suffix]()
    scene.AddNode(storage)
    storage.SetFileName(str(path))
    storage.SetCoordinateSystem(system)
    assert storage.WriteData(node)
    return path


def a_node(scene):
    """A node with every kind of control point."""
    node = slicer.vtkMRMLMarkupsFiducialNode()
    scene.AddNode(node)
    for label, position in LANDMARKS.items():
        index = node.AddControlPoint([7.0, 8.0, 9.0] if position is None else list(position), label)
        node.SetNthControlPointDescription(index, LANDMARKS.descriptions.get(label, ""))
    node.SetNthControlPointPositionMissing(1)
    return node


def test_slicer_reads_what_we_write(scene, tmp_path, suffix):
    write_markups(LANDMARKS, tmp_path / f"case{suffix}")
    node = node_from_file(scene, tmp_path / f"case{suffix}", suffix)
    assert node.GetNumberOfControlPoints() == len(LANDMARKS)
    for index, (label, position) in enumerate(LANDMARKS.items()):
        assert node.GetNthControlPointLabel(index) == label
        assert node.GetNthControlPointDescription(index) == LANDMARKS.descriptions.get(label, "")
        status = NODE.PositionMissing if position is None else NODE.PositionDefined
        assert node.GetNthControlPointPositionStatus(index) == status
        if position is not None:
            assert np.allclose(node.GetNthControlPointPosition(index), position, atol=1e-9)


@pytest.mark.parametrize("system", ["LPS", "RAS"])
def test_we_read_what_slicer_writes(scene, tmp_path, suffix, system):
    code = getattr(slicer.vtkMRMLMarkupsStorageNode, f"CoordinateSystem{system}")
    path = file_from_node(scene, a_node(scene), tmp_path / f"case{suffix}", suffix, code)
    assert f"{system}" in path.read_text(encoding="utf-8")
    landmarks = read_markups(path)
    assert list(landmarks) == list(LANDMARKS)
    assert landmarks.descriptions == LANDMARKS.descriptions
    assert landmarks.present == LANDMARKS.present
    assert np.allclose(landmarks.to_array(), LANDMARKS.to_array(), atol=1e-3, rtol=1e-5, equal_nan=True)


def test_every_status_but_defined_is_missing(scene, tmp_path, suffix):
    node = slicer.vtkMRMLMarkupsFiducialNode()
    scene.AddNode(node)
    for label in ("defined", "undefined", "preview", "missing"):
        node.AddControlPoint([7.0, 8.0, 9.0], label)
    node.UnsetNthControlPointPosition(1)
    node.SetNthControlPointPosition(2, 7.0, 8.0, 9.0, NODE.PositionPreview)
    node.SetNthControlPointPositionMissing(3)
    code = slicer.vtkMRMLMarkupsStorageNode.CoordinateSystemLPS
    landmarks = read_markups(file_from_node(scene, node, tmp_path / f"case{suffix}", suffix, code))
    assert list(landmarks) == ["defined", "undefined", "preview", "missing"]
    assert landmarks.present == ("defined",)


def test_a_missing_point_that_slicer_saved_again_is_still_missing(scene, tmp_path, suffix):
    write_markups(LANDMARKS, tmp_path / f"ours{suffix}")
    node = node_from_file(scene, tmp_path / f"ours{suffix}", suffix)
    code = slicer.vtkMRMLMarkupsStorageNode.CoordinateSystemLPS
    again = read_markups(file_from_node(scene, node, tmp_path / f"theirs{suffix}", suffix, code))
    assert again.present == LANDMARKS.present
    assert np.allclose(again.to_array(), LANDMARKS.to_array(), atol=1e-3, rtol=1e-5, equal_nan=True)


def test_slicer_s_load_dialog_reads_what_we_write(scene, tmp_path, suffix):
    """The module logic chooses the storage node by the file's name, as File > Add data does."""
    write_markups(LANDMARKS, tmp_path / f"case{suffix}")
    logic = slicer.vtkSlicerMarkupsLogic()
    logic.SetMRMLScene(scene)
    node = scene.GetNodeByID(logic.LoadMarkups(str(tmp_path / f"case{suffix}"), "case"))
    assert node.GetNumberOfControlPoints() == len(LANDMARKS)
    assert np.allclose(node.GetNthControlPointPosition(0), LANDMARKS["AC"])
