"""The Dataset section: what a dataset holds, what is wrong with it, and cases that come from the scene."""

from __future__ import annotations

import json

import numpy as np
import pytest
import slicer
import vtk
from tiny_detector import write_tiny_bundle
from training_actions import choose, table_texts
from training_datasets import write_spots
from training_scene import add_nodes, case_of

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.files.dataset_check import check_dataset
from LandmarkDetectionLib.files.dataset_pack import write_pack
from LandmarkDetectionLib.mrml import add_landmarks
from LandmarkDetectionLib.spots import SPOTS, spots_case


@pytest.fixture
def own_spots(tmp_path):
    """A dataset that a test may change."""
    return write_spots(tmp_path / "spots")


def check(testbed, panel):
    panel.ui.checkButton.click()
    testbed.wait_until(lambda: panel.ui.checkButton.text == "Check")


class TestChoosing:
    def test_without_a_dataset_every_button_says_what_to_do(self, panel):
        advice = "Choose the folder of a dataset, or name a new one and add cases to it."
        assert panel.ui.datasetLabel.text == advice
        for button in ("checkButton", "divideButton", "trainButton", "addCaseButton", "addAllCasesButton"):
            assert not getattr(panel.ui, button).enabled
            assert getattr(panel.ui, button).toolTip == advice

    def test_a_dataset_is_one_line(self, panel, spots):
        panel.ui.datasetEdit.setText(str(spots))
        assert panel.ui.datasetLabel.text == "spots · 8 cases · 2 landmarks · train 6, validation 1, test 1"
        assert panel.ui.checkButton.enabled

    def test_the_browser_fills_the_line(self, panel, spots, monkeypatch):
        monkeypatch.setattr("qt.QFileDialog.getExistingDirectory", lambda *_arguments: str(spots))
        panel.ui.browseDatasetButton.click()
        assert panel.ui.datasetEdit.text == str(spots)
        monkeypatch.setattr("qt.QFileDialog.getExistingDirectory", lambda *_arguments: "")
        panel.ui.browseDatasetButton.click()
        assert panel.ui.datasetEdit.text == str(spots)

    def test_a_folder_of_other_things_is_no_dataset(self, panel, tmp_path):
        (tmp_path / "letter.txt").write_text("Dear")
        panel.ui.datasetEdit.setText(str(tmp_path))
        assert "is not a dataset folder" in panel.ui.datasetLabel.text
        for button in (panel.ui.trainButton, panel.ui.addCaseButton, panel.ui.addAllCasesButton):
            assert button.toolTip == panel.ui.datasetLabel.text

    def test_a_packed_file_is_a_dataset_too_but_takes_no_cases(self, panel, spots, tmp_path, monkeypatch):
        dataset = Dataset.load(spots)
        write_pack(tmp_path / "spots.zip", dataset, dataset.cases)
        monkeypatch.setattr("qt.QFileDialog.getOpenFileName", lambda *_arguments: str(tmp_path / "spots.zip"))
        panel.ui.browsePackButton.click()
        assert panel.ui.datasetEdit.text == str(tmp_path / "spots.zip")
        assert panel.ui.datasetLabel.text.startswith("spots · 8 cases")
        assert not panel.ui.divideButton.enabled
        assert "packed file" in panel.ui.divideButton.toolTip
        assert panel.dataset.adding_problem.startswith("A packed file takes no cases")

    def test_a_path_may_be_typed_as_people_do(self, panel, spots, monkeypatch):
        monkeypatch.setenv("HOME", str(spots.parent))
        monkeypatch.setenv("USERPROFILE", str(spots.parent))
        for typed in (f'"{spots}"', f"'{spots}'", f"  {spots} ", f"~/{spots.name}"):
            panel.ui.datasetEdit.setText(typed)
            assert panel.ui.datasetLabel.text.startswith("spots · 8 cases"), typed
            assert panel.ui.trainButton.enabled
            assert str(spots) in panel.training._setup.training_arguments(resume=False)

    def test_a_path_that_is_too_long_is_a_sentence(self, panel):
        panel.ui.datasetEdit.setText("x" * 400)
        assert "too long" in panel.ui.datasetLabel.text
        assert panel.ui.addCaseButton.toolTip == panel.ui.trainButton.toolTip == panel.ui.datasetLabel.text

    def test_a_name_that_is_too_long_or_no_models_is_a_sentence(self, panel, spots):
        panel.ui.datasetEdit.setText(str(spots))
        panel.ui.nameEdit.setText("a" * 300)
        assert "too long" in panel.ui.trainButton.toolTip
        for name in ("x.training", "x."):
            panel.ui.nameEdit.setText(name)
            assert "begins with a letter" in panel.ui.trainButton.toolTip
        panel.ui.nameEdit.setText("con")
        assert "Windows" in panel.ui.trainButton.toolTip


class TestCheck:
    def test_a_good_dataset_has_no_problem(self, testbed, panel, spots):
        panel.ui.datasetEdit.setText(str(spots))
        assert not panel.ui.problemsTable.visible
        check(testbed, panel)
        assert panel.ui.checkLabel.text == "No problem was found."
        assert not panel.ui.problemsTable.visible

    def test_every_problem_is_listed_by_case_as_the_command_line_does(self, testbed, panel, own_spots):
        markups = own_spots / "landmarks" / "spots2.mrk.json"
        content = json.loads(markups.read_text())
        content["markups"][0]["controlPoints"][0]["position"] = [500.0, 0.0, 0.0]
        markups.write_text(json.dumps(content))
        (own_spots / "landmarks" / "spots3.mrk.json").write_text("{}")
        (own_spots / "volumes" / "spots4.nrrd").write_bytes(b"NRRD0004\n")
        panel.ui.datasetEdit.setText(str(own_spots))
        check(testbed, panel)
        listed = [tuple(row) for row in table_texts(panel.ui.problemsTable)]
        assert listed == [(problem.case, problem.message) for problem in check_dataset(own_spots)]
        assert {case for case, _ in listed} == {"spots2", "spots3", "spots4"}
        assert panel.ui.checkLabel.text == "Problems found: 3"
        assert panel.ui.problemsTable.visible

    def test_a_check_can_be_stopped(self, panel, spots):
        panel.ui.datasetEdit.setText(str(spots))
        panel.ui.checkButton.click()
        assert panel.ui.checkButton.text == "Stop checking"
        panel.ui.checkButton.click()
        assert panel.ui.checkButton.text == "Check"
        assert panel.ui.checkLabel.text == "The check was cancelled."

    def test_another_dataset_forgets_the_problems(self, testbed, panel, own_spots, spots):
        (own_spots / "landmarks" / "spots3.mrk.json").write_text("{}")
        panel.ui.datasetEdit.setText(str(own_spots))
        check(testbed, panel)
        panel.ui.datasetEdit.setText(str(spots))
        assert panel.ui.problemsTable.rowCount == 0
        assert panel.ui.checkLabel.text == ""


class TestDivision:
    def test_a_dataset_that_is_not_divided_says_so_and_can_be(self, panel, tmp_path):
        folder = write_spots(tmp_path / "spots", divided=False)
        panel.ui.datasetEdit.setText(str(folder))
        assert "divide it first" in panel.ui.trainButton.toolTip
        panel.ui.divideButton.click()
        assert panel.ui.datasetLabel.text.endswith("train 6, validation 1, test 1")
        assert panel.ui.trainButton.enabled
        assert not panel.ui.divideButton.enabled
        assert "says already" in panel.ui.divideButton.toolTip

    def test_one_subject_cannot_be_divided(self, testbed, panel, tmp_path):
        (tmp_path / "one").mkdir()
        panel.ui.datasetEdit.setText(str(tmp_path / "one"))
        add_nodes()
        panel.ui.addAllCasesButton.click()
        assert panel.ui.datasetLabel.text == "one · 1 case · 2 landmarks · train 1"
        panel.ui.divideButton.click()
        assert "at least two subjects" in testbed.messages[0]
        assert isinstance(testbed.uncaught.pop(), LandmarkDetectionError)


class TestCasesFromTheScene:
    def test_the_buttons_say_what_is_wanted(self, panel, tmp_path):
        panel.ui.datasetEdit.setText(str(tmp_path / "new"))
        assert panel.ui.datasetLabel.text == "This folder is new: the first case that you add will make it a dataset."
        assert panel.ui.addCaseButton.toolTip == "Choose a list of landmarks first."
        assert panel.ui.addAllCasesButton.toolTip == "The scene has no list of landmarks."
        volume_node, landmarks_node = add_nodes()
        panel.ui.caseLandmarksSelector.setCurrentNode(landmarks_node)
        assert panel.ui.caseVolumeSelector.currentNode() is volume_node
        assert panel.ui.addCaseButton.enabled
        panel.ui.caseVolumeSelector.setCurrentNode(None)
        assert panel.ui.addCaseButton.toolTip == "Choose the volume that the landmarks belong to first."

    def test_volumes_with_markups_become_a_dataset(self, testbed, panel, tmp_path):
        panel.ui.datasetEdit.setText(str(tmp_path / "new"))
        for seed in range(3):
            add_nodes(seed)
        panel.ui.addAllCasesButton.click()
        assert panel.ui.datasetLabel.text == "new · 3 cases · 2 landmarks · train 3"
        testbed.wait_until(lambda: panel.ui.checkLabel.text == "No problem was found.")
        volume, landmarks = spots_case(1)
        case = case_of(tmp_path / "new", "spots1")
        np.testing.assert_array_equal(case.read_volume().voxels, volume.voxels)
        np.testing.assert_allclose(case.read_landmarks().to_array(), landmarks.to_array(), atol=1e-5)

    def test_transforms_are_hardened_into_what_is_written(self, panel, tmp_path):
        panel.ui.datasetEdit.setText(str(tmp_path / "new"))
        volume_node, landmarks_node = add_nodes()
        turned = [[0.0, -1.0, 0.0, 5.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, -7.0], [0.0, 0.0, 0.0, 1.0]]
        for node in (volume_node, landmarks_node):
            node.SetAndObserveTransformNodeID(self.transform(turned).GetID())
        panel.ui.caseLandmarksSelector.setCurrentNode(landmarks_node)
        panel.ui.addCaseButton.click()
        case = case_of(tmp_path / "new", "spots30")
        truth = spots_case(30)[1].to_array() @ np.array(turned)[:3, :3].T + (5.0, 0.0, -7.0)
        np.testing.assert_allclose(case.read_landmarks().to_array(), truth, atol=1e-5)
        np.testing.assert_allclose(case.read_volume().ijk_to_ras, turned, atol=1e-9)

    def test_a_transform_no_file_can_hold_takes_the_landmarks_to_the_volume(self, panel, tmp_path):
        """Sheared, the landmarks still lie on the same voxels."""
        panel.ui.datasetEdit.setText(str(tmp_path / "new"))
        volume_node, landmarks_node = add_nodes()
        sheared = [[1.0, 0.5, 0.0, 5.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
        transform = self.transform(sheared)
        for node in (volume_node, landmarks_node):
            node.SetAndObserveTransformNodeID(transform.GetID())
        panel.ui.caseLandmarksSelector.setCurrentNode(landmarks_node)
        panel.ui.addCaseButton.click()
        case = case_of(tmp_path / "new", "spots30")
        np.testing.assert_allclose(case.read_landmarks().to_array(), spots_case(30)[1].to_array(), atol=1e-5)
        np.testing.assert_allclose(case.read_volume().ijk_to_ras, np.eye(4), atol=1e-9)

    @staticmethod
    def transform(matrix):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        slicer.util.updateTransformMatrixFromArray(node, np.array(matrix))
        return node

    def test_another_case_of_the_same_name_is_a_message(self, testbed, panel, own_spots):
        panel.ui.datasetEdit.setText(str(own_spots))
        _, landmarks_node = add_nodes(30, volume_name="spots0")
        panel.ui.caseLandmarksSelector.setCurrentNode(landmarks_node)
        before = (own_spots / "volumes" / "spots0.nrrd").read_bytes()
        panel.ui.addCaseButton.click()
        assert 'has another case named "spots0" already' in testbed.messages[0]
        assert isinstance(testbed.uncaught.pop(), LandmarkDetectionError)
        assert (own_spots / "volumes" / "spots0.nrrd").read_bytes() == before

    def test_two_points_of_one_name_are_a_message(self, testbed, panel, own_spots):
        panel.ui.datasetEdit.setText(str(own_spots))
        _, landmarks_node = add_nodes()
        landmarks_node.AddControlPointWorld(vtk.vtkVector3d(1, 2, 3), "dim")
        panel.ui.caseLandmarksSelector.setCurrentNode(landmarks_node)
        panel.ui.addCaseButton.click()
        assert 'two points are named "dim"' in testbed.messages[0]
        assert isinstance(testbed.uncaught.pop(), LandmarkDetectionError)


class TestCorrections:
    @pytest.fixture
    def detected(self, panel, store, module):
        """Landmarks that the model "tiny" found in a volume."""
        write_tiny_bundle(store)
        voxels = np.random.default_rng(0).integers(0, 100, (30, 30, 30), dtype=np.int16)
        slicer.util.addVolumeFromArray(voxels, ijkToRAS=np.diag([2.0, 2.0, 2.0, 1.0]), name="head")
        panel.model.reload_models()
        return module.LandmarkDetectionLogic().detect(slicer.util.getNode("head"), "tiny", device="cpu")

    def test_predictions_nobody_has_looked_at_are_nobodys_truth(self, testbed, panel, detected, tmp_path):
        panel.ui.datasetEdit.setText(str(tmp_path / "new"))
        panel.ui.caseLandmarksSelector.setCurrentNode(detected)
        assert panel.ui.caseLabel.text == "4 not reviewed, to be left out"
        panel.ui.addCaseButton.click()
        assert "no landmark is accepted or corrected yet: review it first" in testbed.messages[0]
        assert isinstance(testbed.uncaught.pop(), LandmarkDetectionError)
        assert not (tmp_path / "new").exists()

    def test_what_was_corrected_becomes_training_data_for_the_model_that_erred(self, panel, detected, tmp_path):
        panel.ui.datasetEdit.setText(str(tmp_path / "new"))
        panel.ui.caseLandmarksSelector.setCurrentNode(detected)
        detected.SetNthControlPointPositionWorld(0, (30.0, 31.0, 32.0))
        detected.SetNthControlPointPositionMissing(1)
        assert panel.ui.caseLabel.text == "1 corrected, 1 missing, 2 not reviewed, to be left out"
        panel.ui.addCaseButton.click()
        dataset = Dataset.load(tmp_path / "new")
        assert dataset.labels == ("AC", "PC", "RE", "LE")
        read = dataset.cases[0].read_landmarks()
        assert set(read) == {"AC", "PC"}
        np.testing.assert_allclose(read["AC"], (30.0, 31.0, 32.0), atol=1e-5)
        assert read["PC"] is None
        assert panel.ui.initialSelector.currentText == "tiny"
        assert panel.ui.methodSelector.currentText == "pin"
        assert panel.ui.nameEdit.placeholderText == "tiny-tuned"

    def test_correcting_more_later_completes_the_same_case(self, detected, training_module, tmp_path):
        logic = training_module.LandmarkTrainingLogic()
        detected.SetNthControlPointPositionWorld(0, (30.0, 31.0, 32.0))
        assert logic.add_reviewed_case(detected, tmp_path / "new") == "head"
        detected.SetNthControlPointPositionWorld(3, (20.0, 21.0, 22.0))
        logic.add_reviewed_case(detected, tmp_path / "new")
        assert set(case_of(tmp_path / "new", "head").read_landmarks()) == {"AC", "LE"}

    @pytest.mark.usefixtures("panel")
    def test_a_script_is_told_if_the_volume_is_not_known(self, training_module, tmp_path):
        landmarks_node = add_landmarks("alone")
        landmarks_node.AddControlPointWorld(vtk.vtkVector3d(1, 2, 3), SPOTS[0])
        with pytest.raises(LandmarkDetectionError, match="the volume of these landmarks is not known"):
            training_module.LandmarkTrainingLogic().add_reviewed_case(landmarks_node, tmp_path / "new")

    def test_landmarks_find_the_volume_they_were_detected_in(self, panel, detected):
        other, _ = add_nodes()
        panel.ui.caseVolumeSelector.setCurrentNode(other)
        panel.ui.caseLandmarksSelector.setCurrentNode(None)
        panel.ui.caseLandmarksSelector.setCurrentNode(detected)
        assert panel.ui.caseVolumeSelector.currentNode().GetName() == "head"

    @pytest.mark.usefixtures("detected")
    def test_a_model_of_other_landmarks_cannot_be_trained_further_here(self, panel, spots):
        panel.ui.datasetEdit.setText(str(spots))
        choose(panel.ui.initialSelector, "tiny")
        assert "finds other landmarks" in panel.ui.trainButton.toolTip
        choose(panel.ui.initialSelector, "nothing (learn from scratch)")
        assert panel.ui.trainButton.enabled
