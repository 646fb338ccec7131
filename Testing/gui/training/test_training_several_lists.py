"""Several lists of landmarks in the scene: each goes with its own volume, and no case is replaced unasked."""

from __future__ import annotations

import numpy as np
import pytest
import vtk
from training_scene import add_nodes, case_of

from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.mrml import add_landmarks
from LandmarkDetectionLib.spots import SPOTS, spots_case


@pytest.fixture
def folder(panel, tmp_path):
    """Of a new dataset."""
    panel.ui.datasetEdit.setText(str(tmp_path / "new"))
    return tmp_path / "new"


def test_another_list_brings_its_own_volume(panel, folder):
    (first, first_list), (second, second_list) = add_nodes(1), add_nodes(2)
    panel.ui.caseLandmarksSelector.setCurrentNode(first_list)
    assert panel.ui.caseVolumeSelector.currentNode() is first
    panel.ui.addCaseButton.click()
    panel.ui.caseLandmarksSelector.setCurrentNode(second_list)
    assert panel.ui.caseVolumeSelector.currentNode() is second
    panel.ui.addCaseButton.click()
    for seed in (1, 2):
        read = case_of(folder, f"spots{seed}").read_landmarks()
        np.testing.assert_allclose(read.to_array(), spots_case(seed)[1].to_array(), atol=1e-5)


@pytest.mark.usefixtures("folder")
def test_a_list_of_no_known_volume_does_not_keep_that_of_another(panel):
    (_, first_list), _ = add_nodes(1), add_nodes(2)
    panel.ui.caseLandmarksSelector.setCurrentNode(first_list)
    panel.ui.caseLandmarksSelector.setCurrentNode(add_landmarks("unknown"))
    assert panel.ui.caseVolumeSelector.currentNode() is None


@pytest.mark.usefixtures("folder")
def test_a_volume_that_came_with_the_list_stays(panel, training_module):
    (_, landmarks_node), (other, _) = add_nodes(1), add_nodes(2)
    node = training_module.LandmarkTrainingLogic().getParameterNode()
    panel.exit()
    node.landmarks, node.volume = landmarks_node, other
    panel.enter()
    assert panel.ui.caseVolumeSelector.currentNode() is other


def test_other_landmarks_replace_a_case_only_if_the_user_agrees(testbed, panel, folder):
    volume_node, landmarks_node = add_nodes(1)
    _, other_list = add_nodes(2)
    panel.ui.caseLandmarksSelector.setCurrentNode(landmarks_node)
    panel.ui.addCaseButton.click()
    before = (folder / "landmarks" / "spots1.mrk.json").read_bytes()
    panel.ui.addCaseButton.click()
    assert testbed.messages == [], "nothing is replaced by what is there"
    panel.ui.caseLandmarksSelector.setCurrentNode(other_list)
    panel.ui.caseVolumeSelector.setCurrentNode(volume_node)
    for answer in ("No", "Yes"):
        testbed.answers.append(answer)
        panel.ui.addCaseButton.click()
        assert "spots1 is in the dataset already, with other positions of" in testbed.messages.pop()
        is_same = (folder / "landmarks" / "spots1.mrk.json").read_bytes() == before
        assert is_same == (answer == "No")


def test_corrections_replace_what_all_cases_were_only_if_the_user_agrees(testbed, panel, folder):
    _, landmarks_node = add_nodes(1)
    panel.ui.addAllCasesButton.click()
    before = (folder / "landmarks" / "spots1.mrk.json").read_bytes()
    landmarks_node.SetNthControlPointPositionWorld(0, (1.0, 2.0, 3.0))
    add_nodes(2)
    testbed.answers.append("No")
    panel.ui.addAllCasesButton.click()
    question, left_out = testbed.messages
    assert question.endswith("Replace them?")
    assert left_out.startswith("Cases added: 1. Left out:\n\nspots1 is in the dataset already")
    assert (folder / "landmarks" / "spots1.mrk.json").read_bytes() == before
    testbed.answers.append("Yes")
    panel.ui.addAllCasesButton.click()
    assert (folder / "landmarks" / "spots1.mrk.json").read_bytes() != before
    assert panel.ui.datasetLabel.text == "new · 2 cases · 2 landmarks · train 2"


def test_a_list_nobody_has_reviewed_is_left_out_and_the_others_are_added(testbed, panel, folder):
    add_landmarks("empty")
    add_nodes(1)
    add_nodes(2)
    panel.ui.addAllCasesButton.click()
    assert testbed.messages == [
        "Cases added: 2. Left out:\n\nempty: the volume of these landmarks is not known: choose it."
    ]
    add_landmarks("spots1")
    panel.ui.addAllCasesButton.click()
    assert "spots1: no landmark is accepted or corrected yet: review it first." in testbed.messages[-1]
    assert {case.name for case in Dataset.load(folder).cases} == {"spots1", "spots2"}


def test_the_name_is_better_evidence_than_an_id_from_a_file(testbed, panel, folder):
    """Each markups file was saved in a session whose only volume was vtkMRMLScalarVolumeNode1."""
    (first, first_list), (_, second_list) = add_nodes(1), add_nodes(2)
    for node in (first_list, second_list):
        node.SetNthControlPointAssociatedNodeID(0, first.GetID())
    panel.ui.addAllCasesButton.click()
    assert testbed.messages == []
    for seed in (1, 2):
        read = case_of(folder, f"spots{seed}").read_landmarks()
        np.testing.assert_allclose(read.to_array(), spots_case(seed)[1].to_array(), atol=1e-5)


def test_two_lists_of_one_volume_are_left_out_by_name(testbed, panel, folder):
    (first, _), _ = add_nodes(1), add_nodes(2)
    rival = add_landmarks("rival")
    rival.AddControlPointWorld(vtk.vtkVector3d(1, 2, 3), SPOTS[0])
    rival.SetNthControlPointAssociatedNodeID(0, first.GetID())
    panel.ui.addAllCasesButton.click()
    assert "spots1 and rival seem to belong to one volume, spots1:" in testbed.messages[0]
    assert [case.name for case in Dataset.load(folder).cases] == ["spots2"]
