"""Variants of a case differ in pose, size and look, and their landmarks stay on what they mark."""

from __future__ import annotations

import dataclasses
import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.geometry import apply_affine, direction_of, rotation_matrix
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.preprocessing import Preprocessing, canonical_volume
from LandmarkDetectionLib.training.augmentation import Augmentation, Augmenter
from LandmarkDetectionLib.volume import Volume

POSE = Augmentation(rotation_deg=20.0, mirror=True, scale=0.1, stretch=0.08, centre_shift_mm=3.0)
LOOK = Augmentation(gamma=0.4, noise=0.05, blur_mm=1.0, bias=0.3)
SIDE = 36
seeds = st.integers(0, 2**32 - 1)


def geometry(orientation="RAS", spacing_mm=(1.0, 1.0, 1.0), tilt=None):
    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3) if tilt is None else tilt) @ direction_of(orientation) * spacing_mm
    matrix[:3, 3] = (5.0, -12.0, 31.0)
    return matrix


def blob_case(size, ijk_to_ras, bright_ijk, dim_ijk, width_mm=2.5):
    """A bright blob at landmark A, a dim one at B."""
    k, j, i = np.indices(size[::-1])
    positions = apply_affine(ijk_to_ras, np.stack([i, j, k], axis=-1))
    a, b = apply_affine(ijk_to_ras, bright_ijk), apply_affine(ijk_to_ras, dim_ijk)
    squares = [((positions - centre) ** 2).sum(-1) for centre in (a, b)]
    voxels = 250 * np.exp(-squares[0] / (2 * width_mm**2)) + 90 * np.exp(-squares[1] / (2 * width_mm**2))
    return Volume(np.round(voxels).astype(np.uint8), ijk_to_ras), LandmarkSet({"A": a, "B": b, "C": None})


VOLUMES = {
    "as the model wants it": blob_case((SIDE, SIDE, SIDE), geometry(), (12, 20, 17), (24, 14, 20)),
    "stored in another order": blob_case((SIDE, 30, 34), geometry("PSL"), (12, 18, 17), (24, 12, 20)),
    "anisotropic": blob_case((24, SIDE, 18), geometry("LAS", (1.5, 1.0, 2.0)), (8, 20, 8), (16, 14, 11)),
    "oblique": blob_case(
        (SIDE, SIDE, SIDE), geometry(tilt=rotation_matrix((1, 2, 3), 20.0)), (12, 20, 17), (24, 14, 20)
    ),
}
PICTURES = {
    "axial": blob_case((40, SIDE, 1), geometry("LPS", (1.0, 1.0, 5.0)), (14, 20, 0), (26, 14, 0)),
    "anisotropic": blob_case((40, 24, 1), geometry("LPS", (1.0, 1.5, 1.0)), (14, 14, 0), (26, 9, 0)),
    "sagittal": blob_case((1, 40, SIDE), geometry("RAS", (4.0, 1.0, 1.0)), (0, 14, 20), (0, 26, 14)),
    "coronal": blob_case((40, 1, SIDE), geometry("RAS", (1.0, 3.0, 1.0)), (14, 0, 20), (26, 0, 14)),
    "oblique": blob_case(
        (40, SIDE, 1), geometry("PIR", tilt=rotation_matrix((1, 2, 3), 25.0)), (14, 20, 0), (26, 14, 0)
    ),
}


def augmenter(dimension, augmentation):
    return Augmenter(augmentation, Preprocessing("RAS" if dimension == 3 else "LPS", (1.0, 1.0, 1.0)), dimension)


def bright_blob_ras(variant):
    """Where the bright blob lies, found in the variant's voxels alone."""
    canonical = variant.canonical
    k, j, i = np.nonzero(variant.windowed > 0.6)
    weights = variant.windowed[k, j, i]
    centre_ijk = np.average(np.stack([i, j, k], axis=-1), axis=0, weights=weights)
    return apply_affine(canonical.frame_to_ras, (centre_ijk - canonical.origin_ijk) * canonical.spacing_mm)


def frame_positions(variant):
    return apply_affine(np.linalg.inv(variant.canonical.frame_to_ras), variant.landmarks.to_array(["A", "B"]))


@pytest.mark.parametrize("stored", VOLUMES)
@settings(max_examples=8)
@given(seeds)
def test_landmark_of_a_volume_stays_on_its_blob(stored, seed):
    variant = augmenter(3, POSE)(*VOLUMES[stored], np.random.default_rng(seed))
    assert np.linalg.norm(bright_blob_ras(variant) - variant.landmarks["A"]) < 0.5


@pytest.mark.parametrize("stored", PICTURES)
@settings(max_examples=12)
@given(seeds)
def test_landmark_of_a_picture_stays_on_its_blob(stored, seed):
    variant = augmenter(2, POSE)(*PICTURES[stored], np.random.default_rng(seed))
    assert variant.windowed.shape[0] == 1
    assert np.linalg.norm(bright_blob_ras(variant) - variant.landmarks["A"]) < 0.5


@pytest.mark.parametrize(("dimension", "cases"), [(3, VOLUMES), (2, PICTURES)])
def test_case_without_augmentation_is_what_a_detector_sees(dimension, cases):
    for volume, landmarks in cases.values():
        make = augmenter(dimension, Augmentation())
        variant = make(volume, landmarks, np.random.default_rng(0))
        seen = canonical_volume(volume, make.preprocessing)
        assert variant.canonical.window == seen.window
        np.testing.assert_allclose(variant.canonical.frame_to_ras, seen.frame_to_ras, atol=0.5)
        np.testing.assert_allclose(variant.landmarks.to_array(), landmarks.to_array(), atol=1e-9)
        assert (variant.windowed.min(), variant.windowed.max()) == (0.0, 1.0)


def in_plane_angle_deg(variant):
    """Direction from A to B in the plane of the model's first two axes."""
    a, b = frame_positions(variant)
    return np.degrees(np.arctan2(b[1] - a[1], b[0] - a[0]))


@pytest.mark.parametrize("stored", PICTURES)
def test_pictures_are_seen_at_every_angle_within_the_range(stored):
    make = augmenter(2, Augmentation(rotation_deg=30.0))
    still = in_plane_angle_deg(augmenter(2, Augmentation())(*PICTURES[stored], np.random.default_rng(0)))
    turns = [in_plane_angle_deg(make(*PICTURES[stored], np.random.default_rng(seed))) - still for seed in range(40)]
    assert np.abs(turns).max() <= 30.0 + 1e-6
    assert max(turns) > 20.0
    assert min(turns) < -20.0


def test_volumes_are_seen_turned_about_every_axis():
    make = augmenter(3, Augmentation(rotation_deg=25.0))
    volume, landmarks = VOLUMES["as the model wants it"]
    still = np.diff(frame_positions(augmenter(3, Augmentation())(volume, landmarks, np.random.default_rng(0))), axis=0)
    spread = np.array(
        [
            np.diff(frame_positions(make(volume, landmarks, np.random.default_rng(seed))), axis=0)[0]
            for seed in range(30)
        ]
    )
    np.testing.assert_allclose(np.linalg.norm(spread, axis=1), np.linalg.norm(still))
    assert np.all(spread.std(0) > 1.0)


@pytest.mark.parametrize(("dimension", "case"), [(3, VOLUMES["oblique"]), (2, PICTURES["axial"])])
def test_size_changes_within_the_range(dimension, case):
    make = augmenter(dimension, Augmentation(scale=0.2))
    length_mm = np.linalg.norm(case[1]["A"] - case[1]["B"])
    ratios = []
    for seed in range(30):
        a, b = frame_positions(make(*case, np.random.default_rng(seed)))
        ratios.append(np.linalg.norm(a - b) / length_mm)
    assert 0.8 <= min(ratios) < 0.85
    assert 1.15 < max(ratios) <= 1.2


@pytest.mark.parametrize(("dimension", "cases"), [(3, VOLUMES), (2, PICTURES)])
def test_landmarks_follow_what_is_bent(dimension, cases):
    make = augmenter(dimension, dataclasses.replace(POSE, elastic_mm=3.0, elastic_grid_mm=40.0))
    straight = augmenter(dimension, POSE)
    moved_mm = []
    for case, seed in itertools.product(cases.values(), range(6)):
        variant = make(*case, np.random.default_rng(seed))
        assert np.linalg.norm(bright_blob_ras(variant) - variant.landmarks["A"]) < 0.5
        assert variant.landmarks["C"] is None
        unbent = straight(*case, np.random.default_rng(seed))
        moved_mm.append(np.linalg.norm(variant.landmarks["A"] - unbent.landmarks["A"]))
    assert np.mean(moved_mm) > 0.8


def test_bending_needs_a_grid():
    with pytest.raises(LandmarkDetectionError, match="elastic_grid_mm must be above zero"):
        Augmentation(elastic_mm=2.0, elastic_grid_mm=0.0)


def test_a_picture_of_any_pixel_size_is_seen_at_the_size_of_its_foreground():
    picture, landmarks = PICTURES["anisotropic"]
    make = Augmenter(Augmentation(rotation_deg=30.0), Preprocessing("LPS", (1.0,) * 3, foreground_radius_mm=9.0), 2)
    larger = np.diag([1.7, 1.7, 1.7, 1.0])
    enlarged = Volume(picture.voxels, larger @ picture.ijk_to_ras), landmarks.transformed(larger)
    variant, same = (make(*case, np.random.default_rng(0)) for case in ((picture, landmarks), enlarged))
    np.testing.assert_allclose(same.windowed, variant.windowed, atol=1e-4)
    np.testing.assert_allclose(frame_positions(same), frame_positions(variant), atol=1e-6)
    assert np.linalg.norm(bright_blob_ras(same) - same.landmarks["A"]) < 0.5


def test_about_half_of_the_variants_are_mirror_images():
    make = augmenter(2, Augmentation(mirror=True))
    is_mirrored = []
    for seed in range(60):
        a, b = frame_positions(make(*PICTURES["axial"], np.random.default_rng(seed)))
        is_mirrored.append(b[0] < a[0])
    assert 18 <= sum(is_mirrored) <= 42


def test_centre_shift_moves_the_frame_but_neither_voxels_nor_landmarks():
    volume, landmarks = VOLUMES["as the model wants it"]
    make = augmenter(3, Augmentation(centre_shift_mm=4.0))
    variants = [make(volume, landmarks, np.random.default_rng(seed)) for seed in range(50)]
    origins = np.array([variant.canonical.frame_to_ras[:3, 3] for variant in variants])
    assert np.all((origins.std(0) > 2.5) & (origins.std(0) < 5.5))
    assert all(variant.landmarks == landmarks for variant in variants)
    flat = augmenter(2, Augmentation(centre_shift_mm=4.0))(*PICTURES["axial"], np.random.default_rng(0))
    assert flat.canonical.origin_ijk[2] == 0.0


def test_cropping_takes_no_more_than_the_slabs_and_leaves_landmarks_in_place():
    blob, landmarks = VOLUMES["stored in another order"]
    noise = np.random.default_rng(0).integers(0, 9, blob.voxels.shape, dtype=np.uint8)
    volume = Volume(np.maximum(blob.voxels, noise), blob.ijk_to_ras)
    slabs = (4.0, 0.0, 0.0, 6.0, 3.0, 3.0)
    variants = [
        augmenter(3, Augmentation(crop_mm=slabs))(volume, landmarks, np.random.default_rng(seed)) for seed in range(30)
    ]
    whole = np.array(volume.reoriented("RAS").size)
    lost = whole - [variant.canonical.voxels.shape[::-1] for variant in variants]
    np.testing.assert_array_equal(lost.min(0), [0, 0, 0])
    assert np.all(lost.max(0) <= [4, 6, 6])
    assert np.all(lost.max(0) >= [3, 5, 3])
    assert 8 <= (lost.sum(1) == 0).sum() <= 22
    for variant in variants:
        brightest_kji = np.unravel_index(np.argmax(variant.canonical.voxels), variant.canonical.voxels.shape)
        offset_mm = (np.array(brightest_kji[::-1]) - variant.canonical.origin_ijk) * variant.canonical.spacing_mm
        brightest_ras = apply_affine(variant.canonical.frame_to_ras, offset_mm)
        np.testing.assert_allclose(brightest_ras, variant.landmarks["A"], atol=1e-6)


def test_crop_needs_a_number_for_each_face():
    with pytest.raises(LandmarkDetectionError, match="crop_mm must be six numbers"):
        Augmentation(crop_mm=(1.0, 2.0))


@pytest.mark.parametrize(("dimension", "cases"), [(3, VOLUMES), (2, PICTURES)])
def test_a_share_of_the_variants_lacks_a_landmark_that_is_cut_off(dimension, cases):
    """Of two landmarks one goes; the other stays where its blob is."""
    volume, landmarks = next(iter(cases.values()))
    make = augmenter(dimension, Augmentation(cut_short=0.5))
    cut = 0
    for seed in range(30):
        variant = make(volume, landmarks, np.random.default_rng(seed))
        assert variant.landmarks == landmarks
        ijk = frame_positions(variant) / variant.canonical.spacing_mm + variant.canonical.origin_ijk
        has_a, has_b = np.all((ijk > -0.5) & (ijk < np.array(variant.canonical.voxels.shape[::-1]) - 0.5), axis=1)
        cut += not (has_a and has_b)
        assert has_a or has_b
        if has_a:
            np.testing.assert_allclose(bright_blob_ras(variant), landmarks["A"], atol=1.0)
    assert 9 <= cut <= 21


@pytest.mark.parametrize("share", ["cut_short", "skull_strip", "deface", "tone", "jpeg"])
def test_a_share_of_the_variants_is_a_share(share):
    with pytest.raises(LandmarkDetectionError, match=f"{share} must lie between 0 and 1"):
        Augmentation(**{share: 1.5})


@pytest.mark.parametrize(("dimension", "cases"), [(3, VOLUMES), (2, PICTURES)])
def test_look_changes_within_the_window_and_nothing_moves(dimension, cases):
    make = augmenter(dimension, LOOK)
    volume, landmarks = next(iter(cases.values()))
    variants = [make(volume, landmarks, np.random.default_rng(seed)) for seed in range(12)]
    plain = augmenter(dimension, Augmentation())(volume, landmarks, np.random.default_rng(0))
    for variant in variants:
        assert variant.windowed.shape == plain.windowed.shape
        assert 0.0 <= variant.windowed.min() <= variant.windowed.max() <= 1.0
        assert variant.landmarks == landmarks
        np.testing.assert_array_equal(variant.canonical.frame_to_ras, plain.canonical.frame_to_ras)
    assert np.mean([np.abs(variant.windowed - plain.windowed).mean() for variant in variants]) > 0.003


def test_blurring_a_picture_does_not_darken_it():
    bright_half = np.full((1, 40, 40), 200, np.uint8)
    bright_half[:, :, 20:] = 0
    case = Volume(bright_half, geometry("LPS")), LandmarkSet({"A": None})
    make = augmenter(2, Augmentation(blur_mm=3.0))
    middles = [make(*case, np.random.default_rng(seed)).windowed[0, 20] for seed in range(30)]
    assert max(row[19] for row in middles) == 1.0
    assert min(row[19] for row in middles) < 0.95, "some must be blurred across the edge"
    # Right of the border of the picture and far from the edge every pixel is as bright as before.
    assert all(row[10] > 0.99 for row in middles)


def test_same_random_state_gives_the_same_variant_on_any_thread():
    make = augmenter(3, Augmentation(rotation_deg=20.0, gamma=0.4, noise=0.1, blur_mm=1.0, bias=0.3))
    cases = [VOLUMES["as the model wants it"], VOLUMES["anisotropic"]] * 8

    def variant(index):
        return make(*cases[index], np.random.default_rng(index)).windowed

    one_by_one = [variant(index) for index in range(len(cases))]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(variant, range(len(cases))))
    for first, second in zip(one_by_one, together, strict=True):
        np.testing.assert_array_equal(first, second)


def test_missing_landmark_stays_missing():
    variant = augmenter(3, POSE)(*VOLUMES["oblique"], np.random.default_rng(0))
    assert variant.landmarks["C"] is None
