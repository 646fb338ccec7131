"""However an image is stored, a model sees the same voxels in the same frame."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.geometry import apply_affine, direction_of, orientation_of, rotation_matrix
from LandmarkDetectionLib.preprocessing import (
    Preprocessing,
    canonical_size_mm,
    canonical_volume,
    frame_scaling,
    upright_picture,
)
from LandmarkDetectionLib.volume import Volume

ALL_ORIENTATIONS = ["".join(letters) for axes in permutations(("LR", "PA", "IS")) for letters in product(*axes)]
SIZE = (9, 8, 7)
SPACING_MM = (1.0, 1.5, 2.0)

orientations = st.sampled_from(ALL_ORIENTATIONS)


def geometry(orientation="RAS", spacing_mm=SPACING_MM, origin_ras=(-10.0, 20.0, 5.0), tilt=None):
    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3) if tilt is None else tilt) @ direction_of(orientation) * spacing_mm
    matrix[:3, 3] = origin_ras
    return matrix


def random_volume(size=SIZE, dtype=np.int16, **kwargs):
    voxels = np.random.default_rng(0).integers(0, 1000, size[::-1]).astype(dtype)
    return Volume(voxels, geometry(**kwargs))


def padded(volume, before, after):
    """The volume with voxels of its minimum around it; `before` and `after` along i, j, k."""
    widths = list(zip(before, after, strict=True))[::-1]
    voxels = np.pad(volume.voxels, widths, constant_values=volume.voxels.min())
    shifted = volume.ijk_to_ras.copy()
    shifted[:3, 3] = apply_affine(volume.ijk_to_ras, -np.array(before))
    return Volume(voxels, shifted)


def ras_of_voxels(canonical):
    """RAS positions [k, j, i, 3] of a canonical volume's voxels, through its frame."""
    k, j, i = np.indices(canonical.voxels.shape)
    frame_mm = (np.stack([i, j, k], axis=-1) - canonical.origin_ijk) * canonical.spacing_mm
    return apply_affine(canonical.frame_to_ras, frame_mm)


def assert_same(one, other):
    np.testing.assert_array_equal(one.voxels, other.voxels)
    np.testing.assert_allclose(one.window, other.window, rtol=1e-6)
    np.testing.assert_allclose(ras_of_voxels(one), ras_of_voxels(other), atol=1e-4)
    np.testing.assert_allclose(one.frame_to_ras, other.frame_to_ras, atol=1e-4)


@pytest.mark.parametrize("spacing_mm", [SPACING_MM, (1.3, 1.3, 1.3)], ids=["same grid", "resampled"])
@pytest.mark.parametrize("centre", ["foreground", "content"])
@settings(max_examples=12)
@given(orientation=orientations)
def test_order_and_direction_of_the_axes_change_nothing(spacing_mm, centre, orientation):
    preprocessing = Preprocessing("RAS", spacing_mm, centre=centre)
    volume = random_volume()
    assert_same(
        canonical_volume(volume.reoriented(orientation), preprocessing), canonical_volume(volume, preprocessing)
    )


def bright_pair():
    """Two bright pixels, 4 pixels of 0.5 mm from each other, 1 mm from their centre."""
    voxels = np.zeros((1, 9, 9), np.uint8)
    voxels[0, 4, [2, 6]] = 200
    return Volume(voxels, geometry("LPS", (0.5, 0.5, 3.0)))


def test_size_of_the_foreground_becomes_that_of_the_model():
    preprocessing = Preprocessing("LPS", (1.0, 1.0, 1.0), foreground_radius_mm=4.0)
    assert frame_scaling(bright_pair(), preprocessing)[0, 0] == pytest.approx(4.0)
    canonical = canonical_volume(bright_pair(), preprocessing)
    # A pixel of 0.5 mm becomes two of 1 mm each way; the columns without content are cut off.
    np.testing.assert_allclose(canonical.size_mm[:2], [10.0, 18.0])
    np.testing.assert_allclose(canonical.frame_to_ras[:3, :3], direction_of("LPS") / 4.0)
    assert np.linalg.norm(np.ptp(ras_of_voxels(canonical)[0, 0], axis=0)) == pytest.approx(9 / 4.0)


@pytest.mark.parametrize("centre", ["foreground", "content"])
@settings(max_examples=12)
@given(orientation=orientations, before=st.tuples(*[st.integers(0, 3)] * 3), size=st.floats(0.2, 5.0))
def test_scaled_frame_depends_neither_on_storage_nor_on_true_size(centre, orientation, before, size):
    preprocessing = Preprocessing("RAS", (1.3, 1.3, 1.3), centre=centre, foreground_radius_mm=8.0)
    volume = random_volume()
    expected = canonical_volume(volume, preprocessing)
    assert_same(canonical_volume(padded(volume, before, (0, 1, 0)).reoriented(orientation), preprocessing), expected)
    larger = np.diag([size, size, size, 1.0])
    scaled = canonical_volume(Volume(volume.voxels, larger @ volume.ijk_to_ras), preprocessing)
    np.testing.assert_allclose(scaled.voxels, expected.voxels, atol=0.1)
    np.testing.assert_allclose(scaled.origin_ijk, expected.origin_ijk, atol=1e-4)
    np.testing.assert_allclose(ras_of_voxels(scaled), size * ras_of_voxels(expected), atol=1e-3)


def test_a_single_bright_voxel_has_no_size():
    voxels = np.zeros((1, 9, 9), np.uint8)
    voxels[0, 4, 4] = 200
    picture = Volume(voxels, geometry("LPS"), "dot")
    with pytest.raises(LandmarkDetectionError, match="dot: only one of its voxels is bright"):
        canonical_volume(picture, Preprocessing("LPS", (1.0, 1.0, 1.0), foreground_radius_mm=4.0))


def test_volume_that_fits_keeps_its_voxels_and_their_type():
    volume = random_volume(dtype=np.uint8)
    canonical = canonical_volume(volume, Preprocessing("RAS", SPACING_MM))
    np.testing.assert_array_equal(canonical.voxels, volume.voxels)
    assert canonical.voxels.dtype == np.uint8
    k, j, i = np.indices(volume.voxels.shape)
    expected = apply_affine(volume.ijk_to_ras, np.stack([i, j, k], axis=-1))
    np.testing.assert_allclose(ras_of_voxels(canonical), expected, atol=1e-9)
    np.testing.assert_allclose(canonical.size_mm, np.array(SIZE) * SPACING_MM)


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "PIR"])
def test_frame_has_the_axes_of_the_model(orientation):
    canonical = canonical_volume(random_volume(), Preprocessing(orientation, (2.0, 2.0, 2.0)))
    np.testing.assert_allclose(canonical.frame_to_ras[:3, :3], direction_of(orientation), atol=1e-12)
    np.testing.assert_allclose(canonical.spacing_mm, [2.0, 2.0, 2.0])


def test_frame_begins_at_the_centroid_of_what_is_bright():
    voxels = np.zeros((10, 12, 14), np.float32)
    voxels[2:5, 6:8, 9:12] = 100.0
    canonical = canonical_volume(Volume(voxels, geometry()), Preprocessing("RAS", SPACING_MM))
    np.testing.assert_allclose(canonical.origin_ijk, [10.0, 6.5, 3.0])
    np.testing.assert_allclose(canonical.frame_to_ras[:3, 3], [-10.0 + 10.0, 20.0 + 6.5 * 1.5, 5.0 + 3.0 * 2.0])
    assert canonical.window == (0.0, 100.0)


def test_frame_may_begin_at_the_centre_of_the_volume():
    volume = random_volume()
    canonical = canonical_volume(volume, Preprocessing("RAS", SPACING_MM, centre="content"))
    np.testing.assert_allclose(canonical.frame_to_ras[:3, 3], volume.centre_ras)


def test_window_spans_percentiles_of_the_voxels_above_the_minimum():
    values = np.concatenate([np.full(899, -50.0), np.arange(101.0)]).reshape(10, 10, 10)
    canonical = canonical_volume(Volume(values, np.eye(4)), Preprocessing("RAS", (1, 1, 1), 5.0, 90.0))
    np.testing.assert_allclose(canonical.window, (5.0, 90.0))


@settings(max_examples=50)
@given(
    st.lists(st.integers(0, 255), min_size=8, max_size=8).filter(lambda values: len(set(values)) > 1),
    st.floats(0.0, 49.0),
    st.floats(51.0, 100.0),
)
def test_window_of_bytes_is_that_of_the_same_numbers_in_another_type(values, low, high):
    voxels, preprocessing = np.array(values).reshape(2, 2, 2), Preprocessing("RAS", (1, 1, 1), low, high)
    of_bytes, of_floats = (
        canonical_volume(Volume(voxels.astype(dtype), np.eye(4)), preprocessing).window
        for dtype in (np.uint8, np.float64)
    )
    np.testing.assert_allclose(of_bytes, of_floats, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (2.1, 1.7, 1.3)])
@settings(max_examples=15)
@given(before=st.tuples(*[st.integers(0, 9)] * 3), after=st.tuples(*[st.integers(0, 9)] * 3), orientation=orientations)
def test_padding_with_the_minimum_changes_nothing(spacing_mm, before, after, orientation):
    volume = random_volume(orientation=orientation)
    preprocessing = Preprocessing("RAS", spacing_mm)
    bare, wrapped = (canonical_volume(one, preprocessing) for one in (volume, padded(volume, before, after)))
    assert_same(bare, wrapped)


def test_padding_changes_nothing_where_only_a_part_of_the_voxels_is_counted():
    k, j, i = np.indices((60, 90, 100))
    voxels = 200.0 * np.exp(-((i - 40) ** 2 + (j - 50) ** 2 + (k - 20) ** 2) / 400.0)
    volume = Volume(np.round(voxels).astype(np.uint8), np.eye(4))
    assert volume.voxels.size > 400_000, "or the statistics are taken on every voxel"
    preprocessing = Preprocessing("RAS", (1.5, 1.5, 1.5))
    assert_same(
        canonical_volume(volume, preprocessing), canonical_volume(padded(volume, (1, 5, 30), (3, 0, 7)), preprocessing)
    )


def test_volume_with_all_content_in_one_slice_stays_a_volume():
    voxels = np.zeros((5, 6, 7), np.uint8)
    voxels[2, 1:4, 2:6] = 9
    assert min(canonical_volume(Volume(voxels, np.eye(4)), Preprocessing("RAS", (1, 1, 1))).voxels.shape) > 1


@settings(max_examples=15)
@given(st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.1, 1)), st.floats(-30, 30))
def test_oblique_volume_is_resampled_along_the_anatomy(axis, angle_deg):
    def smooth(positions_ras):
        return 500.0 + positions_ras @ (3.0, -2.0, 1.0) + 40.0 * np.sin(positions_ras[..., 0] / 8.0)

    tilt = rotation_matrix(axis, angle_deg)
    size = (26, 24, 22)
    ijk_to_ras = geometry(spacing_mm=(1.0, 1.1, 1.2), tilt=tilt)
    k, j, i = np.indices(size[::-1])
    volume = Volume(smooth(apply_affine(ijk_to_ras, np.stack([i, j, k], axis=-1))), ijk_to_ras)
    canonical = canonical_volume(volume, Preprocessing("RAS", (1.0, 1.0, 1.0), centre="content"))
    np.testing.assert_allclose(canonical.frame_to_ras[:3, :3], np.eye(3) if abs(angle_deg) > 0.01 else tilt, atol=1e-3)
    positions = ras_of_voxels(canonical)
    inside = volume.contains(apply_affine(np.eye(4), positions.reshape(-1, 3))).reshape(canonical.voxels.shape)
    near_centre = np.linalg.norm(positions - volume.centre_ras, axis=-1) < 8.0
    assert inside[near_centre].all()
    np.testing.assert_allclose(canonical.voxels[near_centre], smooth(positions[near_centre]), atol=1.0)
    outside = ~inside & (np.linalg.norm(positions - volume.centre_ras, axis=-1) > 25.0)
    assert np.all(canonical.voxels[outside] == volume.voxels.astype(np.float32).min())


def test_constant_volume_is_refused():
    with pytest.raises(LandmarkDetectionError, match=r"^blank: every voxel has the same value"):
        canonical_volume(Volume(np.full((4, 5, 6), 7), np.eye(4), "blank"), Preprocessing("RAS", (1, 1, 1)))


def test_volume_of_which_nothing_is_left_on_the_model_s_voxels_is_refused():
    window_above_all_voxels = (2000.0, 3000.0)
    with pytest.raises(LandmarkDetectionError, match="nothing in it is as large as a voxel of the model"):
        canonical_volume(random_volume(), Preprocessing("RAS", SPACING_MM), window_above_all_voxels)


def test_direction_with_denormal_numbers_is_resampled_all_the_same():
    straight = random_volume()
    ijk_to_ras = straight.ijk_to_ras.copy()
    ijk_to_ras[0, 1], ijk_to_ras[1, 0] = -4e-315, 4e-315
    preprocessing = Preprocessing("RAS", (0.5, 0.5, 0.5))
    canonical = canonical_volume(Volume(straight.voxels, ijk_to_ras), preprocessing)
    np.testing.assert_array_equal(canonical.voxels, canonical_volume(straight, preprocessing).voxels)


def test_volume_thinner_than_the_model_s_voxels_is_refused():
    thin = Volume(np.arange(200.0).reshape(2, 10, 10), np.diag([1.0, 1.0, 0.5, 1.0]), "thin")
    with pytest.raises(LandmarkDetectionError, match=r"^thin: it is too thin for voxels of 2 mm"):
        canonical_volume(thin, Preprocessing("RAS", (2, 2, 2)))


def picture(orientation, size=(12, 10), spacing_mm=(0.5, 0.8, 3.0), dtype=np.uint8):
    voxels = np.random.default_rng(1).integers(0, 255, (1, size[1], size[0])).astype(dtype)
    return Volume(voxels, geometry(orientation, spacing_mm))


@pytest.mark.parametrize("stored_as", [o for o in ALL_ORIENTATIONS if o[2] in "IS"])
def test_axial_picture_is_turned_to_the_model_s_orientation(stored_as):
    original = picture("LPS")
    preprocessing = Preprocessing("LPS", (0.5, 0.8, 1.0))
    assert_same(
        canonical_volume(original.reoriented(stored_as), preprocessing), canonical_volume(original, preprocessing)
    )
    assert canonical_volume(original, preprocessing).voxels.shape == (1, 10, 12)


@pytest.mark.parametrize("plane", ["PIR", "ASL", "RIP", "LSA"])
@pytest.mark.parametrize("slice_axis", [0, 1, 2])
def test_sagittal_and_coronal_pictures_are_seen_as_stored(plane, slice_axis):
    original = picture(plane)
    letters = list(plane[:2])
    letters.insert(slice_axis, plane[2])
    stored = original.reoriented("".join(letters))
    assert stored.size[slice_axis] == 1
    canonical = canonical_volume(stored, Preprocessing("LPS", (0.5, 0.8, 1.0)))
    assert_same(canonical, canonical_volume(original, Preprocessing("LPS", (0.5, 0.8, 1.0))))
    np.testing.assert_array_equal(canonical.voxels, original.voxels)
    assert orientation_of(canonical.frame_to_ras) == plane


def test_model_of_sagittal_pictures_may_name_their_orientation():
    original = picture("PIR")
    canonical = canonical_volume(original.reoriented("SAL"), Preprocessing("PIR", (0.5, 0.8, 1.0)))
    np.testing.assert_array_equal(canonical.voxels, original.voxels)


@pytest.mark.parametrize("angle_deg", [0.5, 17.0, -30.0])
def test_picture_turned_in_the_model_s_plane_is_straightened(angle_deg):
    size, spacing_mm = (60, 50, 1), (1.0, 1.0, 3.0)

    def smooth(positions_ras):
        return 100.0 + 40.0 * np.sin(positions_ras[..., 0] / 9.0) + 40.0 * np.cos(positions_ras[..., 1] / 7.0)

    ijk_to_ras = geometry("LPS", spacing_mm, tilt=rotation_matrix((0, 0, 1), angle_deg))
    k, j, i = np.indices(size[::-1])
    turned = Volume(smooth(apply_affine(ijk_to_ras, np.stack([i, j, k], axis=-1))), ijk_to_ras)
    canonical = canonical_volume(turned.reoriented("RAS"), Preprocessing("LPS", (1.0, 1.0, 1.0)))
    np.testing.assert_allclose(canonical.frame_to_ras[:3, :3], direction_of("LPS"), atol=1e-9)
    assert canonical.voxels.shape[0] == 1
    positions = ras_of_voxels(canonical)
    near_centre = np.linalg.norm(positions - turned.centre_ras, axis=-1) < 20.0
    np.testing.assert_allclose(canonical.voxels[near_centre], smooth(positions[near_centre]), atol=1.0)


def test_picture_tilted_out_of_the_model_s_plane_stays_in_its_own():
    tilt = rotation_matrix((1.0, 0.0, 0.0), 20.0) @ rotation_matrix((0.0, 0.0, 1.0), 15.0)
    original = Volume(picture("LPS").voxels, geometry("LPS", (0.5, 0.5, 3.0), tilt=tilt))
    canonical = canonical_volume(original, Preprocessing("LPS", (0.5, 0.5, 1.0)))
    assert canonical.voxels.shape[0] == 1
    normal = canonical.frame_to_ras[:3, 2]
    np.testing.assert_allclose(np.abs(normal @ original.directions), [0.0, 0.0, 1.0], atol=1e-9)
    assert canonical.frame_to_ras[1, 0] == pytest.approx(0.0, abs=1e-9), "the first axis points to the left alone"
    np.testing.assert_allclose(canonical.frame_to_ras[:3, :3].T @ canonical.frame_to_ras[:3, :3], np.eye(3), atol=1e-9)


def test_oblique_picture_of_another_plane_is_not_straightened_and_keeps_its_place():
    tilted = Volume(
        picture("PIR").voxels, geometry("PIR", (0.5, 0.8, 3.0), tilt=rotation_matrix((1.0, 2.0, 3.0), 25.0))
    )
    canonical = canonical_volume(tilted, Preprocessing("LPS", (0.5, 0.8, 1.0)))
    np.testing.assert_array_equal(canonical.voxels, tilted.voxels)
    k, j, i = np.indices(tilted.voxels.shape)
    expected = apply_affine(tilted.ijk_to_ras, np.stack([i, j, k], axis=-1))
    np.testing.assert_allclose(ras_of_voxels(canonical), expected, atol=1e-9)


def test_picture_gets_the_model_s_pixel_size_and_keeps_its_thickness():
    canonical = canonical_volume(picture("LPS"), Preprocessing("LPS", (1.0, 2.0, 7.0)))
    np.testing.assert_allclose(canonical.spacing_mm, [1.0, 2.0, 3.0])
    assert canonical.voxels.shape == (1, 4, 6)
    assert canonical.origin_ijk[2] == 0.0


@settings(max_examples=15)
@given(orientations, st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.1, 1)), st.floats(-20, 20))
def test_size_along_the_model_s_axes_is_known_without_resampling(orientation, axis, angle_deg):
    preprocessing = Preprocessing("PIR", (1.0, 1.0, 1.0))
    volume = random_volume(orientation=orientation, tilt=rotation_matrix(axis, angle_deg))
    size_mm = canonical_size_mm(volume, preprocessing)
    assert np.all(np.abs(canonical_volume(volume, preprocessing).size_mm - size_mm) <= 1.0)
    np.testing.assert_allclose(canonical_size_mm(volume.reoriented("LAI"), preprocessing), size_mm)


def test_size_of_a_picture_is_measured_in_its_plane():
    stored = picture("PIR").reoriented("RIP")
    np.testing.assert_allclose(canonical_size_mm(stored, Preprocessing("LPS", (1, 1, 1))), [8.0, 6.0, 3.0])
    upright = upright_picture(stored, "PIR")
    np.testing.assert_allclose(upright.spacing_mm, [0.5, 0.8, 3.0])
