"""Phantoms are repeatable, varied like fetal heads, and show in their voxels what their landmarks claim."""

from __future__ import annotations

import json

import numpy as np
import pytest

from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.geometry import apply_affine, fit_plane, orientation_of
from LandmarkDetectionLib.phantom import (
    MAXIMUM_ROTATION_DEG,
    MAXIMUM_SHIFT_MM,
    PHANTOM_LANDMARKS,
    generate_phantom,
    phantom_landmarks,
    write_phantom_dataset,
)
from LandmarkDetectionLib.phantom.anatomy import random_head

LABELS = (
    "centerHead",
    "frontHead",
    "backHead",
    "rightHead",
    "leftHead",
    "rightVentInner",
    "rightVentOuter",
    "rightCerebellar",
    "leftCerebellar",
    "CSP",
)
TRANSVENTRICULAR = (*LABELS[:7], "CSP")
SKULL = LABELS[1:5]
SEEDS = range(60)
SEEN_SEEDS = range(8)


@pytest.fixture(scope="module")
def shapes():
    """Landmarks (60, 10, 3) of as many phantoms."""
    return np.array([phantom_landmarks(seed).to_array(LABELS) for seed in SEEDS])


@pytest.fixture(scope="module")
def phantoms():
    return [generate_phantom(seed, 1.0) for seed in SEEN_SEEDS]


@pytest.fixture(scope="module")
def full_size():
    return generate_phantom(0)


def distances(shapes, first, second):
    difference = shapes[:, LABELS.index(first)] - shapes[:, LABELS.index(second)]
    return np.linalg.norm(difference, axis=-1)


def brightness(volume, point_ras, radius_mm=1.6):
    """Mean grey value around a point."""
    steps = np.stack(np.meshgrid(*3 * [np.linspace(-radius_mm, radius_mm, 5)]), axis=-1).reshape(-1, 3)
    ball = point_ras + steps[np.linalg.norm(steps, axis=1) <= radius_mm]
    ijk = np.rint(apply_affine(np.linalg.inv(volume.ijk_to_ras), ball)).astype(int)
    return volume.voxels[tuple(ijk[:, ::-1].T)].mean()


def in_head(seed, point_ras):
    return apply_affine(np.linalg.inv(random_head(seed).head_to_ras), point_ras)


def test_labels_are_the_ten_of_the_paper_with_their_sides():
    assert tuple(definition.label for definition in PHANTOM_LANDMARKS) == LABELS
    assert tuple(phantom_landmarks(0)) == LABELS
    for definition in PHANTOM_LANDMARKS:
        named = next((side for side in ("left", "right") if definition.label.startswith(side)), "")
        assert definition.side == named
        assert len(definition.description) > 20


def test_a_seed_gives_the_same_phantom_again_and_another_seed_another(phantoms):
    again = generate_phantom(3, 1.0)
    np.testing.assert_array_equal(again.volume.voxels, phantoms[3].volume.voxels)
    assert again.landmarks == phantoms[3].landmarks
    assert not np.array_equal(phantoms[4].volume.voxels, phantoms[3].volume.voxels)
    assert phantoms[4].landmarks != phantoms[3].landmarks


def test_full_size_is_the_grid_of_the_paper_centred_on_the_world(full_size):
    volume = full_size.volume
    assert volume.size == (324, 207, 279)
    assert volume.voxels.dtype == np.uint8
    assert orientation_of(volume.ijk_to_ras) == "PRS"
    assert np.linalg.det(volume.ijk_to_ras[:3, :3]) == pytest.approx(0.5**3)
    np.testing.assert_allclose(volume.centre_ras, 0.0, atol=1e-9)


def test_spacing_changes_neither_the_landmarks_nor_the_scene(full_size, phantoms):
    fine, coarse = full_size.volume, phantoms[0].volume
    assert full_size.landmarks == phantoms[0].landmarks == phantom_landmarks(0)
    np.testing.assert_allclose(coarse.spacing_mm, 1.0)
    np.testing.assert_allclose(np.array(coarse.size), np.array(fine.size) / 2, atol=0.5)
    blocks = [volume.resampled((3.0, 3.0, 3.0)).voxels.ravel() for volume in (fine, coarse)]
    assert np.corrcoef(blocks)[0, 1] > 0.9


def test_landmarks_of_the_transventricular_plane_are_exactly_coplanar():
    for seed in SEEDS:
        points = phantom_landmarks(seed).to_array(TRANSVENTRICULAR)
        centroid, normal = fit_plane(points)
        np.testing.assert_allclose((points - centroid) @ normal, 0.0, atol=1e-9)


def test_transcerebellar_plane_falls_backwards_from_the_cavum_by_15_to_30_degrees():
    for seed in SEEDS:
        cavum, right, left = in_head(seed, phantom_landmarks(seed).to_array(["CSP", *LABELS[7:9]]))
        back = (right + left) / 2 - cavum
        assert 14.0 < np.rad2deg(np.arctan2(-back[2], -back[1])) < 31.0


def test_centre_of_the_head_is_half_way_between_front_and_back(shapes):
    np.testing.assert_allclose(
        distances(shapes, "centerHead", "frontHead"), distances(shapes, "centerHead", "backHead")
    )


@pytest.mark.parametrize(
    ("ends", "limits_mm", "mean_mm"),
    [
        (("rightHead", "leftHead"), (44.0, 64.0), (50.0, 57.0)),
        (("frontHead", "backHead"), (57.0, 80.0), (64.0, 72.0)),
        (("rightCerebellar", "leftCerebellar"), (18.5, 27.0), (21.5, 24.0)),
        (("rightVentInner", "rightVentOuter"), (5.0, 8.0), (6.0, 7.0)),
    ],
)
def test_sizes_are_those_of_20_to_24_weeks(shapes, ends, limits_mm, mean_mm):
    sizes = distances(shapes, *ends)
    assert limits_mm[0] <= sizes.min()
    assert sizes.max() <= limits_mm[1]
    assert mean_mm[0] < sizes.mean() < mean_mm[1]
    assert sizes.std() > 0.05 * sizes.mean()


def test_no_skull_point_lies_beyond_the_widest_ones():
    for seed in SEEDS:
        head = random_head(seed)
        forward = np.linspace(-1.0, 1.0, 4001)
        for label, half, taper in (
            ("rightHead", head.right_mm, head.taper_right),
            ("leftHead", head.left_mm, head.taper_left),
        ):
            widest = np.abs(in_head(seed, head.landmarks()[label])[0])
            assert widest == pytest.approx((half * (1.0 - taper * forward) * np.sqrt(1.0 - forward**2)).max(), abs=1e-4)


def test_poses_fill_their_limits_and_keep_them():
    poses = np.array([random_head(seed).head_to_ras for seed in SEEDS])
    rotation = poses[:, :3, :3]
    angles_deg = np.rad2deg(
        [
            np.arctan2(rotation[:, 2, 1], rotation[:, 2, 2]),
            -np.arcsin(rotation[:, 2, 0]),
            np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0]),
        ]
    )
    for values, limit in ((angles_deg.T, MAXIMUM_ROTATION_DEG), (poses[:, :3, 3], MAXIMUM_SHIFT_MM)):
        assert np.abs(values).max() <= limit
        assert (np.abs(values).max(axis=0) > 0.9 * limit).all()


def test_guessing_without_looking_misses_by_far(shapes):
    mean_position = np.linalg.norm(shapes - shapes.mean(axis=0), axis=-1).mean()
    centred = shapes - shapes.mean(axis=1, keepdims=True)
    translated_mean_shape = np.linalg.norm(centred - centred.mean(axis=0), axis=-1).mean()
    assert mean_position >= 10.0
    assert translated_mean_shape >= 4.0


def test_heads_differ_in_shape_not_only_in_pose():
    heads = np.array([in_head(seed, phantom_landmarks(seed).to_array(LABELS)) for seed in SEEDS])
    assert (np.linalg.norm(heads.std(axis=0), axis=1)[1:] > 1.0).all()


def test_landmarks_lie_inside_the_volume(phantoms, shapes):
    assert phantoms[0].volume.contains(shapes.reshape(-1, 3)).all()


@pytest.mark.parametrize("label", SKULL)
def test_skull_is_brighter_than_either_side_of_it_at_its_landmarks(phantoms, label):
    contrasts = []
    for seed, phantom in zip(SEEN_SEEDS, phantoms, strict=True):
        point, centre = phantom.landmarks[label], phantom.landmarks["centerHead"]
        outward = (point - centre) / np.linalg.norm(point - centre)
        off_the_falx = -5.0 * random_head(seed).head_to_ras[:3, 0] * (label in ("frontHead", "backHead"))
        bone = brightness(phantom.volume, point - 0.9 * outward)
        inside = brightness(phantom.volume, point - 6.0 * outward + off_the_falx)
        outside = brightness(phantom.volume, point + 6.0 * outward)
        contrasts.append(bone - max(inside, outside))
    assert np.mean(contrasts) > 30.0


def test_cavum_is_dark_between_bright_walls(phantoms):
    for seed, phantom in zip(SEEN_SEEDS, phantoms, strict=True):
        head = random_head(seed)
        across = head.head_to_ras[:3, 0] * head.csp_size_mm[0] / 2
        centre = phantom.landmarks["CSP"]
        walls = [brightness(phantom.volume, centre + side * across, 1.0) for side in (1, -1)]
        assert np.mean(walls) > brightness(phantom.volume, centre, 1.0) + 10.0


def test_walls_of_the_far_ventricle_are_brighter_than_the_fluid_behind_the_choroid_plexus(phantoms):
    contrasts = []
    for phantom in phantoms:
        inner, outer = (phantom.landmarks[label] for label in ("rightVentInner", "rightVentOuter"))
        back = phantom.landmarks["backHead"] - phantom.landmarks["frontHead"]
        fluid = (inner + outer) / 2 + 3.0 * back / np.linalg.norm(back)
        walls = [brightness(phantom.volume, point, 1.0) for point in (inner, outer)]
        contrasts.append(np.mean(walls) - brightness(phantom.volume, fluid, 1.0))
    assert np.mean(contrasts) > 40.0


def test_sector_leaves_corners_of_the_volume_black_and_the_head_in_view(phantoms):
    for phantom in phantoms:
        voxels = phantom.volume.voxels
        assert (voxels[[0, 0, -1, -1], 0, [0, -1, 0, -1]] == 0).all()
        assert (voxels == 255).mean() < 0.02
        ijk = apply_affine(np.linalg.inv(phantom.volume.ijk_to_ras), phantom.landmarks.to_array())
        assert (voxels[tuple(np.rint(ijk).astype(int)[:, ::-1].T)] > 0).mean() >= 0.9


def test_dataset_folder_reads_back_what_was_simulated(tmp_path):
    write_phantom_dataset(tmp_path, {"train": 2, "test": 1}, first_seed=40, spacing_mm=3.0)
    dataset = Dataset.load(tmp_path)
    assert (dataset.name, dataset.dimension, dataset.definitions) == ("fetal-phantom", 3, PHANTOM_LANDMARKS)
    assert [case.name for case in dataset.split("train")] == ["phantom-0040", "phantom-0041"]
    (case,) = dataset.split("test")
    expected = generate_phantom(42, 3.0)
    volume = case.read_volume()
    np.testing.assert_array_equal(volume.voxels, expected.volume.voxels)
    np.testing.assert_allclose(volume.ijk_to_ras, expected.volume.ijk_to_ras, atol=1e-4)
    np.testing.assert_allclose(case.read_landmarks().to_array(LABELS), expected.landmarks.to_array(LABELS), atol=1e-3)
    assert "simulated" in json.dumps(json.loads((tmp_path / "dataset.json").read_text("utf-8"))["licence"])
