"""The self-test of Landmark Training, as Slicer starts it: it passes, and it fails when what it tests is broken."""

from __future__ import annotations

import dataclasses
import os

import pytest
import slicer

from LandmarkDetectionLib.detectors.base import Detector
from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.models.registry import MODELS_FOLDER_VARIABLE

pytestmark = pytest.mark.usefixtures("scene", "training_module")


def test_it_passes(testbed):
    slicer.selfTests["LandmarkTraining"](msec=0)
    assert testbed.uncaught == []


def test_it_fails_with_a_broken_detector(monkeypatch):
    detect = Detector.detect

    def detect_elsewhere(self, volume, **options):
        detection = detect(self, volume, **options)
        moved = [dataclasses.replace(one, position_ras=one.position_ras + 30.0) for one in detection.landmarks]
        return dataclasses.replace(detection, landmarks=tuple(moved))

    monkeypatch.setattr(Detector, "detect", detect_elsewhere)
    monkeypatch.setenv(MODELS_FOLDER_VARIABLE, "the user's own")
    with pytest.raises(AssertionError, match="mm off"):
        slicer.selfTests["LandmarkTraining"](msec=0)
    assert os.environ[MODELS_FOLDER_VARIABLE] == "the user's own"


def test_it_fails_where_nothing_is_trained(training_module, monkeypatch):
    monkeypatch.setattr(training_module.LandmarkTrainingLogic, "run", lambda _self, _arguments: "")
    with pytest.raises(LandmarkDetectionError, match="spots-tuned"):
        slicer.selfTests["LandmarkTraining"](msec=0)
