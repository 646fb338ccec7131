"""Volumes are cut short so that a known part of their landmarks is gone, and nothing else moves."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from LandmarkDetectionLib.evaluation.cropping import cut_short
from LandmarkDetectionLib.geometry import apply_affine, rotation_matrix
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.volume import Volume

SIZE = (20, 14, 9)
IJK_TO_RAS = np.eye(4)
IJK_TO_RAS[:3, :3] = rotation_matrix((1.0, 2.0, 0.5), 25.0) * (1.0, 2.0, 3.0)
IJK_TO_RAS[:3, 3] = 40.0, -7.0, 12.0
VOLUME = Volume(np.arange(np.prod(SIZE), dtype=np.int32).reshape(SIZE[::-1]), IJK_TO_RAS)
PICTURE = Volume(VOLUME.voxels[:1], IJK_TO_RAS)


def landmarks_at(ijk):
    return LandmarkSet.from_array([str(index) for index in range(len(ijk))], apply_affine(IJK_TO_RAS, ijk))


def cut(volume, landmarks, seed):
    return cut_short(volume, landmarks, np.random.default_rng(seed))


@given(st.integers(3, 20), st.integers(0, 999))
def test_a_fifth_to_three_fifths_of_the_landmarks_are_cut_off(count, seed):
    generator = np.random.default_rng(seed)
    landmarks = landmarks_at(generator.uniform(-0.5, np.array(SIZE) - 0.5, (count, 3)))
    rest = cut(VOLUME, landmarks, seed)
    gone = (~rest.contains(landmarks.to_array())).sum()
    assert 0.2 * count <= gone <= 0.6 * count
    assert sum(before != after for before, after in zip(VOLUME.size, rest.size, strict=True)) == 1
    assert min(rest.size) >= 2


def test_what_is_left_lies_where_it_lay():
    for seed in range(20):
        rest = cut(VOLUME, landmarks_at([[4, 5, 3], [9, 2, 7], [15, 11, 1]]), seed)
        first_ijk = apply_affine(np.linalg.inv(VOLUME.ijk_to_ras), apply_affine(rest.ijk_to_ras, np.zeros(3)))
        i, j, k = np.rint(first_ijk).astype(int)
        assert rest.voxels[0, 0, 0] == VOLUME.voxels[k, j, i]
        np.testing.assert_allclose(first_ijk, [i, j, k], atol=1e-9)


def test_every_face_is_cut_now_and_then():
    landmarks = landmarks_at([[4, 5, 3], [9, 2, 7], [15, 11, 1], [1, 7, 5]])
    sizes = {cut(VOLUME, landmarks, seed).size for seed in range(60)}
    begins = {tuple(cut(VOLUME, landmarks, seed).ijk_to_ras[:3, 3]) for seed in range(60)}
    assert {tuple(np.flatnonzero(np.array(size) < SIZE)) for size in sizes} == {(0,), (1,), (2,)}
    assert tuple(IJK_TO_RAS[:3, 3]) in begins
    assert len(begins) > 3


def test_a_picture_is_cut_in_its_plane():
    landmarks = landmarks_at([[4, 5, 0], [9, 2, 0], [15, 11, 0]])
    assert all(cut(PICTURE, landmarks, seed).size[2] == 1 for seed in range(20))


def test_the_only_landmark_is_cut_off():
    landmarks = LandmarkSet({**landmarks_at([[4, 5, 3]]), "unknown": None})
    assert not cut(VOLUME, landmarks, 0).contains(landmarks.to_array(["0"])).any()


def test_landmarks_that_no_cut_parts_stay_together():
    together = landmarks_at([[4, 5, 3]] * 5)
    assert cut(VOLUME, together, 0) is None
    assert cut(VOLUME, LandmarkSet({"unknown": None}), 0) is None


def test_the_same_seed_gives_the_same_cut():
    landmarks = landmarks_at([[4, 5, 3], [9, 2, 7], [15, 11, 1]])
    assert cut(VOLUME, landmarks, 5).size == cut(VOLUME, landmarks, 5).size
