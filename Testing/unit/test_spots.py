"""The tiny model of the self-tests finds the spots, is small, and is offered to nobody."""

from __future__ import annotations

import numpy as np
import pytest

from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.models.bundle import load_bundle
from LandmarkDetectionLib.models.registry import list_models
from LandmarkDetectionLib.spots import SPOTS, SPOTS_MODEL, spots_case, spots_models_folder


@pytest.fixture(scope="module")
def bundle():
    return load_bundle(spots_models_folder() / SPOTS_MODEL)


@pytest.mark.parametrize("seed", range(4))
def test_it_finds_spots_it_has_never_seen(bundle, seed):
    volume, truth = spots_case(seed)
    found = load_detector(bundle, "cpu").detect(volume).landmark_set
    errors_mm = np.linalg.norm(found.to_array(SPOTS) - truth.to_array(SPOTS), axis=1)
    assert errors_mm.max() < 0.5


def test_the_spots_are_where_the_truth_says():
    volume, truth = spots_case(seed=4)
    brightest = np.array(np.unravel_index(volume.voxels.argmax(), volume.voxels.shape))[::-1]
    np.testing.assert_allclose(brightest, truth["bright"], atol=1.0)


def test_it_is_small_and_says_what_it_is(bundle):
    assert sum(file.stat().st_size for file in bundle.folder.iterdir()) < 100_000
    assert bundle.card.licence == "Apache-2.0"
    assert bundle.card.training.data == "Testing/spots_model.py"
    assert "self-tests" in bundle.card.limitations


def test_no_user_is_offered_it():
    assert SPOTS_MODEL not in [card.name for card in list_models()]
