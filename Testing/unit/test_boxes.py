"""A box holds what a plain slice of the image holds, zeros beyond its border."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from LandmarkDetectionLib.detectors.boxes import cut_boxes, nearest_voxels, pad_for_boxes

SIDES = {2: (7, 9), 3: (6, 7, 9)}
"""Of the images below, in array order, by dimension."""
CASES = 3


def images(dimension):
    sides = SIDES[dimension]
    return torch.from_numpy(np.random.default_rng(0).integers(1, 256, (CASES, *sides)).astype(np.uint8))


def sliced(image, centre, size):
    """One numpy slice of the padded image."""
    padded = np.pad(image, size)
    return padded[tuple(slice(c + size - size // 2, c + 2 * size - size // 2) for c in centre)]


@st.composite
def samples(draw):
    """Cases and centres anywhere in images of either dimension, their corners included."""
    dimension = draw(st.sampled_from([2, 3]))
    voxel = st.tuples(st.integers(0, CASES - 1), *[st.integers(0, side - 1) for side in SIDES[dimension]])
    chosen = np.array(draw(st.lists(voxel, min_size=1, max_size=5)))
    return dimension, chosen[:, 0], chosen[:, 1:]


@settings(max_examples=60)
@given(samples(), st.sampled_from([1, 2, 3, 4, 8, 21]))
def test_boxes_equal_numpy_slices(sample, size):
    dimension, cases, centres = sample
    padded = pad_for_boxes(images(dimension), size)
    boxes = cut_boxes(padded, torch.from_numpy(cases), torch.from_numpy(centres), size)
    expected = [
        sliced(images(dimension)[case].numpy(), centre, size) for case, centre in zip(cases, centres, strict=True)
    ]
    np.testing.assert_array_equal(boxes.numpy(), np.stack(expected))


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("size", [1, 4, 5])
def test_boxes_around_the_first_and_the_last_voxel_can_be_cut(dimension, size):
    last = [side - 1 for side in SIDES[dimension]]
    centres = torch.tensor([[0] * dimension, last])
    boxes = cut_boxes(pad_for_boxes(images(dimension), size), torch.tensor([0, CASES - 1]), centres, size)
    middle = (slice(None), *[size // 2] * dimension)
    expected = [images(dimension)[0].flatten()[0], images(dimension)[-1].flatten()[-1]]
    assert boxes[middle].tolist() == expected


def test_the_margin_is_no_wider_than_boxes_of_an_even_side_need():
    assert pad_for_boxes(torch.zeros(2, 6, 7, 9), 4).shape == (2, 9, 10, 12)


def test_positions_go_to_the_nearest_voxel_inside():
    positions = torch.tensor([[0.4, 2.6, 8.4], [-900.0, 900.0, 8.6]])
    assert nearest_voxels(positions, SIDES[3]).tolist() == [[0, 3, 8], [0, 6, 8]]
