"""The picture of a volume on a plane: values, geometry, and which way up it is."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.geometry import apply_affine, rotation_matrix
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.planes import StandardPlane, standard_plane
from LandmarkDetectionLib.reslicing import reslice, write_plane_png
from LandmarkDetectionLib.standard_definitions import FETAL_HEAD_PLANES
from LandmarkDetectionLib.volume import Volume

IDENTITY = np.eye(3)


def plane_at(origin_ras, frame=IDENTITY, size_mm=(8.0, 6.0)) -> StandardPlane:
    return StandardPlane("TV", np.array(origin_ras, dtype=float), *frame.T, size_mm)


def geometry(frame=IDENTITY, spacing_mm=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0)) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = frame * np.array(spacing_mm)
    matrix[:3, 3] = origin
    return matrix


def pixel_centres_ras(slice_volume: Volume) -> np.ndarray:
    """(1, rows, columns, 3)"""
    ijk = np.stack(np.indices(slice_volume.voxels.shape)[::-1], axis=-1)
    return apply_affine(slice_volume.ijk_to_ras, ijk)


def test_the_centre_of_eight_voxels_is_their_mean():
    volume = Volume(np.array([[[1, 2], [3, 4]], [[5, 6], [7, 80]]], dtype=np.uint8), np.eye(4))
    pixel = reslice(volume, plane_at((0.5, 0.5, 0.5)), 1.0, (1.0, 1.0))
    assert pixel.voxels.tolist() == [[[13.5]]]


def test_a_point_between_voxels_is_interpolated_linearly():
    """i 0.25, j 0.5, k 0.75: the rows are 1.25, 3.25, 5.25 and 7 + 73 / 4, their means 2.25 and 15.25."""
    volume = Volume(np.array([[[1, 2], [3, 4]], [[5, 6], [7, 80]]], dtype=np.int16), np.eye(4))
    pixel = reslice(volume, plane_at((0.25, 0.5, 0.75)), 1.0, (1.0, 1.0))
    assert pixel.voxels.item() == pytest.approx(0.25 * 2.25 + 0.75 * 15.25)


@given(st.tuples(*[st.floats(-1.0, 1.0)] * 3), st.floats(-180.0, 180.0), st.sampled_from([-1.0, 1.0]))
def test_a_linear_ramp_is_exact_on_oblique_planes(axis, angle_deg, handedness):
    volume_frame = rotation_matrix((1.0, -2.0, 0.5), 50.0) * (1.0, 1.0, handedness)
    matrix = geometry(volume_frame, (0.5, 0.75, 1.25))
    matrix[:3, 3] = np.array([4.0, 5.0, 6.0]) - matrix[:3, :3] @ (15.0, 11.0, 7.0)
    ijk = np.stack(np.indices((15, 23, 31))[::-1], axis=-1)
    slope = np.array([3.0, -7.0, 2.0])
    volume = Volume((apply_affine(matrix, ijk) @ slope).astype(np.float32), matrix)

    plane = plane_at((4.5, 4.0, 6.0), rotation_matrix(np.add(axis, (0.0, 0.0, 1.5)), angle_deg))
    resliced = reslice(volume, plane, 0.25, (30.0, 30.0))

    points = pixel_centres_ras(resliced)
    index = apply_affine(np.linalg.inv(matrix), points)
    inside = np.all((index >= 0) & (index <= np.array(volume.size) - 1), axis=-1)
    outside = np.any((index < -0.51) | (index > np.array(volume.size) - 0.49), axis=-1)
    assert inside.sum() > 100
    assert outside.sum() > 100
    np.testing.assert_allclose(resliced.voxels[inside], points[inside] @ slope, atol=1e-4)
    assert np.all(resliced.voxels[outside] == volume.voxels.min())


def test_the_slice_lies_on_the_plane():
    frame = rotation_matrix((1.0, 2.0, 3.0), 70.0)
    volume = Volume(np.ones((4, 4, 4), np.uint8), np.eye(4), "head")
    resliced = reslice(volume, plane_at((1.0, 2.0, 3.0), frame), 0.5)
    assert resliced.size == (16, 12, 1)
    assert resliced.voxels.dtype == np.float32
    assert resliced.name == "head TV"
    np.testing.assert_allclose(resliced.ijk_to_ras[:3, :3], 0.5 * frame)
    np.testing.assert_allclose(resliced.centre_ras, (1.0, 2.0, 3.0))
    np.testing.assert_allclose(pixel_centres_ras(resliced).mean(axis=(0, 1, 2)), (1.0, 2.0, 3.0))


def test_a_size_overrides_that_of_the_plane():
    volume = Volume(np.ones((4, 4, 4), np.uint8), np.eye(4))
    assert reslice(volume, plane_at((0, 0, 0)), 0.5, (10.0, 0.1)).size == (20, 1, 1)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", ">i2", "int64", "uint64", "bool", "float16"])
def test_voxels_of_every_type_are_read(dtype):
    voxels = np.arange(24).reshape(2, 3, 4).astype(dtype)
    resliced = reslice(Volume(voxels, np.eye(4)), plane_at((1.5, 1.0, 1.0)), 1.0, (4.0, 3.0))
    np.testing.assert_array_equal(resliced.voxels[0], voxels[1].astype(np.float32))


def test_a_view_with_strides_is_read():
    voxels = np.random.default_rng(0).random((6, 5, 8)).astype(np.float32)[::-1, :, ::2]
    resliced = reslice(Volume(voxels, np.eye(4)), plane_at((1.5, 2.0, 2.0)), 1.0, (4.0, 5.0))
    np.testing.assert_array_equal(resliced.voxels[0], voxels[2])


def test_a_read_only_memory_map_is_read_without_a_copy(tmp_path):
    np.save(tmp_path / "voxels.npy", np.arange(256**3, dtype=np.uint8).reshape(256, 256, 256))
    volume = Volume(np.load(tmp_path / "voxels.npy", mmap_mode="r"), np.eye(4))
    reslice(volume, plane_at((0, 0, 0)), 1.0)
    tracemalloc.start()
    resliced = reslice(volume, plane_at((128.0, 128.0, 128.0), size_mm=(10.0, 10.0)), 1.0)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert resliced.voxels.max() > 0
    assert peak_bytes < 256**3 / 10


def test_a_picture_of_tv_has_the_face_to_the_left_and_the_right_side_below(tmp_path):
    """The signs a sonographer expects, checked with one bright voxel near the CSP and one near the right skull."""
    landmarks = LandmarkSet(
        {
            "centerHead": (0, 0, 0),
            "frontHead": (0, 50, 0),
            "backHead": (0, -50, 0),
            "rightHead": (40, 0, 0),
            "leftHead": (-40, 0, 0),
            "rightVentInner": (10, -15, 0),
            "rightVentOuter": (17, -15, 0),
            "CSP": (0, 20, 0),
        }
    )
    voxels = np.zeros((5, 121, 121), np.uint8)
    volume = Volume(voxels, geometry(origin=(-60.0, -60.0, -2.0)))
    for brightness, (right, anterior) in ((200, (0, 40)), (100, (30, 0))):
        voxels[:, anterior + 60, right + 60] = brightness

    path = tmp_path / "case_TV.png"
    write_plane_png(reslice(volume, standard_plane(FETAL_HEAD_PLANES[0], landmarks), 1.0, (121.0, 101.0)), path)

    picture = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    assert picture.dtype == np.uint8
    assert picture.shape == (101, 121)
    face_row, face_column = np.argwhere(picture == picture.max())[0]
    assert (face_row, face_column) == (50, 20)
    assert picture[80, 60] > 0


def test_a_png_spans_the_percentile_window(tmp_path):
    pixels = np.linspace(-500.0, 1500.0, 200 * 200).reshape(1, 200, 200)
    pixels[0, 0, 0] = 1e6
    write_plane_png(Volume(pixels, np.eye(4)), tmp_path / "window.png")
    picture = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "window.png")))
    assert picture[0, 1] == 0
    assert picture[-1, -1] == 255
    assert picture[100, 100] == pytest.approx(128, abs=2)


@pytest.mark.parametrize("value", [0.0, -1000.0, 7.0])
def test_a_uniform_slice_is_black(tmp_path, value):
    write_plane_png(Volume(np.full((1, 4, 5), value), np.eye(4)), tmp_path / "uniform.png")
    assert sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "uniform.png"))).tolist() == [[0] * 5] * 4


def test_a_png_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(LandmarkDetectionError, match="could not be written"):
        write_plane_png(Volume(np.ones((1, 4, 5)), np.eye(4)), tmp_path / "file" / "plane.png")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
