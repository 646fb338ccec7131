"""Pictures of landmarks on a volume show the right place, the right way round."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.image import imread

from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.pictures import landmark_picture
from LandmarkDetectionLib.volume import Volume

AMBER = np.array([255, 176, 0])


@pytest.fixture
def block() -> Volume:
    """40 x 60 x 50 mm along R, A, S, all dark."""
    return Volume(np.zeros((50, 60, 40), dtype=np.uint8), np.diag([1.0, 1.0, 1.0, 1.0]))


@pytest.fixture
def photograph() -> Volume:
    """A dark picture of 100 x 50 pixels of 0.5 mm, x to the right and y down."""
    return Volume(np.zeros((1, 50, 100), dtype=np.uint8), np.diag([-0.5, -0.5, 1.0, 1.0]))


def pixels_of(png: bytes) -> np.ndarray:
    return np.rint(imread(io.BytesIO(png))[..., :3] * 255).astype(int)


def amber_spots(pixels: np.ndarray) -> np.ndarray:
    """(row, column) of every pixel of the first set's colour."""
    return np.argwhere(np.abs(pixels - AMBER).max(axis=-1) < 8)


def test_a_picture_shows_a_landmark_where_it_lies(photograph):
    pixels = pixels_of(landmark_picture(photograph, LandmarkSet({"tip": (-12.25, -6.0, 0.0)}), named=(), height_px=200))
    assert pixels.shape[:2] == (200, 400)
    np.testing.assert_allclose(amber_spots(pixels).mean(axis=0), (49.5, 99.5), atol=1.5)


def test_a_volume_is_shown_in_the_radiological_convention(block):
    right_front_top = LandmarkSet({"corner": (35.0, 50.0, 45.0)})
    pixels = pixels_of(landmark_picture(block, right_front_top, height_px=300))
    rows, columns = amber_spots(pixels).T
    width_mm = 40 + 40 + 60
    millimetres = columns * width_mm / pixels.shape[1]
    axial, coronal, sagittal = millimetres < 40, (millimetres >= 40) & (millimetres < 80), millimetres >= 80
    assert millimetres[axial].mean() < 20, "the patient's right is on the left of the axial slice"
    assert millimetres[coronal].mean() < 60, "the patient's right is on the left of the coronal slice"
    assert millimetres[sagittal].mean() < 110, "the patient's front is on the left of the sagittal slice"
    assert max(rows[view].mean() for view in (axial, coronal, sagittal)) < 100, "front or top is up"


@pytest.mark.parametrize("orientation", ["RAS", "PIR", "LSA"])
def test_how_the_voxels_are_stored_does_not_change_the_picture(block, orientation):
    voxels = np.random.default_rng(0).integers(0, 255, block.voxels.shape, dtype=np.uint8)
    volume = Volume(voxels, block.ijk_to_ras)
    landmarks = LandmarkSet({"a": (10.0, 20.0, 30.0), "b": (30.0, 40.0, 10.0)})
    stored_otherwise = landmark_picture(volume.reoriented(orientation), landmarks)
    np.testing.assert_allclose(pixels_of(stored_otherwise), pixels_of(landmark_picture(volume, landmarks)), atol=3)


def test_a_landmark_far_from_the_slice_is_fainter(block):
    landmarks = LandmarkSet({"far": (20.0, 50.0, 25.0)})
    near = pixels_of(landmark_picture(block, landmarks))
    far = pixels_of(landmark_picture(block, landmarks, focus_ras=np.array([20.0, 10.0, 25.0])))
    assert len(amber_spots(near)) > len(amber_spots(far)) > 0


def test_the_slices_run_through_the_focus(block):
    voxels = block.voxels.copy()
    voxels[40] = 200
    bright_layer = Volume(voxels, block.ijk_to_ras)
    through = pixels_of(landmark_picture(bright_layer, focus_ras=np.array([20.0, 30.0, 40.0])))
    beside = pixels_of(landmark_picture(bright_layer, focus_ras=np.array([20.0, 30.0, 10.0])))
    assert through[150, 30].min() > 150
    assert beside[150, 30].max() < 50


def test_missing_landmarks_are_not_drawn(photograph):
    absent = LandmarkSet({"tip": None})
    assert len(amber_spots(pixels_of(landmark_picture(photograph, absent)))) == 0


def test_a_picture_names_its_landmarks_and_a_volume_only_those_asked_for(photograph, block):
    middle = LandmarkSet({"tip": (-20.0, -12.0, 0.0)})
    assert landmark_picture(photograph, middle) == landmark_picture(photograph, middle, named=("tip",))
    assert landmark_picture(photograph, middle) != landmark_picture(photograph, middle, named=())
    inside = LandmarkSet({"tip": (20.0, 30.0, 25.0)})
    assert landmark_picture(block, inside) == landmark_picture(block, inside, named=())
    assert landmark_picture(block, inside) != landmark_picture(block, inside, named=("tip",))
