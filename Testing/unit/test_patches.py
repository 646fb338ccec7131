"""A patch holds what a plain slice of the volume holds, zeros beyond its border."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from LandmarkDetectionLib.detectors.patches import cut_patches, pad_for_patches, plane_stacks
from LandmarkDetectionLib.detectors.pin_search import PatchImage
from LandmarkDetectionLib.detectors.windowed_image import as_network_input
from LandmarkDetectionLib.preprocessing import CanonicalVolume

SHAPE = (6, 7, 9)
"""Of the volumes below, along k, j, i."""


def volumes(cases=3, shape=SHAPE):
    return torch.from_numpy(np.random.default_rng(0).integers(1, 256, (cases, *shape)).astype(np.uint8))


def sliced(volume, centre_kji, patch_size):
    """The three planes around a voxel, across i, j and k, one numpy slice each."""
    half = patch_size // 2
    k, j, i = np.array(centre_kji) + half
    padded = np.pad(volume, half)
    rows_k, rows_j, rows_i = (slice(n - half, n + half + 1) for n in (k, j, i))
    return np.stack([padded[rows_k, rows_j, i], padded[rows_k, j, rows_i], padded[k, rows_j, rows_i]])


def cut(images, cases, centres_kji, patch_size, contiguous):
    stacks = plane_stacks(pad_for_patches(images, patch_size))
    if contiguous:
        stacks = tuple(stack.contiguous() for stack in stacks)
    return cut_patches(stacks, torch.tensor(cases), torch.tensor(centres_kji), patch_size).numpy()


@st.composite
def samples(draw):
    """Cases and centres anywhere in the volume, its corners included."""
    batch, landmarks = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    voxel = st.tuples(*[st.integers(0, side - 1) for side in SHAPE])
    centres = st.lists(st.lists(voxel, min_size=landmarks, max_size=landmarks), min_size=batch, max_size=batch)
    return draw(st.lists(st.integers(0, 2), min_size=batch, max_size=batch)), draw(centres)


@pytest.mark.parametrize("contiguous", [True, False])
@settings(max_examples=30)
@given(samples(), st.sampled_from([1, 3, 5, 11, 21]))
def test_patches_equal_numpy_slices(contiguous, sample, patch_size):
    cases, centres_kji = sample
    patches = cut(volumes(), cases, centres_kji, patch_size, contiguous)
    expected = [
        np.concatenate([sliced(volumes()[case].numpy(), centre, patch_size) for centre in centres])
        for case, centres in zip(cases, centres_kji, strict=True)
    ]
    np.testing.assert_array_equal(patches, np.array(expected))


def test_the_channels_of_a_pixel_are_neighbours_in_memory():
    stacks = plane_stacks(pad_for_patches(volumes(), 5))
    patches = cut_patches(stacks, torch.tensor([2, 0]), torch.tensor([[[1, 2, 3]], [[5, 0, 8]]]), 5)
    assert patches.is_contiguous(memory_format=torch.channels_last)


def test_every_corner_can_be_cut():
    corners = [(k, j, i) for k in (0, 5) for j in (0, 6) for i in (0, 8)]
    patches = cut(volumes(1), [0], [corners], 5, contiguous=False)
    expected = np.concatenate([sliced(volumes(1)[0].numpy(), corner, 5) for corner in corners])
    np.testing.assert_array_equal(patches[0], expected)


def test_channels_are_the_planes_across_i_j_and_k_of_each_landmark():
    index = (torch.arange(np.prod(SHAPE)) % 256).to(torch.uint8).reshape(1, *SHAPE)
    first, second = (2, 3, 4), (3, 2, 5)
    patches = cut(index, [0], [[first, second]], 3, contiguous=False)[0]
    assert patches.shape == (6, 3, 3)

    def voxel(k, j, i):
        return (k * 7 + j) * 9 + i

    # Rows and columns of the second patch of the first landmark, across j: k and i.
    np.testing.assert_array_equal(patches[1], [[voxel(k, 3, i) for i in (3, 4, 5)] for k in (1, 2, 3)])
    np.testing.assert_array_equal(patches[0], [[voxel(k, j, 4) for j in (2, 3, 4)] for k in (1, 2, 3)])
    np.testing.assert_array_equal(patches[5], [[voxel(3, j, i) for i in (4, 5, 6)] for j in (1, 2, 3)])


@settings(max_examples=30)
@given(st.integers(0, 6), st.integers(0, 8), st.integers(0, 2))
def test_pictures_have_one_patch_a_landmark(j, i, case):
    pictures = volumes(3, (1, 7, 9))
    patches = cut(pictures, [case], [[(0, j, i), (0, 0, 0)]], 5, contiguous=False)
    assert patches.shape == (1, 2, 5, 5)
    padded = np.pad(pictures[case, 0].numpy(), 2)
    np.testing.assert_array_equal(patches[0, 0], padded[j : j + 5, i : i + 5])
    np.testing.assert_array_equal(patches[0, 1], padded[:5, :5])


def canonical(voxels, window=(0.0, 255.0), origin_ijk=(4.0, 3.0, 2.0), spacing_mm=(2.0, 2.0, 2.0)):
    return CanonicalVolume(voxels, np.array(spacing_mm), np.array(origin_ijk), np.eye(4), window)


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "float32", "float64", "bool"]
)
def test_voxels_of_every_type_are_windowed_to_zero_and_one(dtype):
    voxels = (np.arange(np.prod(SHAPE)).reshape(SHAPE) % 2).astype(dtype)
    image = PatchImage(canonical(voxels, window=(0.0, 1.0)), 3, torch.device("cpu"))
    patches = image.patches(torch.tensor([[[4, 3, 2]]]))
    expected = sliced(voxels.astype(np.uint8), (2, 3, 4), 3)
    np.testing.assert_array_equal(patches[0].float().numpy(), expected)


def test_window_is_clipped_and_linear_between():
    voxels = np.zeros(SHAPE, np.float32)
    voxels[2, 3, 3:6] = -10.0, 150.0, 990.0
    image = PatchImage(canonical(voxels, window=(100.0, 300.0)), 3, torch.device("cpu"))
    row = image.patches(torch.tensor([[[4, 3, 2]]]))[0, 2, 1].float().numpy()
    np.testing.assert_allclose(row, [0.0, 0.25, 1.0], atol=1 / 255)


def test_outside_of_the_volume_looks_as_dark_as_the_low_end_of_the_window():
    image = PatchImage(canonical(np.full(SHAPE, 700, np.int16), window=(200.0, 700.0)), 3, torch.device("cpu"))
    patch = image.patches(torch.tensor([[[0, 0, 0]]]))[0, 2].float().numpy()
    np.testing.assert_array_equal(patch, [[0, 0, 0], [0, 1, 1], [0, 1, 1]])


def test_positions_go_to_the_nearest_voxel_inside_and_back():
    image = PatchImage(canonical(np.ones(SHAPE, np.uint8), origin_ijk=(4.25, 3.0, 2.0)), 3, torch.device("cpu"))
    positions = torch.tensor([[0.0, 0.0, 0.0], [0.6, -3.1, 1.2], [-900.0, 900.0, 0.0]])
    voxels = image.nearest_voxels(positions)
    assert voxels.tolist() == [[4, 3, 2], [5, 1, 3], [0, 6, 2]]
    np.testing.assert_allclose(image.frame_positions(voxels)[1], [1.5, -4.0, 2.0])


def test_all_256_levels_stay_apart_in_the_network_s_precision():
    levels = as_network_input(torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16))
    assert levels.float().unique().numel() == 256
    assert (levels.min(), levels.max()) == (0.0, 1.0)
