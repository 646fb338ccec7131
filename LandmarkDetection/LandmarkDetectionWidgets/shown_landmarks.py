"""ShownLandmarks: the list of landmarks that the panel shows, as reviewed so far, and what its sections do to it."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import qt
import slicer
import vtk
from slicer.util import VTKObservationMixin

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.geometry import FloatArray
from LandmarkDetectionLib.landmarks import Detection, LandmarkSet
from LandmarkDetectionLib.models.bundle import load_card
from LandmarkDetectionLib.models.joint_card import JointCard
from LandmarkDetectionLib.models.registry import find_model
from LandmarkDetectionLib.mrml import (
    carry_along,
    detection_of,
    in_world,
    landmarks_from_node,
    mapping_between,
    place_point,
    points_of,
    review_of,
    set_review,
    volume_node_of,
)
from LandmarkDetectionLib.review import MOVED_MM, Position, Review, ReviewedLandmark, reviewed_landmarks


class ShownLandmarks(VTKObservationMixin):
    """Follows one list of landmarks, writes down who changed what, and tells the sections of the panel.

    What changes in one turn of the event loop is told once, so that many changes cost as much as one. Points that move
    in the list's coordinates because its transform is hardened are not corrected: what was detected moves with them.

    Attributes:
        node: the list; None if the panel shows none.
        detection: what the list was made from, in the list's coordinates; None if no detector made it.
        card: of the model or models behind it; None if one is no longer there.
        review: what persons did to it.
        landmarks: what has become of every control point, in the list's coordinates.
        placing: index of the landmark that the next click in a view places; None if none does.
    """

    def __init__(self) -> None:
        VTKObservationMixin.__init__(self)
        self._listeners: list[Callable[[], None]] = []
        self._is_outdated = False
        self._is_dragged = False
        self._is_writing = False
        self.placing: int | None = None
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self.refresh)
        self._forget()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Have a function called after every change."""
        self._listeners.append(listener)

    def show(self, node: slicer.vtkMRMLMarkupsFiducialNode | None) -> None:
        """Follow another list, or none."""
        self._end_placing()
        self.removeObservers()
        self._forget()
        self.node = node
        if node is not None:
            self._is_outdated = True
            for event in (node.PointModifiedEvent, node.TransformModifiedEvent):
                self.addObserver(node, event, self._on_point_modified)
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self._on_node_modified)
            self.addObserver(node, node.PointStartInteractionEvent, self._on_drag_started)
            self.addObserver(node, node.PointEndInteractionEvent, self._on_drag_ended)
        self.refresh()

    def refresh(self) -> None:
        """Look at the list now, and tell everybody."""
        self._timer.stop()
        if self.node is not None:
            if self._is_outdated:
                self._read()
            points = points_of(self.node)
            self._follow_hardening(points)
            if self.detection is not None and not self._is_dragged:
                self._keep(self.review.observed(self.detection, dict(points), *_who_and_when()))
            self.landmarks = reviewed_landmarks(self.detection, self.review, points)
        for listener in self._listeners:
            listener()

    def accept(self, index: int) -> None:
        """Note that the landmark is right where it is, or is rightly missing."""
        self.refresh()
        self._keep(self.review.accepted(self.detection, self.landmarks[index].label, *_who_and_when()))
        self.refresh()

    def reset(self, index: int) -> None:
        """Put the landmark back to where it was predicted."""
        self._end_placing()
        self.refresh()
        landmark = self.landmarks[index]
        self._keep(self.review.reset(self.detection, landmark.label, *_who_and_when()))
        self._place(index, None if landmark.predicted.missing else landmark.predicted.position_ras)

    def mark_missing(self, index: int) -> None:
        """Note that the landmark is not in the volume."""
        self._place(index, None)

    def place_by_click(self, index: int) -> None:
        """Have the next click in a view place a missing landmark; the views go where the detector takes it to be."""
        self._end_placing()
        logic = slicer.modules.markups.logic()
        logic.JumpSlicesToLocation(*self.detection_in_world()[self.landmarks[index].label].position_ras, True)
        self.node.UnsetNthControlPointPosition(index)
        self.node.SetControlPointPlacementStartIndex(index)
        logic.SetActiveList(self.node)
        logic.StartPlaceMode(False)
        self.placing = index
        interaction = _interaction()
        self.addObserver(interaction, interaction.InteractionModeChangedEvent, self._on_interaction_mode_changed)
        self.refresh()

    def give_up_placing(self) -> None:
        """Wait for no click any more; the landmark stays missing."""
        self._end_placing()
        self.refresh()

    def _end_placing(self) -> None:
        """Lest a click that is waited for no more place a point in a list that nobody sees."""
        if self.placing is None:
            return
        index, self.placing = self.placing, None
        if self.node.GetNthControlPointPositionStatus(index) == self.node.PositionUndefined:
            self.node.SetNthControlPointPositionMissing(index)
        interaction = _interaction()
        self.removeObserver(interaction, interaction.InteractionModeChangedEvent, self._on_interaction_mode_changed)
        if interaction.GetCurrentInteractionMode() == interaction.Place:
            interaction.SwitchToViewTransformMode()

    def _on_interaction_mode_changed(self, _caller: vtk.vtkObject, _event: str) -> None:
        if _interaction().GetCurrentInteractionMode() != slicer.vtkMRMLInteractionNode.Place:
            self._end_placing()
            self._timer.start()

    @property
    def name(self) -> str:
        """Of the volume the landmarks were found in or, if there is none, of their list."""
        volume_node = volume_node_of(self.node)
        return (volume_node or self.node).GetName()

    def landmarks_in_world(self) -> LandmarkSet:
        """Where the landmarks are now, with their descriptions.

        Raises:
            LandmarkDetectionError: if two have the same label.
        """
        return landmarks_from_node(self.node)

    def detection_in_world(self) -> Detection:
        """What was detected, moved by the transforms the list is under now."""
        return in_world(self.detection, self.node)

    def _forget(self) -> None:
        self._timer.stop()
        self._is_outdated = self._is_dragged = False
        self.node: slicer.vtkMRMLMarkupsFiducialNode | None = None
        self.detection: Detection | None = None
        self.card: JointCard | None = None
        self.review = Review()
        self.landmarks: tuple[ReviewedLandmark, ...] = ()
        self._parent: slicer.vtkMRMLTransformNode | None = None
        self._points: list[tuple[str, Position]] = []

    def _read(self) -> None:
        self._is_outdated = False
        before = None if self.detection is None else self.detection.model_names
        found = detection_of(self.node)
        self.detection = None if found is None else replace(found, path_ras=None)
        self.review = review_of(self.node)
        if found is None:
            self.card = None
        elif found.model_names != before:
            self.card = _joint_card(found)

    def _follow_hardening(self, points: list[tuple[str, Position]]) -> None:
        parent = self.node.GetParentTransformNode()
        if self.detection is not None and parent is not self._parent and self._points:
            mapping = mapping_between(self._parent, parent)
            if _are_moved_by(mapping, self._points, points):
                self._is_writing = True
                carry_along(self.node, mapping)
                self._is_writing = False
                self._read()
        self._parent, self._points = parent, points

    def _keep(self, review: Review) -> None:
        if review is not self.review:
            self.review = review
            self._is_writing = True
            set_review(self.node, review)
            self._is_writing = False

    def _place(self, index: int, position: Position) -> None:
        place_point(self.node, index, position)
        self.refresh()

    def _on_point_modified(self, _caller: vtk.vtkObject, _event: str) -> None:
        self._timer.start()

    def _on_node_modified(self, _caller: vtk.vtkObject, _event: str) -> None:
        if not self._is_writing:
            self._is_outdated = True
            self._timer.start()

    def _on_drag_started(self, _caller: vtk.vtkObject, _event: str) -> None:
        self._is_dragged = True

    def _on_drag_ended(self, _caller: vtk.vtkObject, _event: str) -> None:
        self._is_dragged = False
        self._timer.start()


def _interaction() -> slicer.vtkMRMLInteractionNode:
    return slicer.mrmlScene.GetNodeByID("vtkMRMLInteractionNodeSingleton")


def _are_moved_by(
    mapping: Callable[[FloatArray], FloatArray],
    before: list[tuple[str, Position]],
    now: list[tuple[str, Position]],
) -> bool:
    """Whether every point is where a mapping puts what was there before."""
    if [(label, place is None) for label, place in before] != [(label, place is None) for label, place in now]:
        return False
    places = [(old, new) for (_label, old), (_label, new) in zip(before, now, strict=True) if old is not None]
    if not places:
        return False
    old, new = np.array(places).transpose(1, 0, 2)
    return bool((np.linalg.norm(mapping(old) - new, axis=1) <= MOVED_MM).all())


def _joint_card(detection: Detection) -> JointCard | None:
    try:
        return JointCard.of([load_card(find_model(name)) for name in detection.model_names])
    except LandmarkDetectionError:
        return None


def _who_and_when() -> tuple[str, str]:
    person = slicer.app.applicationLogic().GetUserInformation()
    name = person.GetName() or person.GetLogin() or getpass.getuser()
    return name, datetime.now(UTC).isoformat(timespec="seconds")
