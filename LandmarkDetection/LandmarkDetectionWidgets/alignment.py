"""Turns what is in the scene so that a standard plane lies along the slice views, by a transform that can be undone."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import slicer
from slicer.i18n import tr as _

from LandmarkDetectionLib.geometry import FloatArray
from LandmarkDetectionLib.planes import StandardPlane

_ALIGNMENT_ATTRIBUTE = "LandmarkDetection.AlignedTo"
"""Node attribute that marks a transform of this module, with the name of the plane; scenes save it."""


def alignment_matrix(plane: StandardPlane) -> FloatArray:
    """4x4 matrix of the smallest rotation about a plane's origin after which its axes run along R, A and S."""
    axes = plane.plane_to_ras[:3, :3]
    # Of all axes of the world that make a right-handed frame, those that are turned least.
    target = max(_frames(), key=lambda frame: np.trace(frame.T @ axes))
    matrix = np.eye(4)
    matrix[:3, :3] = target @ axes.T
    matrix[:3, 3] = plane.origin_ras - matrix[:3, :3] @ plane.origin_ras
    return matrix


def alignment_of(node: slicer.vtkMRMLTransformableNode) -> slicer.vtkMRMLLinearTransformNode | None:
    """The transform that aligns a node, None if none does."""
    top = _topmost(node)
    return None if top.GetAttribute(_ALIGNMENT_ATTRIBUTE) is None else top


def join_alignment(landmarks: slicer.vtkMRMLMarkupsFiducialNode, volume: slicer.vtkMRMLScalarVolumeNode) -> None:
    """If a volume is aligned, have landmarks go back with it once that is undone."""
    transform = alignment_of(volume)
    if transform is not None and alignment_of(landmarks) is not transform:
        _topmost(landmarks).SetAndObserveTransformNodeID(transform.GetID())


def align(
    landmarks: slicer.vtkMRMLMarkupsFiducialNode, volume: slicer.vtkMRMLScalarVolumeNode, plane: StandardPlane
) -> None:
    """Turn landmarks and volume, and all that moves with them, so that a plane lies along the slice views.

    Args:
        landmarks: those the plane goes through.
        volume: the one they were found in.
        plane: where it is in the world now.
    """
    transform = alignment_of(landmarks) or alignment_of(volume)
    if transform is None:
        name = _("{volume} aligned to {plane}").format(volume=volume.GetName(), plane=plane.name)
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    transform.SetAttribute(_ALIGNMENT_ATTRIBUTE, plane.name)
    for top in (_topmost(volume), _topmost(landmarks)):
        if top is not transform:
            top.SetAndObserveTransformNodeID(transform.GetID())
    before = slicer.util.arrayFromTransformMatrix(transform)
    slicer.util.updateTransformMatrixFromArray(transform, alignment_matrix(plane) @ before)


def undo_alignment(landmarks: slicer.vtkMRMLMarkupsFiducialNode) -> None:
    """Put everything back to where it was before it was aligned."""
    transform = alignment_of(landmarks)
    for node in slicer.util.getNodesByClass("vtkMRMLTransformableNode"):
        if node.GetParentTransformNode() is transform:
            node.SetAndObserveTransformNodeID(None)
    slicer.mrmlScene.RemoveNode(transform)


def _topmost(node: slicer.vtkMRMLTransformableNode) -> slicer.vtkMRMLTransformableNode:
    """The last transform above a node that itself has none, or the node if it has none."""
    while node.GetParentTransformNode() is not None:
        node = node.GetParentTransformNode()
    return node


def _frames() -> list[FloatArray]:
    """The 24 right-handed frames (3, 3) whose axes run along those of the world."""
    signed = (
        np.eye(3)[:, order] * signs for order in permutations(range(3)) for signs in product((1.0, -1.0), repeat=3)
    )
    return [frame for frame in signed if np.linalg.det(frame) > 0]
