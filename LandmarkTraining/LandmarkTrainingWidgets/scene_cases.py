"""Cases for a dataset, read from the scene: a volume, and what a person has decided about its landmarks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import slicer
import vtk

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.dataset_json import side_of
from LandmarkDetectionLib.files.dataset_writer import has_perpendicular_axes
from LandmarkDetectionLib.landmarks import LandmarkDefinition, LandmarkSet
from LandmarkDetectionLib.mrml import (
    is_warped,
    landmarks_from_node,
    mapping_between,
    reviewed_landmarks_of,
    volume_from_node,
    volume_node_of,
)
from LandmarkDetectionLib.review import LandmarkState
from LandmarkDetectionLib.volume import Volume


@dataclass(frozen=True, eq=False)
class SceneCase:
    """A volume and its landmarks, in the same coordinates.

    Attributes:
        volume: the image.
        landmarks: those a person has decided about, None where one is missing.
        definitions: of all landmarks of the list.
    """

    volume: Volume
    landmarks: LandmarkSet
    definitions: tuple[LandmarkDefinition, ...]


def case_of_nodes(
    landmarks_node: slicer.vtkMRMLMarkupsFiducialNode, volume_node: slicer.vtkMRMLScalarVolumeNode
) -> SceneCase:
    """The case that a list of landmarks and its volume make.

    All is in world coordinates, transforms hardened; under a transform that an image file cannot hold (shear, or not
    linear), all is in the volume's own coordinates. Landmarks that a detector found and nobody has decided about are
    left out, since they are nobody's truth.

    Raises:
        LandmarkDetectionError: if no landmark has been decided about, labels are not unique, or the volume cannot be
            read.
    """
    all_landmarks = landmarks_from_node(landmarks_node)
    decided = {mark.label: mark.position_ras for mark in reviewed_landmarks_of(landmarks_node) if mark.is_reviewed}
    if not is_reviewed(landmarks_node):
        message = f"{landmarks_node.GetName()}: no landmark is accepted or corrected yet: review it first."
        raise LandmarkDetectionError(message)
    volume, frame = _writable_volume(volume_node)
    mapping = mapping_between(landmarks_node.GetParentTransformNode(), frame)
    positions = {label: None if position is None else mapping(position[None])[0] for label, position in decided.items()}
    texts = all_landmarks.descriptions
    definitions = tuple(LandmarkDefinition(one, texts.get(one, ""), side_of(one)) for one in all_landmarks)
    return SceneCase(volume, LandmarkSet(positions, texts), definitions)


def is_reviewed(landmarks_node: slicer.vtkMRMLMarkupsFiducialNode) -> bool:
    """Whether a person has said of a landmark where it is."""
    marks = reviewed_landmarks_of(landmarks_node)
    return any(mark.is_reviewed and mark.position_ras is not None for mark in marks)


def review_summary(landmarks_node: slicer.vtkMRMLMarkupsFiducialNode) -> tuple[Counter[LandmarkState], int]:
    """How many landmarks are in each state, and about how many nobody has decided."""
    landmarks = reviewed_landmarks_of(landmarks_node)
    return Counter(mark.state for mark in landmarks), sum(not mark.is_reviewed for mark in landmarks)


def likely_volume(landmarks_node: slicer.vtkMRMLMarkupsFiducialNode) -> slicer.vtkMRMLScalarVolumeNode | None:
    """The volume that landmarks were detected in, else the one of their name, the one they lie on, the only one.

    Points hold the ID of the volume they were placed on. Read from a file, it may be that of another volume now: a
    session calls its first one vtkMRMLScalarVolumeNode1, so the name is the better evidence.
    """
    volumes = [node for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if not _is_label_map(node)]
    detected_in = volume_node_of(landmarks_node)
    count = landmarks_node.GetNumberOfControlPoints()
    placed_on = {landmarks_node.GetNthControlPointAssociatedNodeID(index) for index in range(count)}
    rules = (
        lambda node: node is detected_in,
        lambda node: node.GetName() == landmarks_node.GetName(),
        lambda node: node.GetID() in placed_on,
        lambda _node: len(volumes) == 1,
    )
    return next((node for rule in rules for node in volumes if rule(node)), None)


def landmark_lists() -> list[slicer.vtkMRMLMarkupsFiducialNode]:
    """Every list of points that is not hidden from the user."""
    lists = slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")
    return [node for node in lists if not node.GetHideFromEditors()]


def _writable_volume(
    node: slicer.vtkMRMLScalarVolumeNode,
) -> tuple[Volume, slicer.vtkMRMLTransformNode | None]:
    """The volume, and the transform in whose coordinates it is; None for the world."""
    volume = volume_from_node(node)
    if is_warped(node):
        return volume, node.GetParentTransformNode()
    if has_perpendicular_axes(volume):
        return volume, None
    own = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(own)
    return replace(volume, ijk_to_ras=slicer.util.arrayFromVTKMatrix(own)), node.GetParentTransformNode()


def _is_label_map(node: slicer.vtkMRMLScalarVolumeNode) -> bool:
    return node.IsA("vtkMRMLLabelMapVolumeNode")
