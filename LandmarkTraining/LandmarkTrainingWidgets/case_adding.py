"""Adds the scene's cases to a dataset: each list of landmarks with its volume, or the reason why it is left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.dataset_writer import OtherLandmarks, add_case

from .scene_cases import case_of_nodes, is_reviewed, landmark_lists, likely_volume


@dataclass
class AddedCases:
    """What became of several lists of landmarks.

    Attributes:
        names: of the cases that were added.
        left_out: why others were not, a sentence for each.
        replacing: those that would have moved what the dataset has, which was not allowed; a sentence for each.
    """

    names: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    replacing: dict[slicer.vtkMRMLMarkupsFiducialNode, str] = field(default_factory=dict)


def add_nodes(
    landmarks_node: slicer.vtkMRMLMarkupsFiducialNode,
    volume_node: slicer.vtkMRMLScalarVolumeNode | None,
    folder: str | Path,
    *,
    replace: bool,
) -> str:
    """Add one case; `replace` says whether landmarks in the dataset may move.

    Returns:
        The name of the case.

    Raises:
        LandmarkDetectionError: if the volume is not known, nothing is reviewed, or the dataset does not take it.
    """
    volume_node = volume_node or likely_volume(landmarks_node)
    if volume_node is None:
        message = _("{landmarks}: the volume of these landmarks is not known: choose it.")
        raise LandmarkDetectionError(message.format(landmarks=landmarks_node.GetName()))
    case = case_of_nodes(landmarks_node, volume_node)
    return add_case(folder, case.volume, case.landmarks, case.definitions, replace=replace)


def add_scene(folder: str | Path, *, replace: bool) -> AddedCases:
    """Add every list of landmarks of the scene, but those that claim the same volume."""
    lists = landmark_lists()
    claims: dict[slicer.vtkMRMLScalarVolumeNode | None, list[slicer.vtkMRMLMarkupsFiducialNode]] = {}
    for node in filter(is_reviewed, lists):
        claims.setdefault(likely_volume(node), []).append(node)
    rivals = {volume: nodes for volume, nodes in claims.items() if volume is not None and len(nodes) > 1}
    added = _add_lists((node for node in lists if not any(node in nodes for nodes in rivals.values())), folder, replace)
    message = _("{lists} seem to belong to one volume, {volume}: choose each, and the volume it is of, and add it.")
    for volume, nodes in rivals.items():
        names = _(" and ").join(node.GetName() for node in nodes)
        added.left_out.append(message.format(lists=names, volume=volume.GetName()))
    return added


def add_scene_asking(folder: str | Path) -> AddedCases:
    """Add the scene's lists of landmarks; the user says whether what the dataset has may be replaced."""
    with slicer.util.WaitCursor():
        added = add_scene(folder, replace=False)
    if not added.replacing:
        return added
    problems = list(added.replacing.values())
    if not may_replace(problems):
        return AddedCases(added.names, added.left_out + problems)
    again = _add_lists(added.replacing, folder, replace=True)
    return AddedCases(added.names + again.names, added.left_out + again.left_out)


def may_replace(problems: Iterable[str]) -> bool:
    """Whether the user wants positions in a dataset to be replaced."""
    return slicer.util.confirmYesNoDisplay("\n\n".join([*problems, _("Replace them?")]))


def _add_lists(nodes: Iterable[slicer.vtkMRMLMarkupsFiducialNode], folder: str | Path, replace: bool) -> AddedCases:
    added = AddedCases()
    for node in nodes:
        try:
            added.names.append(add_nodes(node, None, folder, replace=replace))
        except OtherLandmarks as problem:
            added.replacing[node] = str(problem)
        except LandmarkDetectionError as problem:
            added.left_out.append(str(problem))
    return added
