"""The Model and Train sections: a training from start to end, and everything that can come between."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import slicer
from testbed.plot_view import series_of
from training_actions import LIMIT_S, choose, is_running, prepare, start, train

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.models.bundle import load_card
from LandmarkDetectionLib.training.log_files import read_progress


def children_of(process_id):
    """Ids of the processes that a process started."""
    listed = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
    parents = {int(path.name): _parent_of(path) for path in listed}
    return [child for child, parent in parents.items() if parent == process_id]


def _parent_of(process):
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


class TestChoices:
    def test_every_published_method_is_offered_and_no_comparator(self, panel):
        offered = [panel.ui.methodSelector.itemText(index) for index in range(panel.ui.methodSelector.count)]
        assert offered == ["pin", "pin-single", "cascade", "multiscale-locnet", "global-to-local"]

    def test_the_preset_says_how_long_it_takes(self, panel):
        assert panel.ui.presetSelector.currentText == "Quick"
        assert panel.ui.timeLabel.text == "At most 5 minutes on two processor cores."
        choose(panel.ui.presetSelector, "Standard")
        assert panel.ui.timeLabel.text == "At most 60 minutes on two processor cores."
        choose(panel.ui.presetSelector, "As published")
        assert "hours to days" in panel.ui.timeLabel.text
        panel.ui.configEdit.setText("settings.json")
        assert panel.ui.timeLabel.text.endswith("The settings may say otherwise.")

    def test_a_name_is_suggested(self, ready):
        assert ready.ui.nameEdit.placeholderText == "spots-pin"
        choose(ready.ui.methodSelector, "pin-single")
        assert ready.ui.nameEdit.placeholderText == "spots-pin-single"
        assert ready.ui.trainButton.enabled

    def test_a_name_that_cannot_be_says_so(self, ready):
        ready.ui.nameEdit.setText("../spots")
        assert not ready.ui.trainButton.enabled
        assert "begins with a letter" in ready.ui.trainButton.toolTip

    def test_settings_come_from_a_file(self, panel, settings, monkeypatch):
        monkeypatch.setattr("qt.QFileDialog.getOpenFileName", lambda *_arguments: str(settings["short"]))
        panel.ui.browseConfigButton.click()
        assert panel.ui.configEdit.text == str(settings["short"])

    def test_before_anything_is_trained_the_later_steps_say_so(self, ready):
        for button in (ready.ui.evaluateButton, ready.ui.saveModelButton, ready.ui.exportModelButton):
            assert not button.enabled
            assert button.toolTip == "Train the model first."
        assert not ready.ui.resumeButton.enabled
        assert ready.ui.resumeButton.toolTip == "No training of this name has stopped before its end."
        assert not ready.ui.showPlotButton.enabled
        assert not ready.ui.progressBar.visible


class TestTraining:
    def test_a_trained_model_tells_its_error_and_shows_its_curves(self, ready, trained, plot_view):
        ready.ui.nameEdit.setText(trained)
        errors, losses = (series_of(ready.training.chart(plot))[trained] for plot in self.plots(ready))
        assert [step for step, _ in errors] == [3, 7, 11]
        assert losses
        choose(ready.ui.plotSelector, "Loss")
        ready.ui.showPlotButton.click()
        assert plot_view.chart.GetTitle() == "Training loss"
        choose(ready.ui.plotSelector, "Validation error")
        ready.ui.showPlotButton.click()
        assert plot_view.chart.GetYAxisTitle() == "Mean error (mm)"

    @staticmethod
    def plots(panel):
        return list(type(panel._parameter_node.plot))

    def test_while_it_runs_the_panel_follows_and_cancel_ends_every_process(self, testbed, ready, settings, plot_view):
        process_id = start(testbed, ready, "cancelled", settings["parallel"])
        ui = ready.ui
        assert ui.trainButton.text == "Cancel"
        assert ui.progressBar.visible
        assert ui.trainingLabel.text.startswith("Step ")
        assert " of 1000000000 · " in ui.trainingLabel.text
        assert " h left · best validation error " in ui.trainingLabel.text
        assert plot_view.chart.GetTitle() == "Validation error"
        assert not ui.modelCollapsibleButton.enabled
        assert not ui.datasetEdit.enabled
        for button in (ui.resumeButton, ui.evaluateButton, ui.saveModelButton):
            assert not button.enabled
            assert button.toolTip == "A training is running."
        children = children_of(process_id)
        assert children
        ui.trainButton.click()
        assert not is_running(process_id)
        testbed.wait_until(lambda: not any(map(is_running, children)), 15.0)
        assert ui.trainingLabel.text == "Cancelled."
        assert ui.trainButton.text == "Train"
        assert ui.modelCollapsibleButton.enabled
        assert not ui.progressBar.visible

    def test_it_outlives_the_scene_and_after_a_crash_goes_on_where_it_was(self, testbed, ready, settings, spots):
        process_id = start(testbed, ready, "long", settings["endless"])
        testbed.scene.Clear(False)
        assert is_running(process_id)
        assert ready.ui.trainButton.text == "Cancel"
        assert (ready.ui.nameEdit.text, ready.ui.datasetEdit.text) == ("long", str(spots))
        testbed.wait_until(lambda: ready.ui.showPlotButton.enabled)
        ready.exit()
        ready.enter()
        os.kill(process_id, signal.SIGSEGV)
        testbed.wait_until(lambda: not ready.training.is_busy)
        assert testbed.messages[0].startswith("The process crashed (status -11")
        assert ready.ui.trainingLabel.text == testbed.messages[0]
        reached = ready.training.progress
        ready.ui.resumeButton.click()
        testbed.wait_until(lambda: ready.training.progress.step > reached.step, LIMIT_S)
        assert ready.training.progress.errors_mm[0] == reached.errors_mm[0]
        ready.ui.trainButton.click()

    def test_a_model_can_be_trained_further(self, testbed, ready, trained, store, training_module):
        training_module.import_model(store.with_name("trainings") / trained)
        ready.enter()
        choose(ready.ui.initialSelector, trained)
        assert ready.ui.nameEdit.placeholderText == "trained-tuned"
        train(testbed, ready, "")
        assert testbed.messages == []
        card = load_card(store.with_name("trainings") / "trained-tuned")
        assert "; then " in card.training.data

    def test_networks_that_learn_one_after_the_other_are_followed_together(self, testbed, ready, store):
        choose(ready.ui.methodSelector, "pin-single")
        train(testbed, ready, "single")
        assert testbed.messages == []
        folder = store.with_name("trainings") / "single.training"
        errors = [read_progress(folder / name).best_error_mm for name in ("0", "1")]
        assert f"single is trained: {sum(errors) / 2:.2f} mm mean error" in ready.ui.trainingLabel.text
        assert ready.ui.trainButton.text == "Train"
        assert ready.training.progress == read_progress(folder / "1")

    def test_the_end_is_told_even_if_the_log_says_nothing_new(self, testbed, ready, trained, monkeypatch):
        arguments = ["models", "list", "--json"]
        monkeypatch.setattr(
            "LandmarkDetectionLib.training_setup.TrainingSetup.training_arguments", lambda *_, **__: arguments
        )
        for name, told in (("unlogged", "unlogged is trained."), (trained, "trained is trained: ")):
            testbed.answers[:] = ["Ok"] * (name == trained)
            train(testbed, ready, name)
            assert ready.ui.trainingLabel.text.startswith(told)
            assert ready.ui.trainButton.text == "Train"

    def test_another_scene_does_not_take_its_place(self, testbed, ready, settings, tmp_path):
        ready.ui.nameEdit.setText("other")
        scene = testbed.scene
        scene.SetURL(str(tmp_path / "scene.mrml"))
        scene.SetRootDirectory(str(tmp_path))
        scene.Commit()
        ready.ui.nameEdit.setText("running")
        ready.ui.configEdit.setText(str(settings["endless"]))
        ready.ui.trainButton.click()
        scene.Import()
        assert (ready.ui.nameEdit.text, ready.ui.configEdit.text) == ("running", str(settings["endless"]))

    def test_a_double_click_begins_one(self, ready, settings):
        ready.ui.nameEdit.setText("double")
        ready.ui.configEdit.setText(str(settings["endless"]))
        for _ in range(2):
            ready.ui.trainButton.click()
        assert ready.training.is_busy

    def test_a_trained_model_is_replaced_only_if_the_user_agrees(self, ready, trained, monkeypatch):
        ready.ui.nameEdit.setText(trained)
        monkeypatch.setattr("slicer.util.confirmOkCancelDisplay", lambda *_arguments: False)
        ready.ui.trainButton.click()
        assert not ready.training.is_busy


class TestFailures:
    def test_a_start_that_fails_leaves_the_curves_of_the_model(self, testbed, ready, trained, tmp_path):
        (tmp_path / "bad.json").write_text("{")
        ready.ui.configEdit.setText(str(tmp_path / "bad.json"))
        testbed.answers.append("Ok")
        train(testbed, ready, trained)
        assert "cannot be read as a JSON configuration" in testbed.messages[-1]
        errors = series_of(ready.training.chart(ready._parameter_node.plot))[trained]
        assert [step for step, _ in errors] == [3, 7, 11]

    def test_an_exception_in_the_child_is_a_message_with_the_logs_tail(self, testbed, ready, tmp_path, monkeypatch):
        shown = []
        monkeypatch.setattr(
            "slicer.util.errorDisplay", lambda text, detailedText="": shown.append((text, detailedText))
        )
        (tmp_path / "monai.py").write_text("raise RuntimeError('a damaged installation')")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        train(testbed, ready, "broken")
        ((text, log),) = shown
        assert text.startswith("An unexpected failure (")
        assert text in log
        assert ready.ui.trainingLabel.text == text

    def test_a_package_that_is_missing_is_asked_for_once(self, testbed, ready, monkeypatch):
        check = slicer.packaging.pip_check

        def check_but_for_lightning(requirement, *seen):
            return "lightning" not in str(requirement) and check(requirement, *seen)

        monkeypatch.setattr("slicer.packaging.pip_check", check_but_for_lightning)
        ready.ui.nameEdit.setText("declined")
        testbed.answers.append("Cancel")
        for _ in range(2):
            ready.ui.trainButton.click()
            assert not ready.training.is_busy
            assert isinstance(testbed.uncaught.pop(), LandmarkDetectionError)
        asked, *told = testbed.messages
        assert asked.startswith("Landmark Training needs Python packages that Slicer lacks: lightning>=")
        assert len(told) == 2
        assert all("chose not to install" in message for message in told)
        assert "lightning>=" in ready.ui.packagesStateLabel.text

    @pytest.mark.usefixtures("panel")
    def test_closing_slicer_ends_a_running_training(self, testbed, training_module, settings, spots):
        second = testbed.open_panel(training_module)
        prepare(second, spots, settings["endless"])
        second.ui.nameEdit.setText("orphan")
        second.ui.trainButton.click()
        process_id = second.training.process_id
        testbed.close_panel(second)
        assert not is_running(process_id)
