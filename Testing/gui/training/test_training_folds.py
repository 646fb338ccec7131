"""Folds calibrate a model: how long that takes is said before, each of its trainings is followed, and it can resume."""

from __future__ import annotations

from training_actions import LIMIT_S, choose, start

from LandmarkDetectionLib.models.bundle import load_card


def test_the_panel_says_how_much_longer_the_folds_take(panel):
    assert panel.ui.foldsSpinBox.text == "none (not calibrated)"
    assert panel.ui.timeLabel.text == "At most 5 minutes on two processor cores."
    panel.ui.foldsSpinBox.setValue(5)
    assert panel.ui.timeLabel.text == "At most 5 minutes on two processor cores. 6 times that, for the folds."
    choose(panel.ui.presetSelector, "As published")
    assert panel.ui.timeLabel.text.endswith("6 times that, for the folds.")


def test_folds_are_trained_one_after_the_other_resumed_and_calibrate_the_model(testbed, ready, settings, store):
    ui = ready.ui
    ui.foldsSpinBox.setValue(2)
    process_id = start(testbed, ready, "calibrated", settings["endless"])
    assert process_id is not None
    assert ui.trainingLabel.text.startswith("Training 1 of 3 · Step ")
    assert ui.progressBar.value < ui.progressBar.maximum / 3
    assert " left in this training · " in ui.trainingLabel.text
    ui.trainButton.click()
    assert ui.resumeButton.enabled
    ui.foldsSpinBox.setValue(1)
    ui.resumeButton.click()
    assert ui.foldsSpinBox.value == ready.training.running.folds == 2
    ready.training.stop()
    testbed.answers.append("Cancel")
    ui.trainButton.click()
    assert not ready.training.is_busy
    assert ui.resumeButton.enabled
    ui.configEdit.setText(str(settings["short"]))
    testbed.answers.append("Ok")
    ui.trainButton.click()
    testbed.wait_until(lambda: not ready.training.is_busy, LIMIT_S)
    question = "A training of calibrated stopped before its end. Forget what it has reached, and begin anew?"
    assert testbed.messages == [question] * 2
    assert "calibrated is trained" in ui.trainingLabel.text
    card = load_card(store.with_name("trainings") / "calibrated")
    assert "2 folds" in card.calibration.method


def test_too_many_folds_for_the_cases_are_a_message(testbed, ready, settings):
    ready.ui.foldsSpinBox.setValue(20)
    ready.ui.nameEdit.setText("too-many")
    ready.ui.trainButton.click()
    testbed.wait_until(lambda: not ready.training.is_busy, LIMIT_S)
    assert "too few for 20 folds; choose fewer" in testbed.messages[0]
