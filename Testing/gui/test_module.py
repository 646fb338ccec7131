"""What Slicer and scripts see of the module besides its panel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import slicer
from panel_actions import choose_model
from tiny_detector import write_tiny_bundle

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.models.bundle import load_bundle, save_bundle
from LandmarkDetectionLib.models.registry import list_models
from LandmarkDetectionLib.mrml import detection_of

SELF_TEST_MODEL_IS_SHIPPED = any(card.name == "fetal-phantom-3d" for card in list_models())


@pytest.mark.usefixtures("testbed")
def test_loading_the_module_needs_no_torch(repository_root):
    """Neither does opening its panel: packages are installed at the first detection, if the user agrees."""
    program = """
import sys, testbed
bed = testbed.Testbed()
bed.open_panel(bed.load_module(__import__("pathlib").Path(sys.argv[1])))
print(sorted({"torch", "safetensors", "matplotlib", "scipy", "sklearn"} & set(sys.modules)))
"""
    path = repository_root / "LandmarkDetection" / "LandmarkDetection.py"
    finished = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    assert finished.stdout.splitlines()[-1] == "[]"


def test_the_module_introduces_itself(module):
    description = slicer.modules.landmarkdetection
    assert description.title == "Landmark Detection"
    assert description.categories == ["Quantification"]
    assert "not a medical device" in description.helpText


@pytest.mark.skipif(not SELF_TEST_MODEL_IS_SHIPPED, reason="Without shipped models there are no samples.")
def test_every_sample_is_in_the_module_sample_data_and_fits_its_model(testbed, panel, module):
    """Three clicks: the sample, the module, Detect landmarks."""
    testbed.application.emit("startupCompleted()")
    sources = slicer.modules.sampleDataSources["Landmark Detection"]
    assert "brain-t1" in [source.sampleName for source in sources]
    for source in sources:
        (node,) = source.customDownloader(source)
        assert node.GetName() == source.sampleName
        panel.ui.volumeSelector.setCurrentNode(node)
        choose_model(panel, source.sampleName)
        assert panel.ui.detectButton.enabled
        assert not panel.ui.doubtsLabel.visible


def test_a_script_can_watch_a_detection(panel, head, module):
    seen = []
    module.LandmarkDetectionLogic().detect(head, "tiny", device="cpu", progress=lambda *step: seen.append(step))
    assert seen[0] == (0.0, "Preparing the volume")
    assert seen[-1] == (1.0, "Done")


def test_a_script_can_ask_several_models_at_once(panel, head, module, tmp_path, monkeypatch):
    monkeypatch.setenv("LANDMARK_DETECTION_MODELS", str(tmp_path))
    bundle = load_bundle(write_tiny_bundle(tmp_path, "other"))
    save_bundle(bundle.folder, bundle.card, {name: 1.01 * tensor for name, tensor in bundle.tensors.items()})
    landmarks = module.LandmarkDetectionLogic().detect(head, [write_tiny_bundle(tmp_path), "other"], device="cpu")
    assert landmarks.GetName() == "head tiny+other"
    assert detection_of(landmarks).model_names == ("tiny", "other")
    panel.ui.landmarksSelector.setCurrentNode(landmarks)
    assert panel.ui.planeSelector.itemText(0) == "axial"


def test_a_script_gets_an_error_it_can_show(panel, head, module):
    with pytest.raises(LandmarkDetectionError, match=r'"tinny" is not a model.*did you mean "tiny"'):
        module.LandmarkDetectionLogic().detect(head, "tinny")
