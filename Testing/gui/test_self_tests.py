"""The modules' self-tests, as Slicer starts them: they pass, and they fail when what they test is broken."""

from __future__ import annotations

import dataclasses

import pytest
import slicer

from LandmarkDetectionLib.detectors.base import Detector
from LandmarkDetectionLib.errors import LandmarkDetectionError

pytestmark = pytest.mark.usefixtures("scene")

_FAR_MM = 30.0


@pytest.fixture
def broken_detector(monkeypatch):
    """Every detector of this process says that everything is further to the left."""
    detect = Detector.detect

    def detect_elsewhere(self, volume, **options):
        detection = detect(self, volume, **options)
        moved = [
            dataclasses.replace(one, position_ras=one.position_ras - [_FAR_MM, 0.0, 0.0]) for one in detection.landmarks
        ]
        return dataclasses.replace(detection, landmarks=tuple(moved))

    monkeypatch.setattr(Detector, "detect", detect_elsewhere)


class TestLandmarkDetection:
    @pytest.fixture
    def self_test(self, module):
        return module.LandmarkDetectionTest()

    @pytest.mark.usefixtures("module")
    def test_it_passes(self, testbed):
        slicer.selfTests["LandmarkDetection"](msec=0)
        assert testbed.uncaught == []

    @pytest.mark.usefixtures("module", "broken_detector")
    def test_it_fails_with_a_broken_detector(self):
        with pytest.raises(AssertionError, match="mm off"):
            slicer.selfTests["LandmarkDetection"](msec=0)

    def test_it_fails_where_a_click_starts_nothing(self, module, self_test, monkeypatch):
        monkeypatch.setattr(module.LandmarkDetectionWidget, "_on_detect", lambda _self: None)
        self_test.setUp()
        with pytest.raises(AssertionError, match="nothing was detected"):
            self_test.test_the_panel_finds_the_spots()

    def test_it_fails_without_its_model(self, module, self_test, monkeypatch):
        monkeypatch.setattr(module, "SPOTS_MODEL", "absent")
        with pytest.raises(LandmarkDetectionError, match="absent"):
            self_test.runTest()
