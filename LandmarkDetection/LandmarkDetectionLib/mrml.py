"""Slicer's nodes to and from the domain types. Positions are in world coordinates. Call from the main thread only."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from .errors import LandmarkDetectionError
from .files.detection_json import detection_from_json, detection_to_json
from .files.images import finite_voxels
from .files.review_json import review_from_json, review_to_json
from .geometry import FloatArray, apply_affine
from .landmarks import DetectedLandmark, Detection, LandmarkSet
from .planes import StandardPlane
from .review import Position, Review, ReviewedLandmark, reviewed_landmarks
from .volume import Volume

_DETECTION_ATTRIBUTE = "LandmarkDetection.Detection"
"""Node attribute that keeps the whole detection, as JSON, with its landmarks; scenes save it."""

_REVIEW_ATTRIBUTE = "LandmarkDetection.Review"
"""Node attribute that keeps, as JSON, who changed which landmark since."""

_VOLUME_ROLE = "landmarkDetectionVolume"
"""Node reference from landmarks to the volume they were detected in; scenes save it."""

_LANDMARKS_ROLE = "landmarkDetectionLandmarks"
"""Node reference from a plane markup to the landmarks it follows from; scenes save it."""

_PLANE_OPACITY = 0.15
_PLANE_ATTRIBUTE = "LandmarkDetection.Plane"
"""Node attribute with the name of the definition of a plane markup."""

_DERIVATIVE_STEP_MM = 0.5
_POINT_COLOUR = (0.1, 0.8, 1.0)
_POINT_SIZE_PERCENT = 1.5
_LABEL_SIZE_PERCENT = 2.0
"""Smaller than Slicer's own 3 %: a model has many landmarks, and their names lie close together."""

_AXIAL_LIKE = 0
"""The in-plane convention of SetSliceToRASByNTP whose x axis is the given direction."""


def volume_from_node(node: slicer.vtkMRMLScalarVolumeNode) -> Volume:
    """The node's volume in world coordinates; under a non-linear transform, in the node's own coordinates.

    Its voxels are a view of the node's, not a copy, unless some of them were not finite.

    Raises:
        LandmarkDetectionError: if the node has no voxels, is in colour, or its geometry or voxels are not usable.
    """
    return Volume(_voxels_of(node), _ijk_to_ras(node), node.GetName())


def grid_of(node: slicer.vtkMRMLScalarVolumeNode) -> Volume | None:
    """As `volume_from_node` without its voxels: all are zero, and take no memory. None if the node has no voxels."""
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        return None
    voxels = np.broadcast_to(np.zeros((), np.uint8), image.GetDimensions()[::-1])
    return Volume(voxels, _ijk_to_ras(node), node.GetName())


def is_warped(node: slicer.vtkMRMLTransformableNode) -> bool:
    """Whether a transform above the node is not linear."""
    parent = node.GetParentTransformNode()
    return parent is not None and not parent.IsTransformToWorldLinear()


def _ijk_to_ras(node: slicer.vtkMRMLScalarVolumeNode) -> FloatArray:
    ijk_to_ras = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(ijk_to_ras)
    if not is_warped(node):
        to_world = vtk.vtkMatrix4x4()
        slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(node.GetParentTransformNode(), None, to_world)
        vtk.vtkMatrix4x4.Multiply4x4(to_world, ijk_to_ras, ijk_to_ras)
    return slicer.util.arrayFromVTKMatrix(ijk_to_ras)


def _voxels_of(node: slicer.vtkMRMLScalarVolumeNode) -> NDArray:
    """The node's scalars [k, j, i]; of grey stored as colour, one channel."""
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        message = f"{node.GetName()}: this volume has no voxels; load its image again or choose another volume."
        raise LandmarkDetectionError(message)
    channels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(*image.GetDimensions()[::-1], -1)
    grey = channels[..., 0]
    if channels.shape[-1] not in (1, 3, 4) or not all(
        np.array_equal(grey, channels[..., index]) for index in range(1, min(channels.shape[-1], 3))
    ):
        message = (
            f"{node.GetName()}: this volume holds {channels.shape[-1]} values a voxel (colour or vectors); "
            "convert it to a grey scalar volume first."
        )
        raise LandmarkDetectionError(message)
    return finite_voxels(node.GetName(), grey)


def detection_in_world(detection: Detection, volume: Volume, node: slicer.vtkMRMLScalarVolumeNode) -> Detection:
    """A detection in `volume`, as it was read from `node`, brought to where the node's voxels are in the world now.

    Non-linear transforms, and transforms changed since the volume was read, carry the landmarks with the voxels.
    Covariances follow the transform's derivative; a calibrated radius and a disagreement grow with its largest
    stretch.
    """
    ijk_to_node = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(ijk_to_node)
    volume_to_node = slicer.util.arrayFromVTKMatrix(ijk_to_node) @ np.linalg.inv(volume.ijk_to_ras)
    to_world = mapping_between(node.GetParentTransformNode(), None)
    return _carried(detection, lambda positions: to_world(apply_affine(volume_to_node, positions)))


def mapping_between(
    source: slicer.vtkMRMLTransformNode | None, target: slicer.vtkMRMLTransformNode | None
) -> Callable[[FloatArray], FloatArray]:
    """Maps positions (n, 3) from what is under one transform to what is under another; None is the world."""
    transform = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(source, target, transform)

    def mapping(positions: FloatArray) -> FloatArray:
        before, after = vtk.vtkPoints(), vtk.vtkPoints()
        after.SetDataTypeToDouble()
        before.SetData(numpy_to_vtk(np.ascontiguousarray(positions, dtype=np.float64), deep=True))
        transform.TransformPoints(before, after)
        return vtk_to_numpy(after.GetData()).copy()

    return mapping


def _carried(detection: Detection, mapping: Callable[[FloatArray], FloatArray]) -> Detection:
    path_ras = detection.path_ras
    if path_ras is not None:
        path_ras = mapping(path_ras.reshape(-1, 3)).reshape(path_ras.shape)
    landmarks = tuple(_carried_landmark(landmark, mapping) for landmark in detection.landmarks)
    return replace(detection, landmarks=landmarks, path_ras=path_ras)


def _carried_landmark(landmark: DetectedLandmark, mapping: Callable[[FloatArray], FloatArray]) -> DetectedLandmark:
    steps = np.vstack((np.zeros(3), np.eye(3), -np.eye(3))) * _DERIVATIVE_STEP_MM
    mapped = mapping(landmark.position_ras + steps)
    derivative = ((mapped[1:4] - mapped[4:7]) / (2.0 * _DERIVATIVE_STEP_MM)).T
    stretch = float(np.linalg.norm(derivative, ord=2))
    lengths_mm = {"radius90_mm": landmark.radius90_mm, "disagreement_mm": landmark.disagreement_mm}
    return replace(
        landmark,
        position_ras=mapped[0],
        covariance_ras=derivative @ landmark.covariance_ras @ derivative.T,
        **{name: None if length_mm is None else length_mm * stretch for name, length_mm in lengths_mm.items()},
    )


def add_landmarks(name: str) -> slicer.vtkMRMLMarkupsFiducialNode:
    """A new, empty list of landmarks in the scene, displayed the way this extension does."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetSelectedColor(*_POINT_COLOUR)
    display.SetGlyphScale(_POINT_SIZE_PERCENT)
    display.SetTextScale(_LABEL_SIZE_PERCENT)
    return node


def set_detection(
    node: slicer.vtkMRMLMarkupsFiducialNode,
    detection: Detection,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    descriptions: Mapping[str, str],
) -> None:
    """Make a list of landmarks show a detection (in world coordinates), whatever it showed before.

    A landmark flagged missing becomes a control point with the status Missing. The list keeps the detection in its own
    coordinates, so that whatever transform the list comes under later carries both.

    Args:
        node: the list.
        detection: what was found; kept with the node.
        volume_node: where it was found.
        descriptions: of landmarks by label.
    """
    with slicer.util.NodeModify(node):
        node.SetFixedNumberOfControlPoints(False)
        node.RemoveAllControlPoints()
        for landmark in detection.landmarks:
            index = node.AddControlPointWorld(vtk.vtkVector3d(*landmark.position_ras), landmark.label)
            node.SetNthControlPointDescription(index, descriptions.get(landmark.label, ""))
            node.SetNthControlPointAssociatedNodeID(index, volume_node.GetID())
            if landmark.missing:
                node.SetNthControlPointPositionMissing(index)
        node.SetFixedNumberOfControlPoints(True)
        node.SetNodeReferenceID(_VOLUME_ROLE, volume_node.GetID())
        node.RemoveAttribute(_REVIEW_ATTRIBUTE)
        own = _carried(detection, mapping_between(None, node.GetParentTransformNode()))
        node.SetAttribute(_DETECTION_ATTRIBUTE, json.dumps(detection_to_json(own)))


def detection_of(node: slicer.vtkMRMLMarkupsFiducialNode) -> Detection | None:
    """The detection a list of landmarks was made from, in the list's coordinates; None if no detector made it."""
    text = node.GetAttribute(_DETECTION_ATTRIBUTE)
    return None if text is None else detection_from_json(json.loads(text))


def in_world(detection: Detection, node: slicer.vtkMRMLMarkupsFiducialNode) -> Detection:
    """The detection of a list of landmarks, brought from the list's coordinates to the world."""
    parent = node.GetParentTransformNode()
    return detection if parent is None else _carried(detection, mapping_between(parent, None))


def review_of(node: slicer.vtkMRMLMarkupsFiducialNode) -> Review:
    """What persons did to a list of landmarks since it was detected, in the list's coordinates."""
    text = node.GetAttribute(_REVIEW_ATTRIBUTE)
    return Review() if text is None else review_from_json(json.loads(text))


def set_review(node: slicer.vtkMRMLMarkupsFiducialNode, review: Review) -> None:
    """Keep with a list of landmarks what persons did to it."""
    node.SetAttribute(_REVIEW_ATTRIBUTE, json.dumps(review_to_json(review)))


def carry_along(node: slicer.vtkMRMLMarkupsFiducialNode, mapping: Callable[[FloatArray], FloatArray]) -> None:
    """Move what was detected in a list of landmarks, and its review, as its points were moved.

    Args:
        node: the list, which a detector made.
        mapping: of positions (n, 3) from where they were to where they are, in the list's coordinates.
    """
    detection = _carried(detection_of(node), mapping)
    review = review_of(node).mapped(lambda position: mapping(position[None])[0])
    with slicer.util.NodeModify(node):
        node.SetAttribute(_DETECTION_ATTRIBUTE, json.dumps(detection_to_json(detection)))
        set_review(node, review)


def points_of(node: slicer.vtkMRMLMarkupsNode) -> list[tuple[str, Position]]:
    """Label and position of every control point, in the list's coordinates; None where it is not placed."""
    return [(node.GetNthControlPointLabel(index), _own_position(node, index)) for index in _indices(node)]


def place_point(node: slicer.vtkMRMLMarkupsFiducialNode, index: int, position: Position) -> None:
    """Move a control point in the list's coordinates, or mark it missing."""
    if position is None:
        node.SetNthControlPointPositionMissing(index)
    else:
        node.SetNthControlPointPosition(index, *position, node.PositionDefined)


def reviewed_landmarks_of(node: slicer.vtkMRMLMarkupsFiducialNode) -> tuple[ReviewedLandmark, ...]:
    """What has become of every control point, in the list's coordinates."""
    return reviewed_landmarks(detection_of(node), review_of(node), points_of(node))


def _indices(node: slicer.vtkMRMLMarkupsNode) -> range:
    return range(node.GetNumberOfControlPoints())


def _own_position(node: slicer.vtkMRMLMarkupsNode, index: int) -> Position:
    is_defined = node.GetNthControlPointPositionStatus(index) == node.PositionDefined
    return np.array(node.GetNthControlPointPosition(index)) if is_defined else None


def volume_node_of(node: slicer.vtkMRMLMarkupsFiducialNode) -> slicer.vtkMRMLScalarVolumeNode | None:
    """The volume a list of landmarks was detected in, None if it is not in the scene."""
    return node.GetNodeReference(_VOLUME_ROLE)


def is_untouched_detection(
    node: slicer.vtkMRMLMarkupsFiducialNode, volume_node: slicer.vtkMRMLScalarVolumeNode, model_name: str
) -> bool:
    """Whether a list is what a model found in a volume, and nobody has changed or accepted anything since."""
    detection = detection_of(node)
    if detection is None or detection.model_name != model_name or volume_node_of(node) is not volume_node:
        return False
    points = points_of(node)
    if [label for label, _ in points] != list(detection.labels):
        return False
    review = review_of(node)
    return not review.changes and review.observed(detection, dict(points), "", "") is review


def landmarks_from_node(node: slicer.vtkMRMLMarkupsNode) -> LandmarkSet:
    """Control points by label, in world coordinates; those that are not placed, or marked missing, are missing.

    Raises:
        LandmarkDetectionError: if two control points have the same label.
    """
    positions: dict[str, FloatArray | None] = {}
    descriptions = {}
    for index in range(node.GetNumberOfControlPoints()):
        label = node.GetNthControlPointLabel(index)
        if label in positions:
            message = f'{node.GetName()}: two points are named "{label}"; give every landmark a name of its own.'
            raise LandmarkDetectionError(message)
        is_defined = node.GetNthControlPointPositionStatus(index) == slicer.vtkMRMLMarkupsNode.PositionDefined
        positions[label] = np.array(node.GetNthControlPointPositionWorld(index)) if is_defined else None
        if description := node.GetNthControlPointDescription(index):
            descriptions[label] = description
    return LandmarkSet(positions, descriptions)


def add_plane(
    plane: StandardPlane, landmarks: slicer.vtkMRMLMarkupsFiducialNode | None = None
) -> slicer.vtkMRMLMarkupsPlaneNode:
    """A new plane markup in the scene that lies on a standard plane.

    Args:
        plane: where.
        landmarks: those it follows from, which `planes_of` then tells; it cannot be moved by itself.
    """
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsPlaneNode", plane.name)
    node.CreateDefaultDisplayNodes()
    # A slice view that lies in the plane shows nothing but the fill.
    node.GetDisplayNode().SetFillOpacity(_PLANE_OPACITY)
    node.GetDisplayNode().SetHandlesInteractive(landmarks is None)
    with slicer.util.NodeModify(node):
        node.SetPlaneType(slicer.vtkMRMLMarkupsPlaneNode.PlaneTypePointNormal)
        node.SetSizeMode(slicer.vtkMRMLMarkupsPlaneNode.SizeModeAbsolute)
        node.SetSizeWorld(*plane.size_mm)
        if landmarks is not None:
            node.SetLocked(True)
            node.SetAttribute(_PLANE_ATTRIBUTE, plane.name)
            node.SetNodeReferenceID(_LANDMARKS_ROLE, landmarks.GetID())
    move_plane(node, plane)
    return node


def move_plane(node: slicer.vtkMRMLMarkupsPlaneNode, plane: StandardPlane) -> None:
    """Put a plane markup on a standard plane; its size stays."""
    with slicer.util.NodeModify(node):
        node.SetOriginWorld(plane.origin_ras)
        node.SetAxesWorld(plane.x_axis, plane.y_axis, plane.normal)


def planes_of(landmarks: slicer.vtkMRMLMarkupsFiducialNode) -> list[tuple[str, slicer.vtkMRMLMarkupsPlaneNode]]:
    """The plane markups that follow from landmarks, each with the name of its definition."""
    nodes = slicer.util.getNodesByClass("vtkMRMLMarkupsPlaneNode")
    following = [node for node in nodes if node.GetNodeReference(_LANDMARKS_ROLE) is landmarks]
    return [(node.GetAttribute(_PLANE_ATTRIBUTE), node) for node in following]


def show_plane(plane: StandardPlane, slice_node: slicer.vtkMRMLSliceNode) -> None:
    """Turn a slice view to a standard plane: its x axis to the right and its y axis down, centred on its origin."""
    slice_node.SetSliceToRASByNTP(*-plane.normal, *plane.x_axis, *plane.origin_ras, _AXIAL_LIKE)


def add_volume(volume: Volume) -> slicer.vtkMRMLScalarVolumeNode:
    """A new scalar volume in the scene with the voxels and geometry of a volume."""
    return slicer.util.addVolumeFromArray(volume.voxels, ijkToRAS=volume.ijk_to_ras, name=volume.name)
