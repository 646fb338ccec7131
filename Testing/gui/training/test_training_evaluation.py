"""The Evaluate and Save sections, the scene that keeps it all, and what scripts see of the module."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import slicer
from testbed.plot_view import series_of
from tiny_detector import write_tiny_bundle
from training_actions import choose, is_running, table_texts

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.dataset_writer import add_case
from LandmarkDetectionLib.models.bundle import load_card
from LandmarkDetectionLib.models.registry import find_model, remove_model
from LandmarkDetectionLib.spots import SPOTS, spots_case


@pytest.fixture
def evaluated(ready, trained):
    """The panel, showing a model that is trained and evaluated."""
    ready.ui.nameEdit.setText(trained)
    return ready


@pytest.fixture
def report_file(trained, store):
    """The report on that model, which a test may change."""
    file = store.with_name("trainings") / f"{trained}.evaluation" / "report.json"
    before = file.read_text()
    yield file
    file.write_text(before)


def changed(panel, report_file, **changes):
    """Show the report with other entries."""
    report_file.write_text(json.dumps(json.loads(report_file.read_text()) | changes))
    panel.evaluation.reload()
    return panel.ui.evaluationLabel.text


class TestEvaluation:
    def test_it_shows_the_report(self, evaluated, store):
        ui = evaluated.ui
        report = json.loads((store.with_name("trainings") / "trained.evaluation" / "report.json").read_text())
        overall = report["overall"]
        assert ui.evaluationLabel.text == (
            f"Test cases: 1, points: 2, mean error {overall['mre_mm']:.2f} mm, median {overall['median_mm']:.2f} mm."
        )
        rows = table_texts(ui.accuracyTable)
        assert rows[0][0] == "trained"
        assert rows[1][0].startswith("Mean position")
        assert rows[0][1].startswith(f"{overall['mre_mm']:.2f}")
        assert [row[0] for row in table_texts(ui.landmarkErrorsTable)] == list(SPOTS)

    def test_the_curve_rises_to_all_points(self, evaluated, plot_view):
        evaluated.ui.showCurveButton.click()
        assert plot_view.chart.GetTitle() == "Errors on the test cases"
        points = series_of(plot_view.chart)["trained"]
        assert points[0] == (0.0, 0.0)
        assert points[-1][1] == 100.0
        assert np.all(np.diff([error for error, _ in points]) >= 0)

    def test_the_whole_report_is_a_click_away(self, evaluated, monkeypatch):
        opened = []
        monkeypatch.setattr("qt.QDesktopServices.openUrl", lambda url: opened.append(url.toLocalFile()))
        evaluated.ui.openReportButton.click()
        assert Path(opened[0]).name == "index.html"
        assert Path(opened[0]).exists()

    def test_without_test_cases_it_says_what_can_be_done(self, evaluated, tmp_path):
        for seed in range(2):
            add_case(tmp_path / "few", *spots_case(seed))
        ui = evaluated.ui
        ui.datasetEdit.setText(str(tmp_path / "few"))
        assert not ui.evaluateButton.enabled
        assert ui.evaluateButton.toolTip == "The dataset has no test cases: divide it."
        ui.divideButton.click()
        assert not ui.divideButton.enabled
        assert ui.evaluateButton.toolTip == (
            'The dataset has no test cases: name some as "test" under "split" in its dataset.json.'
        )

    def test_a_report_says_how_many_points_were_found(self, evaluated, report_file):
        overall = json.loads(report_file.read_text())["overall"] | {"points": 3, "failed": 1}
        assert "points: 2 of 3 found, mean error " in changed(evaluated, report_file, overall=overall)
        nothing = overall | {"failed": 3, "mre_mm": None, "sd_mm": None, "median_mm": None, "iqr_mm": None}
        failed = [{"case": "spots1", "message": "It is cut."}]
        text = changed(evaluated, report_file, overall=nothing, failed=failed)
        assert text == "Test cases: 1, points: 3: no point was found.\nspots1: It is cut."
        assert evaluated.ui.accuracyTable.visible

    def test_landmarks_that_the_model_does_not_find_are_named(self, evaluated, report_file):
        text = changed(evaluated, report_file, landmarks_unknown_to_model=["chin", "nose"])
        assert text.endswith("\nNot found by this model, not counted: chin, nose.")

    @pytest.mark.parametrize("damage", ["no curve", "no overall", "a list", "half a file"])
    def test_a_report_that_is_not_whole_is_none(self, evaluated, report_file, damage):
        errors, report = report_file.with_name("errors.csv"), json.loads(report_file.read_text())
        kept = errors.read_text()
        if damage == "no curve":
            errors.unlink()
        damaged = {"no overall": {key: report[key] for key in report if key != "overall"}, "a list": [report]}
        text = json.dumps(damaged.get(damage, report))
        report_file.write_text(text[:200] if damage == "half a file" else text)
        evaluated.ui.nameEdit.setText("other")
        evaluated.ui.nameEdit.setText("trained")
        errors.write_text(kept)
        assert evaluated.ui.evaluationLabel.text == ""
        assert not evaluated.ui.showCurveButton.enabled
        assert evaluated.ui.saveModelButton.enabled

    def test_a_report_on_another_dataset_is_not_shown(self, evaluated, spots, tmp_path):
        ui = evaluated.ui
        ui.datasetEdit.setText(str(shutil.copytree(spots, tmp_path / "elsewhere" / spots.name)))
        assert ui.evaluationLabel.text == ""
        assert not ui.openReportButton.enabled
        assert ui.trainingLabel.text == "trained was trained on spots."
        ui.datasetEdit.setText(str(spots))
        assert ui.evaluationLabel.text.startswith("Test cases: 1")

    def test_a_report_or_chart_that_was_deleted_is_no_riddle(self, testbed, evaluated, report_file, plot_view):
        testbed.scene.RemoveNode(evaluated._parameter_node.parameterNode.GetNodeReference("curveChart"))
        evaluated.ui.showCurveButton.click()
        assert "trained" in series_of(plot_view.chart)
        page = report_file.with_name("index.html")
        page.rename(page.with_suffix(".kept"))
        evaluated.ui.openReportButton.click()
        page.with_suffix(".kept").rename(page)
        assert testbed.messages == ["The report is no longer there: evaluate the model again."]

    def test_it_outlives_the_scene(self, testbed, evaluated, spots):
        ui = evaluated.ui
        ui.evaluateButton.click()
        testbed.scene.Clear(False)
        assert ui.evaluationLabel.text == "Finding the landmarks of the test cases..."
        assert (ui.nameEdit.text, ui.datasetEdit.text) == ("trained", str(spots))
        testbed.wait_until(lambda: not evaluated.evaluation.is_busy)
        assert ui.evaluationLabel.text.startswith("Test cases: 1")
        assert ui.showCurveButton.enabled

    def test_it_can_be_cancelled(self, evaluated):
        evaluated.ui.evaluateButton.click()
        process_id = evaluated.evaluation.process_id
        assert evaluated.ui.evaluateButton.text == "Cancel"
        assert evaluated.ui.evaluationBar.visible
        assert evaluated.ui.trainButton.toolTip == "An evaluation is running."
        assert not evaluated.ui.accuracyTable.visible
        evaluated.ui.evaluateButton.click()
        assert not is_running(process_id)
        assert evaluated.ui.evaluationLabel.text.startswith("Test cases: 1")
        assert evaluated.ui.accuracyTable.visible
        assert evaluated.ui.evaluateButton.text == "Evaluate on the test cases"
        assert evaluated.ui.trainButton.enabled

    def test_a_failure_is_a_message(self, testbed, evaluated, monkeypatch):
        arguments = ["evaluate", "--dataset", "nowhere", "--model", "none", "--output", "nowhere"]
        monkeypatch.setattr(
            "LandmarkDetectionLib.training_setup.TrainingSetup.evaluation_arguments", lambda *_: arguments
        )
        evaluated.ui.evaluateButton.click()
        testbed.wait_until(lambda: not evaluated.evaluation.is_busy)
        assert "nowhere" in testbed.messages[0]
        assert evaluated.ui.evaluationLabel.text == testbed.messages[0]
        assert not evaluated.ui.accuracyTable.visible

    def test_a_report_on_other_weights_is_not_shown(self, evaluated, store):
        card = store.with_name("trainings") / "trained" / "model.json"
        before = card.read_text()
        try:
            card.write_text(before.replace(load_card(card.parent).weights_sha256, 64 * "0"))
            evaluated.evaluation.reload()
            assert evaluated.ui.evaluationLabel.text == ""
            assert not evaluated.ui.openReportButton.enabled
            assert evaluated.ui.openReportButton.toolTip == "Evaluate the model first."
        finally:
            card.write_text(before)


class TestSaving:
    def test_a_saved_model_is_ready_in_landmark_detection(self, evaluated, testbed, module):
        evaluated.ui.saveModelButton.click()
        assert evaluated.ui.saveLabel.text == "trained is ready in Landmark Detection."
        assert load_card(find_model("trained")).name == "trained"
        detection_panel = testbed.open_panel(module)
        assert detection_panel.ui.modelSelector.findText("trained") >= 0
        testbed.close_panel(detection_panel)
        assert evaluated.ui.initialSelector.findText("trained") > 0
        remove_model("trained")

    def test_an_exported_model_can_be_imported_elsewhere(self, evaluated, tmp_path, monkeypatch):
        monkeypatch.setattr("qt.QFileDialog.getSaveFileName", lambda *_arguments: str(tmp_path / "trained.zip"))
        evaluated.ui.exportModelButton.click()
        assert load_card(tmp_path / "trained.zip").name == "trained"
        assert evaluated.ui.saveLabel.text.endswith("trained.zip.")

    def test_another_model_of_the_name_is_replaced_only_if_the_user_agrees(self, evaluated, testbed, store):
        write_tiny_bundle(store, "trained")
        ui, theirs = evaluated.ui, load_card(store / "trained")
        question = f"Another model is named trained: version {theirs.version}, {theirs.description} Replace it?"
        for answer, is_theirs in (("Cancel", True), ("Ok", False)):
            testbed.answers.append(answer)
            ui.saveModelButton.click()
            assert testbed.messages.pop() == question
            assert (load_card(store / "trained").weights_sha256 == theirs.weights_sha256) == is_theirs
            assert (ui.saveLabel.text == "") == is_theirs
        remove_model("trained")

    def test_what_was_saved_is_said_until_the_next_saving_or_training(self, evaluated, testbed, tmp_path, monkeypatch):
        ui = evaluated.ui
        for file, said in (("trained", "trained.zip."), ("nowhere/there", "")):
            chosen = str(tmp_path / file)
            monkeypatch.setattr("qt.QFileDialog.getSaveFileName", lambda *_arguments, chosen=chosen: chosen)
            (tmp_path / "nowhere").write_text("a file")
            ui.exportModelButton.click()
            assert ui.saveLabel.text[-12:] == said
            assert ui.saveLabel.visible == bool(said)
        assert isinstance(testbed.uncaught.pop(), LandmarkDetectionError)
        ui.saveModelButton.click()
        assert ui.saveLabel.text == "trained is ready in Landmark Detection."
        testbed.answers.append("Ok")
        ui.trainButton.click()
        assert ui.saveLabel.text == ""
        evaluated.training.stop()
        assert ui.saveLabel.text == ""
        remove_model("trained")

    def test_a_model_that_cannot_be_saved_is_a_message(self, testbed, evaluated, monkeypatch, tmp_path):
        (tmp_path / "file").touch()
        monkeypatch.setattr("LandmarkDetectionLib.models.registry.user_models_folder", lambda: tmp_path / "file")
        evaluated.ui.saveModelButton.click()
        assert testbed.messages[0].startswith("The model was not saved.")
        assert isinstance(testbed.uncaught.pop(), LandmarkDetectionError)


class TestScene:
    def test_everything_is_kept_with_the_scene(self, testbed, evaluated, training_module, tmp_path):
        dataset, settings = evaluated.ui.datasetEdit.text, evaluated.ui.configEdit.text
        choose(evaluated.ui.presetSelector, "Standard")
        choose(evaluated.ui.plotSelector, "Loss")
        scene = testbed.scene
        scene.SetURL(str(tmp_path / "scene.mrml"))
        scene.SetRootDirectory(str(tmp_path))
        scene.Commit()
        scene.Clear(False)
        assert evaluated.ui.datasetEdit.text == ""
        assert evaluated.ui.evaluationLabel.text == ""
        assert not evaluated.ui.accuracyTable.visible
        scene.SetURL(str(tmp_path / "scene.mrml"))
        scene.Import()
        parameters = training_module.LandmarkTrainingLogic().getParameterNode()
        assert (parameters.dataset, parameters.model_name) == (dataset, "trained")
        assert (parameters.preset.value, parameters.plot.value) == ("standard", "loss")
        assert (evaluated.ui.datasetEdit.text, evaluated.ui.configEdit.text) == (dataset, settings)
        assert evaluated.ui.presetSelector.currentText == "Standard"
        assert evaluated.ui.evaluationLabel.text.startswith("Test cases: 1, points: 2, ")
        assert "trained" in series_of(evaluated.training.chart(parameters.plot))

    def test_without_the_trainings_files_the_curves_stay_as_they_were_saved(self, evaluated, monkeypatch, tmp_path):
        monkeypatch.setenv("LANDMARK_DETECTION_MODELS", str(tmp_path / "elsewhere" / "models"))
        evaluated._show_parameters()
        assert evaluated.ui.saveModelButton.toolTip == "Train the model first."
        assert "trained" in series_of(evaluated.training.chart(evaluated._parameter_node.plot))

    def test_a_second_panel_shows_the_same(self, testbed, evaluated, training_module):
        second = testbed.open_panel(training_module)
        assert second.ui.nameEdit.text == "trained"
        assert second.ui.evaluationLabel.text == evaluated.ui.evaluationLabel.text
        testbed.close_panel(second)


class TestModule:
    @pytest.mark.usefixtures("training_module")
    def test_it_introduces_itself(self):
        description = slicer.modules.landmarktraining
        assert description.title == "Landmark Training"
        assert "LandmarkDetection" in description.dependencies
        assert "not a medical device" in description.helpText

    def test_opening_its_panel_needs_no_package_that_slicer_lacks(self, repository_root):
        program = """
import sys, testbed, pathlib
from testbed.plot_view import add_plots
bed = testbed.Testbed()
add_plots(bed)
for name in ("LandmarkDetection", "LandmarkTraining"):
    panel = bed.load_module(pathlib.Path(sys.argv[1]) / name / f"{name}.py")
bed.open_panel(panel).ui.datasetEdit.setText(sys.argv[2])
print(sorted({"torch", "lightning", "safetensors", "matplotlib", "scipy", "sklearn", "tqdm"} & set(sys.modules)))
"""
        finished = subprocess.run(
            [sys.executable, "-c", program, str(repository_root), "nowhere"],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[1],
        )
        assert finished.stdout.splitlines()[-1] == "[]"

    @pytest.mark.usefixtures("panel")
    def test_a_script_is_told_why_a_command_failed(self, training_module):
        with pytest.raises(LandmarkDetectionError, match="does not exist"):
            training_module.LandmarkTrainingLogic().run(["dataset", "check", "nowhere", "--json"])
