"""The landmarks as files: markups, and the reviewed case in a results folder, in world coordinates."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import slicer

from LandmarkDetectionLib.files.markups import read_markups
from LandmarkDetectionLib.files.results import read_detection
from LandmarkDetectionLib.mrml import detection_of, landmarks_from_node


@pytest.fixture
def export(panel, tmp_path, monkeypatch):
    """Adds the case to a results folder through the panel."""

    def add_to_results():
        slicer.app.processEvents()
        panel.ui.exportButton.click()
        return tmp_path

    monkeypatch.setattr("qt.QFileDialog.getExistingDirectory", lambda *_arguments: str(tmp_path))
    return add_to_results


def test_before_a_detection_there_is_nothing_to_export(panel):
    assert not panel.ui.saveLandmarksButton.enabled
    assert panel.ui.exportButton.toolTip == "Detect landmarks first."


@pytest.mark.parametrize("suffix", [".mrk.json", ".fcsv"])
def test_the_landmarks_are_saved_where_they_are_now(panel, detected, tmp_path, monkeypatch, suffix):
    file = tmp_path / f"points{suffix}"
    monkeypatch.setattr("qt.QFileDialog.getSaveFileName", lambda *_arguments: str(file))
    detected.SetNthControlPointPositionWorld(0, (1.0, 2.0, 3.0))
    detected.SetNthControlPointPositionMissing(3)
    panel.ui.saveLandmarksButton.click()
    written = read_markups(file)
    np.testing.assert_allclose(written["AC"], (1.0, 2.0, 3.0))
    assert written["LE"] is None
    assert panel.ui.exportLabel.text == f"Written to {file}"


def test_the_landmarks_are_saved_as_a_table(panel, detected, tmp_path, monkeypatch):
    file = tmp_path / "points.csv"
    monkeypatch.setattr("qt.QFileDialog.getSaveFileName", lambda *_arguments: str(file))
    detected.SetNthControlPointPositionWorld(0, (1.0, 2.0, 3.0))
    detected.SetNthControlPointPositionMissing(3)
    slicer.app.processEvents()
    panel.ui.saveLandmarksButton.click()
    rows = list(csv.DictReader(file.open()))
    assert [(row["case"], row["label"], row["status"]) for row in rows] == [
        ("head", "AC", "corrected"),
        ("head", "PC", "detected"),
        ("head", "RE", "detected"),
        ("head", "LE", "missing"),
    ]
    assert (rows[0]["l"], rows[0]["p"], rows[0]["s"]) == ("-1.0000", "-2.0000", "3.0000")
    assert rows[3]["l"] == ""


def test_a_list_a_person_made_is_saved_as_a_table_too(panel, tmp_path, monkeypatch):
    monkeypatch.setattr("qt.QFileDialog.getSaveFileName", lambda *_arguments: str(tmp_path / "points.csv"))
    by_hand = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "by hand")
    by_hand.AddControlPoint(np.array([1.0, 2.0, 3.0]), "nasion")
    panel.ui.landmarksSelector.setCurrentNode(by_hand)
    panel.ui.saveLandmarksButton.click()
    (row,) = csv.DictReader((tmp_path / "points.csv").open())
    assert (row["case"], row["label"], row["l"], row["presence"], row["status"]) == (
        "by_hand",
        "nasion",
        "-1.0000",
        "",
        "placed",
    )


def test_a_name_no_format_has_is_refused(testbed, panel, detected, tmp_path, monkeypatch):
    monkeypatch.setattr("qt.QFileDialog.getSaveFileName", lambda *_arguments: str(tmp_path / "points.txt"))
    panel.ui.saveLandmarksButton.click()
    assert "points.txt is no markups file" in testbed.messages[0]
    testbed.uncaught.clear()


def test_a_case_is_written_as_the_command_line_does_with_who_changed_what(panel, detected, export):
    predicted = detection_of(detected)["AC"].position_ras
    detected.SetNthControlPointPositionWorld(0, (1.0, 2.0, 3.0))
    panel.ui.landmarksTable.setCurrentCell(1, 0)
    panel.ui.acceptButton.click()
    folder = export()
    rows = list(csv.DictReader((folder / "results.csv").open()))
    assert [(row["case"], row["label"], row["status"]) for row in rows] == [
        ("head", "AC", "corrected"),
        ("head", "PC", "accepted"),
        ("head", "RE", "detected"),
        ("head", "LE", "detected"),
    ]
    assert (rows[0]["l"], rows[0]["p"], rows[0]["s"], rows[0]["radius90_mm"]) == ("-1.0000", "-2.0000", "3.0000", "")
    np.testing.assert_allclose(read_detection(folder / "head.detection.json")["AC"].position_ras, predicted)
    review = json.loads((folder / "head.review.json").read_text())
    (model,) = review["models"]
    assert model["name"] == "tiny"
    assert len(model["weights_sha256"]) == 64
    assert [(change["label"], change["action"]) for change in review["changes"]] == [
        ("AC", "moved"),
        ("PC", "accepted"),
    ]
    assert review["changes"][0]["to_lps"] == [-1.0, -2.0, 3.0]
    np.testing.assert_allclose(review["changes"][0]["from_lps"], predicted * (-1, -1, 1))
    assert (folder / "head.planes.mrk.json").is_file()
    assert read_markups(folder / "head.mrk.json") == landmarks_from_node(detected)


def test_measurements_are_written_as_the_panel_shows_them(testbed, panel, head, module, export):
    landmarks = module.LandmarkDetectionLogic().detect(head, "tiny-restricted", device="cpu")
    panel.ui.landmarksSelector.setCurrentNode(landmarks)
    rows = list(csv.DictReader((export() / "measurements.csv").open()))
    table = panel.ui.measurementsTable
    assert [row["name"] for row in rows] == [table.item(row, 0).text() for row in range(table.rowCount)]
    assert table.item(0, 1).text() == f"{float(rows[0]['value']):.1f} ± {float(rows[0]['sd']):.1f} mm"
    landmarks.SetNthControlPointPositionWorld(0, (1.0, 2.0, 3.0))
    testbed.answers.append("Ok")
    moved = next(csv.DictReader((export() / "measurements.csv").open()))
    found = landmarks_from_node(landmarks)
    assert float(moved["value"]) == pytest.approx(np.linalg.norm(found["AC"] - found["PC"]), abs=1e-3)
    assert moved["sd"] == ""


def test_under_a_transform_everything_is_written_in_the_world(panel, detected, export, scene):
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[0, 3] = 100.0
    slicer.util.updateTransformMatrixFromArray(transform, matrix)
    detected.SetAndObserveTransformNodeID(transform.GetID())
    folder = export()
    now = landmarks_from_node(detected)["AC"]
    np.testing.assert_allclose(read_markups(folder / "head.mrk.json")["AC"], now)
    np.testing.assert_allclose(read_detection(folder / "head.detection.json")["AC"].position_ras, now)
    statuses = {row["status"] for row in csv.DictReader((folder / "results.csv").open())}
    assert statuses == {"detected"}


def test_a_case_of_the_same_name_is_replaced_only_if_the_user_agrees(testbed, panel, detected, export):
    folder = export()
    before = (folder / "results.csv").read_text()
    detected.SetNthControlPointPositionWorld(0, (1.0, 2.0, 3.0))
    testbed.answers.append("Cancel")
    export()
    assert testbed.messages == ["The folder holds a case head already. Replace it?"]
    assert (folder / "results.csv").read_text() == before
    testbed.answers.append("Ok")
    export()
    assert (folder / "results.csv").read_text() != before


def test_a_list_a_person_made_can_be_saved_but_is_no_case(panel, detected):
    by_hand = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "by hand")
    panel.ui.landmarksSelector.setCurrentNode(by_hand)
    assert panel.ui.saveLandmarksButton.enabled
    assert panel.ui.exportButton.toolTip == "Only detected landmarks can be added."
