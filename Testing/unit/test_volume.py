"""Volumes keep every voxel where it is in the patient, however their axes and grids change."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.geometry import apply_affine, direction_of, orientation_of, rotation_matrix
from LandmarkDetectionLib.volume import Volume, from_sitk, to_sitk

ALL_ORIENTATIONS = ["".join(letters) for axes in permutations(("LR", "PA", "IS")) for letters in product(*axes)]
SIZE = (7, 5, 4)
"""Number of voxels along i, j, k of the small volumes below."""

orientations = st.sampled_from(ALL_ORIENTATIONS)
tilts = st.builds(
    rotation_matrix,
    st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.1, 1)),
    st.floats(-30, 30),
)


def geometry(orientation="RAS", spacing_mm=(1.0, 1.0, 1.0), origin_ras=(0.0, 0.0, 0.0), tilt=None):
    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3) if tilt is None else tilt) @ direction_of(orientation) * spacing_mm
    matrix[:3, 3] = origin_ras
    return matrix


def numbered(ijk_to_ras, size=SIZE):
    """A volume in which every voxel has its own value."""
    return Volume(np.arange(np.prod(size), dtype=np.int32).reshape(size[::-1]), ijk_to_ras)


def positions_by_value(volume):
    """RAS position of every voxel (n, 3), in ascending order of the voxels' values."""
    kji = np.stack(np.unravel_index(np.argsort(volume.voxels, axis=None), volume.voxels.shape), axis=-1)
    return apply_affine(volume.ijk_to_ras, kji[:, ::-1])


def grid_positions(volume):
    """RAS position of every voxel, as an array [k, j, i, 3]."""
    k, j, i = np.indices(volume.voxels.shape)
    return apply_affine(volume.ijk_to_ras, np.stack([i, j, k], axis=-1))


def sampled_from(intensity, ijk_to_ras, size):
    """A volume whose voxels hold a function of their RAS positions."""
    empty = Volume(np.zeros(size[::-1], np.float32), ijk_to_ras)
    return Volume(intensity(grid_positions(empty)).astype(np.float32), ijk_to_ras)


def ramp(positions_ras):
    return positions_ras @ (0.5, -2.0, 3.0) + 100.0


class TestConstruction:
    def test_spacing_size_and_centre(self):
        volume = numbered(geometry("RAS", (0.5, 2.0, 3.0), (10.0, 20.0, 30.0)))
        assert volume.spacing_mm.tolist() == [0.5, 2.0, 3.0]
        assert volume.size == (7, 5, 4)
        assert volume.centre_ras.tolist() == [10 + 3 * 0.5, 20 + 2 * 2.0, 30 + 1.5 * 3.0]

    def test_a_picture_is_a_volume_of_one_slice(self):
        assert Volume(np.zeros((1, 5, 7)), np.eye(4)).dimension == 2
        assert Volume(np.zeros((2, 5, 7)), np.eye(4)).dimension == 3

    @pytest.mark.parametrize("shape", [(5, 7), (2, 3, 4, 5), (0, 5, 7), ()])
    def test_refuses_arrays_that_are_not_three_dimensional(self, shape):
        with pytest.raises(LandmarkDetectionError, match="scan: a volume has three axes of at least one voxel"):
            Volume(np.zeros(shape), np.eye(4), "scan")

    @pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("entry", [(0, 0), (2, 3)])
    def test_refuses_a_geometry_that_is_not_finite(self, number, entry):
        matrix = np.eye(4)
        matrix[entry] = number
        with pytest.raises(LandmarkDetectionError, match="scan: its geometry holds numbers that are not finite"):
            Volume(np.zeros((2, 2, 2)), matrix, "scan")

    @pytest.mark.parametrize(
        "axes",
        [
            np.zeros((3, 3)),
            np.diag([1.0, 0.0, 1.0]),
            [[1, 1, 0], [0, 0, 0], [0, 0, 1]],
            [[1, 0, 1], [0, 1, 1], [0, 0, 0]],
        ],
    )
    def test_refuses_axes_that_span_no_space(self, axes):
        matrix = np.eye(4)
        matrix[:3, :3] = axes
        with pytest.raises(LandmarkDetectionError, match="singular geometry"):
            Volume(np.zeros((2, 2, 2)), matrix, "scan")

    def test_accepts_micrometres_and_left_handed_axes(self):
        assert numbered(geometry("LAS", (1e-4, 1e-4, 2e-4))).spacing_mm == pytest.approx((1e-4, 1e-4, 2e-4))


class TestContains:
    def test_the_outer_faces_of_the_voxels_are_inside(self):
        volume = numbered(geometry("RAS", (2.0, 1.0, 1.0), (10.0, 0.0, 0.0)))
        points = np.array([(9, 0, 0), (8.9, 0, 0), (23, 4.5, 3.5), (23.1, 4, 3), (10, -0.5, -0.5), (10, 0, 3.6)])
        assert volume.contains(points).tolist() == [True, False, True, False, True, False]

    @given(orientations, tilts)
    def test_every_corner_of_the_box_is_inside_however_it_is_turned(self, orientation, tilt):
        volume = numbered(geometry(orientation, (0.7, 0.9, 3.1), (-12.0, 40.0, 7.0), tilt))
        corners = np.array(list(product(*[(-0.5, count - 0.5) for count in SIZE])))
        assert volume.contains(apply_affine(volume.ijk_to_ras, corners)).all()
        beyond = corners + np.sign(corners - 1) * 0.01
        assert not volume.contains(apply_affine(volume.ijk_to_ras, beyond)).any()


class TestCropped:
    def test_every_voxel_that_is_left_stays_where_it_was(self):
        volume = numbered(geometry("PIR", (1.0, 2.0, 3.0), (5.0, -4.0, 9.0), rotation_matrix((0, 0, 1), 20.0)))
        rest = volume.cropped((1, 0, 2), (6, 5, 3))
        assert rest.size == (5, 5, 1)
        kept = np.isin(np.sort(volume.voxels, axis=None), rest.voxels)
        np.testing.assert_allclose(positions_by_value(rest), positions_by_value(volume)[kept], atol=1e-12)


class TestReoriented:
    @pytest.mark.parametrize("orientation", ALL_ORIENTATIONS)
    def test_every_voxel_stays_where_it_is(self, orientation):
        volume = numbered(geometry("PSR", (0.5, 2.0, 3.0), (10.0, -20.0, 30.0)))
        reoriented = volume.reoriented(orientation)
        assert orientation_of(reoriented.ijk_to_ras) == orientation
        np.testing.assert_array_equal(positions_by_value(reoriented), positions_by_value(volume))

    @given(orientations, orientations, tilts)
    def test_and_so_it_does_when_the_volume_is_tilted(self, old, new, tilt):
        volume = numbered(geometry(old, (0.5, 2.0, 3.0), (10.0, -20.0, 30.0), tilt))
        reoriented = volume.reoriented(new)
        assert orientation_of(reoriented.ijk_to_ras) == new
        np.testing.assert_allclose(positions_by_value(reoriented), positions_by_value(volume), atol=1e-9)

    @given(orientations, orientations)
    def test_there_and_back_is_the_same_volume(self, old, new):
        volume = numbered(geometry(old, (0.5, 2.0, 3.0), (10.0, -20.0, 30.0)))
        back = volume.reoriented(new).reoriented(old)
        np.testing.assert_array_equal(back.voxels, volume.voxels)
        np.testing.assert_allclose(back.ijk_to_ras, volume.ijk_to_ras, atol=1e-12)

    def test_from_psr_to_ras_by_hand(self):
        volume = Volume(np.array([[[1, 2]], [[3, 4]], [[5, 6]]]), geometry("PSR"), "scan")
        reoriented = volume.reoriented("RAS")
        assert reoriented.size == (3, 2, 1)
        assert reoriented.voxels.tolist() == [[[2, 4, 6], [1, 3, 5]]]
        assert reoriented.ijk_to_ras[:3, 3].tolist() == [0.0, -1.0, 0.0]
        assert reoriented.name == "scan"

    def test_keeps_the_data_type_and_lays_voxels_out_in_order(self):
        reoriented = numbered(geometry("PSR")).reoriented("LAI")
        assert reoriented.voxels.dtype == np.int32
        assert reoriented.voxels.flags.c_contiguous


class TestResampled:
    @pytest.mark.parametrize("orientation", [None, "RAS"])
    def test_a_volume_on_the_grid_already_is_itself(self, orientation):
        volume = numbered(geometry("RAS", (0.5, 2.0, 3.0)))
        assert volume.resampled((0.5, 2.0, 3.0), orientation and direction_of(orientation)) is volume

    def test_a_grid_twice_as_fine_has_twice_the_voxels_around_the_same_centre(self):
        volume = numbered(geometry("LPS", (1.0, 2.0, 3.0), (10.0, 20.0, 30.0)))
        finer = volume.resampled((0.5, 1.0, 1.5))
        assert finer.size == (14, 10, 8)
        assert finer.spacing_mm.tolist() == [0.5, 1.0, 1.5]
        np.testing.assert_allclose(finer.centre_ras, volume.centre_ras)
        assert orientation_of(finer.ijk_to_ras) == "LPS"

    @pytest.mark.parametrize("orientation", ALL_ORIENTATIONS)
    def test_a_linear_ramp_is_exact_on_a_finer_grid_of_any_orientation(self, orientation):
        volume = sampled_from(ramp, geometry(orientation, (2.0, 3.0, 2.5), (5.0, -8.0, 2.0)), (8, 7, 9))
        finer = volume.resampled((1.1, 1.3, 1.7), direction_of("RAS"))
        self.assert_equals_ramp_inside(volume, finer, margin=0.0)

    @settings(max_examples=30)
    @given(orientations, tilts)
    def test_a_linear_ramp_is_exact_on_an_oblique_grid(self, orientation, tilt):
        volume = sampled_from(ramp, geometry(orientation, (2.0, 3.0, 2.5), (5.0, -8.0, 2.0), tilt), (8, 7, 9))
        self.assert_equals_ramp_inside(volume, volume.resampled((1.5, 1.5, 1.5), direction_of("RAS")), margin=0.0)

    def test_a_linear_ramp_survives_the_smoothing_before_a_coarser_grid(self):
        volume = sampled_from(ramp, geometry("LPS", (0.5, 0.5, 0.5)), (60, 50, 40))
        self.assert_equals_ramp_inside(volume, volume.resampled((2.0, 2.0, 2.0)), margin=8.0, tolerance=0.01)

    @staticmethod
    def assert_equals_ramp_inside(volume, resampled, margin, tolerance=1e-3):
        """Compare where a voxel lies between the centres of old voxels, `margin` voxels away from the outermost."""
        positions = grid_positions(resampled)
        ijk = apply_affine(np.linalg.inv(volume.ijk_to_ras), positions)
        inside = np.all((ijk >= margin) & (ijk <= np.array(volume.size) - 1 - margin), axis=-1)
        assert inside.sum() > 50
        np.testing.assert_allclose(resampled.voxels[inside], ramp(positions[inside]), atol=tolerance)

    @given(orientations, tilts, st.tuples(*[st.floats(0.4, 4.0)] * 3))
    def test_the_new_grid_covers_the_whole_volume(self, orientation, tilt, spacing_mm):
        volume = numbered(geometry(orientation, (0.7, 0.9, 3.1), (-12.0, 40.0, 7.0), tilt))
        resampled = volume.resampled(spacing_mm, direction_of("RAS"))
        corners = np.array(list(product(*[(-0.5, count - 0.5) for count in SIZE])))
        ijk = apply_affine(np.linalg.inv(resampled.ijk_to_ras), apply_affine(volume.ijk_to_ras, corners))
        assert (ijk >= -0.5 - 1e-5).all()
        assert (ijk <= np.array(resampled.size) - 0.5 + 1e-5).all()
        np.testing.assert_allclose(resampled.ijk_to_ras[:3, :3], np.diag(spacing_mm), atol=1e-12)

    @given(tilts, st.tuples(*[st.floats(-0.4, 0.4)] * 3))
    def test_a_blob_keeps_its_place(self, tilt, shift):
        matrix = geometry("PIR", (1.0, 1.5, 1.2), (-7.0, 15.0, 4.0), tilt)
        centre = apply_affine(matrix, np.array((12.0, 9.0, 11.0)) + shift)

        def blob(positions):
            return 1000 * np.exp(-np.sum((positions - centre) ** 2, axis=-1) / (2 * 2.5**2))

        resampled = sampled_from(blob, matrix, (25, 19, 23)).resampled((1.3, 1.3, 1.3), direction_of("RAS"))
        weights = resampled.voxels[..., None]
        centroid = (weights * grid_positions(resampled)).sum(axis=(0, 1, 2)) / weights.sum()
        np.testing.assert_allclose(centroid, centre, atol=0.05)

    def test_stripes_too_fine_for_the_new_grid_become_their_mean(self):
        stripes = np.broadcast_to(np.tile([0.0, 100.0], 24).astype(np.float32), (12, 12, 48))
        coarser = Volume(stripes, geometry("RAS", (0.5, 2.0, 2.0))).resampled((2.0, 2.0, 2.0))
        assert coarser.voxels[:, :, 3:-3].min() > 45.0
        assert coarser.voxels[:, :, 3:-3].max() < 55.0

    @settings(max_examples=20)
    @given(st.integers(0, 2**32 - 1))
    def test_a_coarser_grid_keeps_the_mean(self, seed):
        noise = np.random.default_rng(seed).normal(500, 100, (24, 24, 24)).astype(np.float32)
        coarser = Volume(noise, np.eye(4)).resampled((3.0, 3.0, 3.0))
        assert coarser.size == (8, 8, 8)
        assert coarser.voxels.mean() == pytest.approx(noise.mean(), abs=4.0)
        assert coarser.voxels.std() < 0.5 * noise.std()

    def test_smooths_along_the_axis_that_becomes_coarser_and_along_no_other(self):
        """Stripes along j stay on a tilted grid that is coarse along k alone."""
        bars = np.tile([0.0, 0.0, 0.0, 100.0, 100.0, 100.0], 6).astype(np.float32)
        stripes = np.ascontiguousarray(np.broadcast_to(bars[:, None], (36, 36, 36)))
        resampled = Volume(stripes, geometry(tilt=rotation_matrix((1, 0, 0), 10.0))).resampled(
            (1.0, 1.0, 8.0), direction_of("RAS")
        )
        k, j, i = (count // 2 for count in resampled.voxels.shape)
        assert np.ptp(resampled.voxels[k, j - 6 : j + 6, i]) > 80.0

    def test_what_lies_outside_gets_the_minimum(self):
        volume = Volume(np.full((9, 9, 9), -7.0), geometry(tilt=rotation_matrix((0, 0, 1), 45.0)))
        volume.voxels[4, 4, 4] = 50.0
        resampled = volume.resampled((1.0, 1.0, 1.0), direction_of("RAS"))
        assert resampled.voxels[4, 0, 0] == -7.0
        assert resampled.voxels.min() == -7.0

    @pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"])
    def test_takes_every_data_type_an_image_may_have(self, dtype):
        resampled = Volume(np.full((6, 6, 6), 42, dtype), np.eye(4)).resampled((2.0, 2.0, 2.0))
        assert resampled.voxels.dtype == np.float32
        np.testing.assert_allclose(resampled.voxels, 42.0, rtol=1e-5)

    def test_a_picture_stays_a_picture(self):
        picture = Volume(np.random.default_rng(0).random((1, 40, 30)), geometry("LPS", (0.2, 0.2, 1.0)))
        resampled = picture.resampled((0.5, 0.5, 1.0))
        assert resampled.size == (12, 16, 1)
        assert resampled.voxels.mean() == pytest.approx(picture.voxels.mean(), abs=0.02)


class TestSimpleITK:
    @given(orientations, tilts)
    def test_geometry_survives_the_flip_to_lps_and_back(self, orientation, tilt):
        volume = numbered(geometry(orientation, (0.7, 0.9, 3.1), (-12.0, 40.0, 7.0), tilt))
        back = from_sitk(to_sitk(volume), "back")
        np.testing.assert_array_equal(back.voxels, volume.voxels)
        np.testing.assert_allclose(back.ijk_to_ras, volume.ijk_to_ras, atol=1e-12)
        assert back.name == "back"

    def test_the_image_is_in_lps(self):
        image = to_sitk(numbered(geometry("RAS", (0.5, 2.0, 3.0), (10.0, 20.0, 30.0))))
        assert image.GetSize() == SIZE
        assert image.GetSpacing() == (0.5, 2.0, 3.0)
        assert image.GetOrigin() == (-10.0, -20.0, 30.0)
        assert image.GetDirection() == (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)

    @given(orientations, tilts)
    def test_simpleitk_puts_a_voxel_where_we_do(self, orientation, tilt):
        volume = numbered(geometry(orientation, (0.7, 0.9, 3.1), (-12.0, 40.0, 7.0), tilt))
        lps = np.array(to_sitk(volume).TransformIndexToPhysicalPoint((3, 1, 2)))
        np.testing.assert_allclose(lps * (-1, -1, 1), apply_affine(volume.ijk_to_ras, (3, 1, 2)), atol=1e-9)

    def test_an_image_with_colours_is_refused(self):
        with pytest.raises(LandmarkDetectionError, match="three axes"):
            from_sitk(sitk.Image([4, 4, 4], sitk.sitkVectorUInt8, 3), "photo")
