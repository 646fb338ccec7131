"""Likeness of pictures on planes, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from test_evaluation_derived import AXIAL, INCOMPLETE, RAISED, TRUTH

from LandmarkDetectionLib.evaluation.plane_images import image_similarity, plane_image_similarities
from LandmarkDetectionLib.volume import Volume

SHEARED = np.fromfunction(lambda k, j, i: 3.0 * k + i + 0.5 * j, (60, 80, 80))
GRID = np.diag([2.0, 2.0, 2.0, 1.0])
GRID[:3, 3] = -80.0, -20.0, -60.0
VOLUME = Volume(SHEARED.astype(np.float32), GRID)


def test_a_picture_is_like_itself():
    picture = np.random.default_rng(0).uniform(size=(40, 30))
    likeness = image_similarity(picture, picture)
    assert (likeness.mse, likeness.psnr_db, likeness.ssim) == (0.0, pytest.approx(100.0), pytest.approx(1.0))


def test_two_even_greys_by_hand():
    """The structure of both is nothing: (2ab + C1) / (a2 + b2 + C1) remains."""
    likeness = image_similarity(np.full((20, 20), 0.2), np.full((20, 20), 0.5))
    assert likeness.mse == pytest.approx(0.09)
    assert likeness.psnr_db == pytest.approx(-10.0 * np.log10(0.09))
    assert likeness.ssim == pytest.approx((0.2 + 1e-4) / (0.29 + 1e-4))


def test_a_negative_has_the_opposite_structure():
    picture = np.random.default_rng(0).uniform(size=(40, 40))
    assert image_similarity(picture, 1.0 - picture).ssim < -0.5


def test_a_plane_in_its_place_shows_the_same_picture():
    likeness = plane_image_similarities(VOLUME, [AXIAL], TRUTH, TRUTH)["axial"]
    assert (likeness.mse, likeness.ssim) == (0.0, pytest.approx(1.0))


def test_a_plane_that_lies_higher_shows_another():
    likeness = plane_image_similarities(VOLUME, [AXIAL], TRUTH, RAISED)["axial"]
    assert 0.0 < likeness.mse < 0.05
    assert likeness.psnr_db == pytest.approx(-10.0 * np.log10(likeness.mse))


def test_a_plane_that_is_not_defined_has_no_picture():
    assert plane_image_similarities(VOLUME, [AXIAL], TRUTH, INCOMPLETE) == {}


def test_a_picture_is_its_own_plane():
    assert plane_image_similarities(Volume(SHEARED[:1], GRID), [AXIAL], TRUTH, RAISED) == {}
