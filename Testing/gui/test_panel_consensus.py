"""Several models are asked together: who can be asked, where they disagree, and what is kept about them."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import slicer
from panel_actions import choose_model, detect
from tiny_detector import LABELS, write_second_opinion, write_tiny_bundle

from LandmarkDetectionLib.landmarks import DetectedLandmark, Detection, Doubt
from LandmarkDetectionLib.models.bundle import load_bundle, save_bundle
from LandmarkDetectionLib.mrml import add_landmarks, detection_of, set_detection


@pytest.fixture
def opinions(panel, tmp_path, monkeypatch):
    """Own models: "tiny"; "second", which nearly agrees; "wild", which finds all 20 mm higher; a "twin" of tiny."""
    folder = tmp_path / "models"
    monkeypatch.setenv("LANDMARK_DETECTION_MODELS", str(folder))
    write_tiny_bundle(folder)
    write_second_opinion(folder, "second", seed=1)
    write_second_opinion(folder, "wild", seed=9, shift_mm=20.0)
    write_tiny_bundle(folder, "twin")
    panel.enter()
    choose_model(panel, "tiny")
    yield folder
    panel._parameter_node.secondOpinions = ""


def entries(panel):
    return [action.text for action in panel.ui.secondOpinionButton.menu().actions()]


def choose(panel, *names):
    """In the menu, as a click on an entry does."""
    for action in panel.ui.secondOpinionButton.menu().actions():
        if action.text in names:
            action.trigger()


def column(panel, index):
    table = panel.ui.landmarksTable
    return [table.item(row, index).text() for row in range(table.rowCount)]


def test_only_other_models_of_the_same_landmarks_can_be_asked_too(panel, opinions):
    assert entries(panel) == ["second", "wild"], "twin has the same weights, brain-t1 other landmarks"
    assert panel.ui.secondOpinionButton.text == "none"
    choose_model(panel, "brain-t1")
    assert entries(panel) == ["brain-t1-pin"]
    choose_model(panel, "fetal-phantom-3d")
    assert not panel.ui.secondOpinionButton.enabled
    assert panel.ui.secondOpinionButton.toolTip == "No other model finds these landmarks: import or train one."


def test_models_that_agree_find_one_list_that_names_them_all(testbed, panel, head, opinions):
    choose(panel, "second")
    assert panel.ui.secondOpinionButton.text == "second"
    detect(testbed, panel)
    landmarks = panel.ui.landmarksSelector.currentNode()
    assert landmarks.GetName() == "head tiny+second"
    assert detection_of(landmarks).model_names == ("tiny", "second")
    assert column(panel, 6) == ["predicted"] * 4
    assert panel.ui.planeSelector.count == 2, "the planes are those of the models together"


def test_where_models_disagree_a_landmark_needs_review_and_comes_first(testbed, panel, head, opinions):
    choose(panel, "wild")
    detect(testbed, panel)
    assert column(panel, 6) == ["needs review"] * 4
    hint = panel.ui.landmarksTable.item(0, 6).toolTip()
    assert hint.startswith("Models disagree: they lie ")
    assert "The models disagree on where these landmarks lie" in panel.ui.statusLabel.text
    apart = {mark.label: mark.disagreement_mm for mark in detection_of(panel.shown.node).landmarks}
    panel.ui.nextButton.click()
    assert column(panel, 0)[panel.ui.landmarksTable.currentRow()] == max(apart, key=apart.get)
    panel.ui.acceptButton.click()
    assert column(panel, 6)[panel.ui.landmarksTable.currentRow()] == "accepted"


def test_each_model_has_its_own_options(testbed, panel, head, opinions):
    choose_model(panel, "second")
    table = panel.ui.optionsTable
    row = next(row for row in range(table.rowCount) if table.item(row, 0).text() == "iterations")
    table.item(row, 1).setText("nonsense")
    choose_model(panel, "tiny")
    detect(testbed, panel)
    assert testbed.messages == []
    choose(panel, "second")
    detect(testbed, panel)
    assert testbed.messages == ["model second: inference: iterations must be a whole number."]
    panel.advanced._on_options_changed("")


def test_a_further_model_for_research_alone_asks_too(testbed, panel, head, opinions):
    bundle = load_bundle(opinions / "second")
    save_bundle(bundle.folder, dataclasses.replace(bundle.card, badge="research use only"), bundle.tensors)
    panel.enter()
    choose(panel, "second")
    testbed.answers.append("Cancel")
    panel.ui.detectButton.click()
    assert testbed.messages[0].startswith("second is for research use only")
    assert slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode") == []


def test_the_choice_is_kept_with_the_scene_and_dropped_where_it_does_not_fit(testbed, panel, opinions, module):
    choose(panel, "second", "wild")
    assert module.LandmarkDetectionLogic().getParameterNode().secondOpinions == "second+wild"
    second_panel = testbed.open_panel(module)
    assert second_panel.ui.secondOpinionButton.text == "second, wild"
    choose_model(second_panel, "second")
    assert [card.name for card in second_panel.input.cards] == ["second", "wild"]
    testbed.close_panel(second_panel)


@pytest.mark.usefixtures("head")
def test_an_exported_review_names_every_model(testbed, panel, opinions, tmp_path, monkeypatch):
    monkeypatch.setattr("qt.QFileDialog.getExistingDirectory", lambda *_arguments: str(tmp_path / "results"))
    choose(panel, "second")
    detect(testbed, panel)
    panel.ui.exportButton.click()
    (review,) = (json.loads(file.read_text()) for file in (tmp_path / "results").glob("*.review.json"))
    hashes = [load_bundle(opinions / name).weights_sha256 for name in ("tiny", "second")]
    assert review["models"] == [
        {"name": "tiny", "version": "1.0", "weights_sha256": hashes[0]},
        {"name": "second", "version": "1.0", "weights_sha256": hashes[1]},
    ]


def test_what_a_single_model_says_of_itself_calls_for_review_too(panel, head):
    doubts = {"AC": (Doubt.PRESENCE,), "PC": (), "RE": (Doubt.UNSURE,), "LE": (Doubt.PRESENCE,)}
    marks = tuple(
        DetectedLandmark(label, np.array([20.0, 20.0, 20.0]), np.eye(3), 0.7, label == "LE", doubts=doubts[label])
        for label in LABELS
    )
    node = add_landmarks("doubtful")
    set_detection(node, Detection(marks, "tiny", "1.0", "ab" * 32, "cpu", 1.0), head, {})
    panel.ui.landmarksSelector.setCurrentNode(node)
    assert column(panel, 6) == ["needs review", "predicted", "needs review", "missing"]
    hints = [panel.ui.landmarksTable.item(row, 6).toolTip() for row in (0, 2, 3)]
    assert hints[0] == "It is open whether it is in the volume: its presence is 0.70."
    assert hints[1] == "The model is much less sure of it than it usually is."
    assert hints[2].endswith("its presence is 0.70.")
    gone_through = []
    for _ in LABELS:
        panel.ui.nextButton.click()
        gone_through.append(column(panel, 0)[panel.ui.landmarksTable.currentRow()])
    assert gone_through == ["AC", "LE", "RE", "PC"]
