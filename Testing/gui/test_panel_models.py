"""The models: their cards and licences, the window that manages them, and whether a volume looks like one for them."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
import slicer
from panel_actions import choose_model, detect, is_idle
from tiny_detector import write_tiny_bundle

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.models.bundle import load_bundle, load_card, save_bundle


@pytest.fixture
def own_models(tmp_path, monkeypatch):
    """Another folder of imported models than that of the other tests, which holds nothing yet."""
    monkeypatch.setenv("LANDMARK_DETECTION_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def dialog(panel, own_models):
    panel.ui.manageModelsButton.click()
    yield panel.input.models
    panel.input.models.window.close()


def choose_file(monkeypatch, path):
    monkeypatch.setattr("qt.QFileDialog.getOpenFileName", lambda *_arguments: str(path))


def names(dialog):
    table = dialog.ui.modelsTable
    return [table.item(row, 0).text() for row in range(table.rowCount)]


# The card


def test_the_card_is_one_line_with_the_licence_as_a_badge(panel):
    choose_model(panel, "brain-t1")
    assert panel.ui.modelCardLabel.text.startswith("brain · MRI, T1-weighted · 20 landmarks · ")
    assert panel.ui.modelCardLabel.text.endswith(" mm mean error")
    assert panel.ui.badgeLabel.text == "CC BY-SA 3.0"
    assert "not a medical device" in panel.ui.modelCardLabel.toolTip


def test_a_model_for_research_alone_says_so(panel):
    choose_model(panel, "tiny-restricted")
    assert panel.ui.badgeLabel.text == "research use only"
    assert panel.ui.badgeLabel.visible


def test_a_model_for_research_alone_asks_once_and_remembers(testbed, panel, head):
    choose_model(panel, "tiny-restricted")
    testbed.answers.append("Cancel")
    panel.ui.detectButton.click()
    assert is_idle(panel)
    assert testbed.messages == [
        "tiny-restricted is for research use only: the licence of its training data is CC0-1.0. Go on?"
    ]
    testbed.answers.append("Ok")
    detect(testbed, panel)
    detect(testbed, panel)
    assert len(testbed.messages) == 2
    assert panel.ui.landmarksTable.rowCount == 4


# The window that manages models


def test_the_window_lists_every_model_and_shows_its_card(panel, dialog):
    assert dialog.window.visible
    assert "brain-t1" in names(dialog)
    assert "mm mean error" in dialog.ui.cardLabel.text
    assert dialog.ui.removeButton.toolTip == "Only imported models can be removed."
    assert not dialog.ui.removeButton.enabled


def test_the_window_closes_and_opens_again(panel, dialog):
    dialog.ui.closeButton.click()
    assert not dialog.window.visible
    panel.ui.manageModelsButton.click()
    assert dialog.window.visible


def test_a_model_imported_from_a_file_is_chosen(panel, dialog, tmp_path, monkeypatch):
    bundle = write_tiny_bundle(tmp_path, "imported")
    choose_file(monkeypatch, shutil.make_archive(str(tmp_path / "imported"), "zip", bundle))
    dialog.ui.importFileButton.click()
    assert dialog.ui.resultLabel.text == "imported was imported."
    assert panel.ui.modelSelector.currentData == "imported"
    assert dialog.ui.removeButton.enabled


def import_folder(dialog, monkeypatch, bundle):
    monkeypatch.setattr("qt.QFileDialog.getExistingDirectory", lambda *_arguments: str(bundle))
    dialog.ui.importFolderButton.click()


def altered(bundle, version="1.0.0", method="pin", shift=0.0):
    """The bundle with another version, method or weights."""
    old = load_bundle(bundle)
    card = dataclasses.replace(old.card, version=version, method=method)
    save_bundle(bundle, card, {name: tensor + shift for name, tensor in old.tensors.items()})
    return bundle


def test_another_model_of_the_name_is_replaced_only_if_the_user_agrees(
    testbed, dialog, own_models, tmp_path, monkeypatch
):
    bundle = altered(write_tiny_bundle(tmp_path, "mine"), version="7.0.0")
    import_folder(dialog, monkeypatch, bundle)
    import_folder(dialog, monkeypatch, bundle)
    assert testbed.messages == []
    altered(bundle, version="8.0.0", shift=1.0)
    for answer, version in (("Cancel", "7.0.0"), ("Ok", "8.0.0")):
        testbed.answers.append(answer)
        import_folder(dialog, monkeypatch, bundle)
        assert testbed.messages.pop().startswith("Another model is named mine: version 7.0.0, ")
        assert load_card(own_models / "mine").version == version


def test_a_model_of_an_unknown_method_is_refused(testbed, dialog, own_models, tmp_path, monkeypatch):
    import_folder(dialog, monkeypatch, altered(write_tiny_bundle(tmp_path, "later"), method="future"))
    assert "The model later uses the method future, which this version lacks" in testbed.messages[0]
    assert isinstance(testbed.uncaught.pop(), LandmarkDetectionError)
    assert not (own_models / "later").exists()


def test_an_imported_model_can_be_checked_and_removed(testbed, panel, dialog, tmp_path, monkeypatch):
    own_models = tmp_path / "models"
    import_folder(dialog, monkeypatch, write_tiny_bundle(tmp_path, "imported"))
    dialog.ui.verifyButton.click()
    assert dialog.ui.resultLabel.text.startswith("imported is whole: its weights have the SHA-256 ")
    testbed.answers.append("Cancel")
    dialog.ui.removeButton.click()
    assert (own_models / "imported").is_dir()
    testbed.answers.append("Ok")
    dialog.ui.removeButton.click()
    assert not (own_models / "imported").exists()
    assert "imported" not in names(dialog)
    assert panel.ui.modelSelector.currentData != "imported"


def test_an_altered_model_is_found_out(testbed, dialog, own_models, tmp_path, monkeypatch):
    import_folder(dialog, monkeypatch, write_tiny_bundle(tmp_path))
    with (own_models / "tiny" / "weights.safetensors").open("ab") as weights:
        weights.write(b"!")
    dialog.ui.verifyButton.click()
    assert "SHA-256 differs" in testbed.messages[0]
    assert isinstance(testbed.uncaught.pop(), LandmarkDetectionError)


def test_a_file_that_is_no_model_is_refused(testbed, panel, dialog, tmp_path, monkeypatch):
    (tmp_path / "not-a-model.zip").write_text("nothing")
    choose_file(monkeypatch, tmp_path / "not-a-model.zip")
    dialog.ui.importFileButton.click()
    assert testbed.messages[0].startswith("The model was not imported.")
    assert isinstance(testbed.uncaught.pop(), LandmarkDetectionError)


def test_a_model_that_vanished_meanwhile_is_a_message(testbed, panel, head, own_models, tmp_path):
    write_tiny_bundle(own_models, "here")
    panel.enter()
    choose_model(panel, "here")
    shutil.rmtree(own_models / "here")
    panel.ui.detectButton.click()
    assert '"here" is not a model' in testbed.messages[0]
    assert isinstance(testbed.uncaught.pop(), LandmarkDetectionError)
    assert is_idle(panel)


# Whether the volume looks like one for the model


def test_a_volume_as_in_training_raises_no_doubt(panel, head):
    assert not panel.ui.doubtsLabel.visible


def test_another_field_of_view_is_doubtful_before_anything_is_detected(panel, head):
    head.SetSpacing(5.0, 2.0, 2.0)
    assert panel.ui.doubtsLabel.visible
    assert panel.ui.doubtsLabel.text.startswith("The field of view of 150 x 60 x 60 mm is unlike the 40 x 40 x 40 to ")
    assert panel.ui.detectButton.enabled, "it is a warning, not a refusal"
    head.SetSpacing(2.0, 2.0, 2.0)
    assert not panel.ui.doubtsLabel.visible


def test_ct_values_are_doubtful_to_a_model_for_mri(panel):
    voxels = np.full((80, 100, 80), -1000, np.int16)
    voxels[20:60, 20:80, 20:60] = 40
    slicer.util.addVolumeFromArray(voxels, ijkToRAS=np.diag([2.2, 2.3, 2.2, 1.0]), name="ct")
    choose_model(panel, "brain-t1")
    assert panel.ui.doubtsLabel.text == ("brain-t1 expects MRI, T1-weighted, but values as low as -1000 look like CT.")


def test_a_picture_cannot_be_given_to_a_model_for_volumes(panel):
    slicer.util.addVolumeFromArray(np.zeros((1, 30, 30)), name="photo")
    assert not panel.ui.detectButton.enabled
    assert "tiny works on volumes (3D), and this image has 30x30x1 voxels" in panel.ui.detectButton.toolTip
    assert panel.ui.doubtsLabel.text == panel.ui.detectButton.toolTip


def test_a_volume_without_voxels_cannot_be_used(panel, scene):
    scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    assert panel.ui.detectButton.toolTip == "The volume has no voxels: choose another one."
