"""Heads without skull or face, or with another scalp: the brain and all landmarks stay as they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from LandmarkDetectionLib.geometry import apply_affine, direction_of
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.preprocessing import Preprocessing
from LandmarkDetectionLib.training.augmentation import Augmentation, Augmenter
from LandmarkDetectionLib.training.bared_head import with_other_scalp, without_face, without_skull
from LandmarkDetectionLib.volume import Volume

SIDE, BRAIN_MM, SKULL_MM, SCALP_MM = 60, 50.0, 62.0, 70.0


def head(orientation):
    """A bright ball (brain) in a dark shell (skull) in a bright one (scalp), in voxels of 3 mm; landmarks."""
    matrix = np.eye(4)
    matrix[:3, :3] = direction_of(orientation) * 3.0
    matrix[:3, 3] = -matrix[:3, :3] @ np.full(3, (SIDE - 1) / 2) + (4.0, 10.0, -20.0)
    k, j, i = np.indices((SIDE, SIDE, SIDE))
    positions = apply_affine(matrix, np.stack([i, j, k], axis=-1).reshape(-1, 3)).reshape(SIDE, SIDE, SIDE, 3)
    centre = np.array([4.0, 10.0, -20.0])
    distances = np.linalg.norm(positions - centre, axis=-1)
    voxels = np.select([distances < BRAIN_MM, distances < SKULL_MM, distances < SCALP_MM], [200, 20, 220], 5)
    landmarks = LandmarkSet({"A": np.add(centre, [10, 0, 0]), "B": np.subtract(centre, [8, 9, 4]), "C": None})
    return Volume(voxels.astype(np.uint8), matrix), landmarks, positions - centre, distances


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), orientation=st.sampled_from(["RAS", "PSR", "LIP"]))
def test_a_head_without_its_skull_keeps_the_brain_and_nothing_of_the_scalp(seed, orientation):
    volume, landmarks, _, distances = head(orientation)
    bared = without_skull(volume, landmarks, np.random.default_rng(seed))
    np.testing.assert_array_equal(bared.voxels[distances < BRAIN_MM - 6], 200)
    np.testing.assert_array_equal(bared.voxels[distances >= SKULL_MM], 5)
    np.testing.assert_array_equal(bared.ijk_to_ras, volume.ijk_to_ras)


def test_a_volume_that_shows_no_landmark_keeps_its_skull():
    volume, landmarks, _, _ = head("RAS")
    elsewhere = LandmarkSet(dict.fromkeys(landmarks, (500.0, 0.0, 0.0)))
    bared = without_skull(volume, elsewhere, np.random.default_rng(0))
    np.testing.assert_array_equal(bared.voxels, volume.voxels)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), orientation=st.sampled_from(["RAS", "PSR", "LIP"]))
def test_another_scalp_is_brighter_or_darker_by_one_factor_and_the_brain_as_it_was(seed, orientation):
    volume, landmarks, _, distances = head(orientation)
    changed = with_other_scalp(volume, landmarks, np.random.default_rng(seed), strongest=0.7)
    np.testing.assert_array_equal(changed.voxels[distances < BRAIN_MM - 6], 200)
    np.testing.assert_array_equal(changed.voxels[distances >= SCALP_MM], 5)
    fat = np.unique(changed.voxels[(distances >= SKULL_MM) & (distances < SCALP_MM)])
    assert len(fat) == 1
    assert np.exp(-0.35) <= (fat[0] - 5) / (220 - 5) <= np.exp(0.7)


def test_half_of_the_heads_have_another_scalp_where_the_recipe_says_so():
    volume, landmarks, _, _ = head("RAS")
    make = Augmenter(Augmentation(scalp=0.7), Preprocessing("RAS", (3.0, 3.0, 3.0)), 3)
    plain = Augmenter(Augmentation(), make.preprocessing, 3)(volume, landmarks, np.random.default_rng(0))
    drawn = [make(volume, landmarks, np.random.default_rng(seed)) for seed in range(16)]
    assert 4 <= sum(not np.allclose(variant.windowed, plain.windowed, atol=1e-3) for variant in drawn) <= 12


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), orientation=st.sampled_from(["RAS", "PSR", "LIP"]))
def test_a_head_without_its_face_is_black_in_front_below_and_whole_behind_above(seed, orientation):
    volume, landmarks, offsets, _ = head(orientation)
    bared = without_face(volume, landmarks, np.random.default_rng(seed))
    is_changed = bared.voxels != volume.voxels
    assert is_changed.any()
    np.testing.assert_array_equal(bared.voxels[is_changed], 5)
    forward, up = offsets[..., 1], offsets[..., 2]
    assert not is_changed[(forward < 0) & (up > 0)].any()
    nearest = np.abs(offsets - (10, 0, 0)).sum(-1).argmin()
    assert not is_changed.flat[nearest]


@pytest.mark.parametrize("share", ["skull_strip", "deface"])
def test_as_many_variants_are_bared_as_the_recipe_says(share):
    volume, landmarks, _, _ = head("RAS")
    make = Augmenter(Augmentation(**{share: 0.5}), Preprocessing("RAS", (3.0, 3.0, 3.0)), 3)
    drawn = [make(volume, landmarks, np.random.default_rng(seed)) for seed in range(16)]
    bright = np.array([(variant.windowed > 0.5).sum() for variant in drawn])
    assert 4 <= (bright < 0.99 * bright.max()).sum() <= 12
