"""From a loaded volume to fiducials through the panel's widgets, and every way this can fail."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import slicer
from panel_actions import choose_model, detect, is_idle, start_endless
from tiny_detector import LABELS

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.mrml import detection_of, landmarks_from_node, volume_node_of

FAULT = """
import sys
if "LandmarkDetectionLib.worker" in sys.orig_argv:
    from LandmarkDetectionLib.detectors import base
    detect = base.Detector.detect
    def faulty(self, *arguments, **options):
        {line}
        return detect(self, *arguments, **options)
    base.Detector.detect = faulty
"""


def is_running(process_id):
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def fiducial_lists():
    return slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")


@pytest.fixture
def fault_in_child(panel, tmp_path, monkeypatch):
    """Makes every detection of the child run a line of Python first; Python itself reads it when it starts."""

    def set_fault(line):
        panel.detection.close()
        (tmp_path / "sitecustomize.py").write_text(FAULT.format(line=line or "pass"))

    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    yield set_fault
    panel.detection.close()


class TestDetect:
    def test_one_click_finds_the_landmarks_of_the_loaded_volume(self, testbed, panel, head):
        detect(testbed, panel)
        (landmarks,) = fiducial_lists()
        assert landmarks.GetName() == "head tiny"
        assert landmarks_from_node(landmarks).present == LABELS
        assert landmarks_from_node(landmarks).descriptions["AC"] == "AC of a test"
        assert volume_node_of(landmarks) is head
        assert panel.ui.landmarksSelector.currentNode() is landmarks
        assert panel.ui.statusLabel.text.startswith("4 of 4 landmarks found in ")
        assert panel.ui.statusLabel.text.endswith(" on cpu.")
        assert testbed.messages == []

    def test_panel_and_script_find_the_same_under_a_transform(self, testbed, panel, head, module):
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        matrix = np.array([[0.0, -1.0, 0.0, 10.0], [1.0, 0.0, 0.0, 20.0], [0.0, 0.0, 1.0, 30.0], [0.0, 0.0, 0.0, 1.0]])
        slicer.util.updateTransformMatrixFromArray(transform, matrix)
        head.SetAndObserveTransformNodeID(transform.GetID())
        detect(testbed, panel)
        by_panel = landmarks_from_node(panel.ui.landmarksSelector.currentNode())
        by_script = landmarks_from_node(module.LandmarkDetectionLogic().detect(head, "tiny", device="cpu"))
        np.testing.assert_allclose(by_panel.to_array(), by_script.to_array(), atol=1e-3)

    @pytest.mark.usefixtures("head")
    def test_while_it_runs_the_button_cancels_and_the_bar_moves(self, testbed, panel):
        assert not panel.ui.progressBar.visible
        start_endless(testbed, panel)
        assert panel.ui.detectButton.text == "Cancel"
        assert panel.ui.detectButton.toolTip == "Stop the detection."
        assert panel.ui.progressBar.visible

    def test_a_second_detection_replaces_what_nobody_changed(self, testbed, panel, detected):
        detect(testbed, panel)
        assert fiducial_lists() == [detected]

    def test_a_second_detection_leaves_corrections_alone(self, testbed, panel, detected):
        detected.SetNthControlPointPositionWorld(0, (1.0, 2.0, 3.0))
        detect(testbed, panel)
        assert len(fiducial_lists()) == 2
        np.testing.assert_allclose(detected.GetNthControlPointPositionWorld(0), (1.0, 2.0, 3.0))
        second = panel.ui.landmarksSelector.currentNode()
        assert second is not detected
        assert (detected.GetName(), second.GetName()) == ("head tiny", "head tiny_1")

    def test_of_two_lists_in_one_volume_the_chosen_one_is_shown(self, testbed, panel, detected):
        detected.SetNthControlPointPositionWorld(0, (1.0, 2.0, 3.0))
        detect(testbed, panel)
        second = panel.ui.landmarksSelector.currentNode()
        assert not detected.GetDisplayVisibility()
        assert second.GetDisplayVisibility()
        panel.ui.landmarksSelector.setCurrentNode(detected)
        assert detected.GetDisplayVisibility()
        assert not second.GetDisplayVisibility()

    @pytest.mark.usefixtures("detected")
    def test_another_volume_gets_a_list_of_its_own(self, testbed, panel):
        other = slicer.util.addVolumeFromArray(np.random.default_rng(1).random((20, 20, 20)), name="other")
        panel.ui.volumeSelector.setCurrentNode(other)
        detect(testbed, panel)
        assert [node.GetName() for node in fiducial_lists()] == ["head tiny", "other tiny"]
        assert all(node.GetDisplayVisibility() for node in fiducial_lists())
        assert volume_node_of(panel.ui.landmarksSelector.currentNode()) is other

    @pytest.mark.usefixtures("head")
    def test_the_chosen_device_is_the_one_used(self, testbed, panel):
        panel.ui.deviceSelector.setCurrentIndex(panel.ui.deviceSelector.findText("CPU"))
        detect(testbed, panel)
        assert detection_of(panel.ui.landmarksSelector.currentNode()).device == "cpu"


class TestChoices:
    def test_the_button_says_why_it_cannot_start(self, panel):
        assert not panel.ui.detectButton.enabled
        assert panel.ui.detectButton.toolTip == "Load a volume and choose it first."

    @pytest.mark.usefixtures("head")
    def test_with_a_volume_and_a_model_it_can(self, panel):
        assert panel.ui.detectButton.enabled
        assert panel.ui.detectButton.toolTip == "Find the model's landmarks in the volume."

    @pytest.mark.usefixtures("head")
    def test_without_any_model_it_says_so(self, panel, monkeypatch):
        monkeypatch.setattr("LandmarkDetectionWidgets.input_section.list_models", list)
        panel.enter()
        assert not panel.ui.detectButton.enabled
        assert panel.ui.detectButton.toolTip == "There is no model: import one first."

    def test_the_card_is_one_line(self, panel):
        assert panel.ui.modelCardLabel.text == "test head · any · 4 landmarks"
        assert panel.ui.badgeLabel.text == "Apache-2.0"

    def test_choices_are_kept_with_the_scene(self, testbed, panel, head, module):
        choose_model(panel, "tiny-endless")
        panel.ui.deviceSelector.setCurrentIndex(panel.ui.deviceSelector.findText("CPU"))
        parameters = module.LandmarkDetectionLogic().getParameterNode()
        assert (parameters.volume, parameters.model, parameters.device) == (head, "tiny-endless", module.Device.CPU)
        second = testbed.open_panel(module)
        assert second.ui.modelSelector.currentData == "tiny-endless"
        assert second.ui.deviceSelector.currentText == "CPU"
        testbed.close_panel(second)


@pytest.mark.usefixtures("head")
class TestCancel:
    def test_cancel_ends_the_child_at_once(self, testbed, panel):
        process_id = start_endless(testbed, panel)
        panel.ui.detectButton.click()
        assert is_idle(panel)
        assert not is_running(process_id)
        assert panel.ui.statusLabel.text == "Cancelled."
        assert not panel.ui.progressBar.visible
        assert fiducial_lists() == []

    def test_after_cancel_another_detection_works(self, testbed, panel):
        start_endless(testbed, panel)
        panel.ui.detectButton.click()
        choose_model(panel, "tiny")
        detect(testbed, panel)
        assert len(fiducial_lists()) == 1

    def test_closing_the_scene_ends_a_running_detection(self, testbed, panel):
        process_id = start_endless(testbed, panel)
        testbed.scene.Clear(False)
        assert is_idle(panel)
        assert not is_running(process_id)
        assert panel.ui.volumeSelector.currentNode() is None
        assert panel.ui.detectButton.toolTip == "Load a volume and choose it first."

    def test_closing_slicer_ends_a_running_detection(self, testbed, module):
        second = testbed.open_panel(module)
        process_id = start_endless(testbed, second)
        testbed.close_panel(second)
        assert not is_running(process_id)

    def test_a_detection_goes_on_while_another_module_is_open(self, testbed, panel):
        panel.ui.detectButton.click()
        panel.exit()
        testbed.wait_until(lambda: is_idle(panel))
        panel.enter()
        assert panel.ui.landmarksSelector.currentNode().GetName() == "head tiny"


class TestFailures:
    def test_a_volume_nothing_can_be_found_in_is_a_message(self, testbed, panel):
        slicer.util.addVolumeFromArray(np.ones((30, 30, 30)), name="flat")
        detect(testbed, panel)
        assert testbed.messages == [
            "flat: every voxel has the same value, so there is nothing to find; choose another volume."
        ]
        assert panel.ui.statusLabel.text == testbed.messages[0]
        assert fiducial_lists() == []

    @pytest.mark.usefixtures("head")
    def test_a_crash_of_the_child_is_a_message_and_the_next_detection_works(self, testbed, panel):
        os.kill(start_endless(testbed, panel), signal.SIGSEGV)
        testbed.wait_until(lambda: is_idle(panel))
        assert len(testbed.messages) == 1
        assert testbed.messages[0].startswith("The detection process crashed (status -11")
        choose_model(panel, "tiny")
        detect(testbed, panel)
        assert len(fiducial_lists()) == 1

    @pytest.mark.usefixtures("head")
    def test_running_out_of_memory_is_a_message(self, testbed, panel):
        os.kill(start_endless(testbed, panel), signal.SIGKILL)
        testbed.wait_until(lambda: is_idle(panel))
        assert "most often because memory ran out" in testbed.messages[0]

    @pytest.mark.usefixtures("head")
    def test_a_mistake_in_the_child_is_a_message_with_the_log_and_the_next_detection_works(
        self, testbed, panel, fault_in_child
    ):
        fault_in_child("raise KeyError('nobody foresaw this')")
        detect(testbed, panel)
        assert "failed unexpectedly (KeyError: 'nobody foresaw this')" in testbed.messages[0]
        fault_in_child("")
        detect(testbed, panel)
        assert len(fiducial_lists()) == 1

    @pytest.mark.usefixtures("head")
    def test_too_little_memory_in_the_child_is_a_message(self, testbed, panel, fault_in_child):
        fault_in_child("raise MemoryError")
        detect(testbed, panel)
        assert "too little free memory for this detection: close other programs" in testbed.messages[0]

    @pytest.mark.usefixtures("head")
    def test_too_little_memory_of_the_graphics_processor_offers_the_cpu(self, testbed, panel, fault_in_child):
        fault_in_child("import torch; raise torch.OutOfMemoryError('CUDA out of memory')")
        testbed.answers.extend(["Yes", "No"])
        panel.ui.detectButton.click()
        testbed.wait_until(lambda: testbed.answers == [] and is_idle(panel))
        assert panel.ui.deviceSelector.currentText == "CPU"
        assert all(text.endswith("choose the CPU as device. Detect on the CPU now?") for text in testbed.messages)
        assert len(testbed.messages) == 2

    @pytest.mark.usefixtures("head")
    def test_a_device_that_is_not_there_is_a_message_and_nothing_falls_back(self, testbed, panel):
        panel.ui.deviceSelector.setCurrentIndex(panel.ui.deviceSelector.findText("Apple graphics processor (MPS)"))
        detect(testbed, panel)
        assert 'There is no device "mps" here; choose auto or one of: ' in testbed.messages[0]
        assert fiducial_lists() == []

    def test_a_colour_image_is_refused_before_anything_starts(self, testbed, panel):
        pixels = np.random.default_rng(0).integers(0, 255, (20, 20, 20, 3), dtype=np.uint8)
        slicer.util.addVolumeFromArray(pixels, name="photo", nodeClassName="vtkMRMLVectorVolumeNode")
        panel.ui.detectButton.click()
        assert is_idle(panel)
        assert "photo: this volume holds 3 values a voxel" in testbed.messages[0]
        assert isinstance(testbed.uncaught.pop(), LandmarkDetectionError)

    def test_a_volume_removed_meanwhile_is_a_message(self, testbed, panel, head):
        panel.ui.detectButton.click()
        testbed.scene.RemoveNode(head)
        testbed.wait_until(lambda: is_idle(panel))
        assert "head was removed from the scene" in testbed.messages[0]
        assert isinstance(testbed.uncaught.pop(), LandmarkDetectionError)
