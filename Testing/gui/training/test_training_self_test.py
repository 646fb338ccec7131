"""The self-test of Landmark Training, as Slicer starts it: it passes, and it fails when what it tests is broken."""

from __future__ import annotations

import dataclasses

import pytest
import slicer

from LandmarkDetectionLib.detectors.base import Detector
from LandmarkDetectionLib.errors import LandmarkDetectionError

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
    with pytest.raises(AssertionError, match="mm off"):
        slicer.selfTests["LandmarkTraining"](msec=0)


def test_it_fails_where_nothing_is_trained(training_module, monkeypatch):
    monkeypatch.setattr(training_module.LandmarkTrainingLogic, "run", lambda _self, _arguments: "")
    with pytest.raises(LandmarkDetectionError, match="blobs"):
        slicer.selfTests["LandmarkTraining"](msec=0)
