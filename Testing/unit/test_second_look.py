"""Where landmarks seem missing, a detector looks again with other windows of intensities, and keeps its surest look."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from tiny_models import TINY_CARD, TINY_TENSORS

from LandmarkDetectionLib.detectors.base import Detector, Located
from LandmarkDetectionLib.models.bundle import ModelBundle
from LandmarkDetectionLib.models.card import ModelCard
from LandmarkDetectionLib.volume import Volume

FIRST, SECOND, THIRD = 99.0, 90.0, 80.0
CARD = ModelCard.from_json(TINY_CARD | {"calibration": None})


@dataclass(frozen=True)
class NoSettings:
    """It has none."""


class WindowedDetector(Detector):
    """Sees each landmark as well as `logits` says of each look in turn, and remembers the windows."""

    inference_settings = NoSettings

    def __init__(self, logits, percentiles):
        preprocessing = replace(CARD.preprocessing, second_look_percentiles=percentiles)
        bundle = ModelBundle(replace(CARD, preprocessing=preprocessing), TINY_TENSORS, None, "ab" * 32)
        super().__init__(bundle, torch.device("cpu"))
        self.logits, self.windows = logits, []

    def _locate(self, canonical, progress, cancelled, generator):  # noqa: ARG002 - the interface's
        self.windows.append(canonical.window)
        progress(0.5, "Looking")
        count = len(self.card.landmarks)
        logits = np.array(self.logits[len(self.windows) - 1])
        return Located(np.zeros((count, 3)), np.tile(np.eye(3), (count, 1, 1)), None, logits)


def ramp():
    voxels = np.arange(40**3, dtype=np.float32).reshape(40, 40, 40)
    return Volume(voxels, np.diag([6.0, 6.0, 6.0, 1.0]))


def evidence(detection):
    """Of the landmarks in turn, which tells of what look they are."""
    return [mark.evidence for mark in detection.landmarks]


def test_one_look_is_enough_where_no_landmark_is_missing():
    detector = WindowedDetector([(2.0, 3.0, 1.0)], (SECOND,))
    assert evidence(detector.detect(ramp())) == [2.0, 3.0, 1.0]
    assert len(detector.windows) == 1


def test_a_second_look_is_taken_with_its_own_window_and_kept_where_it_misses_nothing():
    detector = WindowedDetector([(2.0, 3.0, -1.0), (1.0, 1.5, 0.5), (9.0, 9.0, 9.0)], (SECOND, THIRD))
    detection = detector.detect(ramp())
    assert evidence(detection) == [1.0, 1.5, 0.5]
    assert not any(mark.missing for mark in detection.landmarks)
    (_, first), (_, second) = detector.windows
    brightest = 40**3 - 1
    np.testing.assert_allclose([first, second], [FIRST / 100 * brightest, SECOND / 100 * brightest], rtol=0.01)


@pytest.mark.parametrize(("second", "kept"), [((1.0, 1.0, -2.0), "first"), ((3.0, 3.0, -0.5), "second")])
def test_where_every_look_misses_one_the_surest_is_kept(second, kept):
    looks = {"first": (2.0, 3.0, -1.0), "second": second}
    detection = WindowedDetector(list(looks.values()), (SECOND,)).detect(ramp())
    assert evidence(detection) == list(looks[kept])
    assert [mark.missing for mark in detection.landmarks] == [False, False, True]


def test_progress_never_goes_back_and_ends():
    steps = []
    detector = WindowedDetector([(2.0, 3.0, -1.0), (1.0, 1.0, 1.0)], (SECOND,))
    detector.detect(ramp(), progress=lambda done, _text: steps.append(done))
    assert steps == sorted(steps)
    assert steps[-1] == 1.0


def test_a_model_without_further_windows_looks_once():
    detector = WindowedDetector([(-2.0, -3.0, -1.0)], ())
    assert all(mark.missing for mark in detector.detect(ramp()).landmarks)
    assert len(detector.windows) == 1
