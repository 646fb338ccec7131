"""The method's options reach the detector and stay with the scene."""

from __future__ import annotations

import json

from panel_actions import choose_model, detect

from LandmarkDetectionLib.mrml import detection_of


def option(panel, name):
    table = panel.ui.optionsTable
    row = next(row for row in range(table.rowCount) if table.item(row, 0).text() == name)
    return table.item(row, 1)


def test_the_options_of_the_model_are_shown(panel):
    table = panel.ui.optionsTable
    shown = {table.item(row, 0).text(): table.item(row, 1).text() for row in range(table.rowCount)}
    assert shown == {"random_initialisations": "2", "iterations": "5"}
    assert not panel.ui.resetOptionsButton.enabled


def test_a_changed_option_is_bold_reaches_the_detector_and_can_be_taken_back(testbed, panel, head):
    option(panel, "iterations").setText("1")
    assert option(panel, "iterations").font().bold()
    detect(testbed, panel)
    found = detection_of(panel.ui.landmarksSelector.currentNode())
    assert len(found.path_ras) == 2
    panel.ui.resetOptionsButton.click()
    assert option(panel, "iterations").text() == "5"
    assert not option(panel, "iterations").font().bold()


def test_options_belong_to_their_model_and_stay_with_the_scene(panel, module):
    option(panel, "iterations").setText("1")
    choose_model(panel, "tiny-endless")
    assert option(panel, "iterations").text() == "1000000"
    choose_model(panel, "tiny")
    assert option(panel, "iterations").text() == "1"
    parameters = module.LandmarkDetectionLogic().getParameterNode()
    assert json.loads(parameters.options) == {"tiny": {"iterations": "1"}}


def test_an_option_that_makes_no_sense_is_a_message(testbed, panel, head):
    option(panel, "iterations").setText("many")
    detect(testbed, panel)
    assert "iterations" in testbed.messages[0]


def test_the_seed_is_the_one_used(testbed, panel, head):
    panel.ui.seedSpinBox.setValue(7)
    detect(testbed, panel)
    assert detection_of(panel.ui.landmarksSelector.currentNode()).seed == 7
    panel.ui.seedSpinBox.setValue(0)
