"""Cases that lie in the scene, and what a dataset holds of them."""

from __future__ import annotations

import vtk

from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.mrml import add_landmarks, add_volume
from LandmarkDetectionLib.spots import spots_case


def add_nodes(seed=30, name="", volume_name=""):
    """A case in the scene, its landmarks placed by hand."""
    volume, landmarks = spots_case(seed)
    volume_node = add_volume(volume)
    volume_node.SetName(volume_name or volume.name)
    landmarks_node = add_landmarks(name or volume_node.GetName())
    for label, position in landmarks.items():
        landmarks_node.AddControlPointWorld(vtk.vtkVector3d(*position), label)
    return volume_node, landmarks_node


def case_of(folder, name):
    return next(case for case in Dataset.load(folder).cases if case.name == name)
