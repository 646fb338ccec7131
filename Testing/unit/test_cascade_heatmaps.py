"""The targets and losses of the cascade's first stage, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from LandmarkDetectionLib.training.heatmaps import (
    SIDE_PATH_WEIGHTS,
    heatmap_loss,
    target_heatmaps,
    weighted_squared_error,
)

NOWHERE = (math.nan, math.nan)


def targets(positions, size=(1, 5), sigma=1.0, height=1.0, is_shown=None):
    """Of one picture."""
    positions = torch.tensor(positions)[None]
    shown = torch.isfinite(positions).all(-1) if is_shown is None else torch.tensor([is_shown])
    return target_heatmaps(positions, shown, size, sigma, height)[0]


def test_one_landmark_fills_up_what_the_background_leaves():
    """exp(-d^2 / 2) at d = 0, 1, 2 voxels."""
    spot, background = targets([(0.0, 2.0)])
    torch.testing.assert_close(spot[0], torch.tensor([0.135335, 0.606531, 1.0, 0.606531, 0.135335]))
    torch.testing.assert_close(background, 1.0 - spot)


def test_two_landmarks_share_what_the_background_of_the_closer_one_leaves():
    """At voxel 1: heats exp(-1/2) of the first, 1 away, and exp(-2) of the second, 2 away; the background is fixed by
    the first, 1 - 0.606531, and both are scaled by 0.606531 / (0.606531 + 0.135335) = 0.817575."""
    first, second, background = targets([(0.0, 0.0), (0.0, 3.0)], size=(1, 4))
    assert background[0, 1].item() == pytest.approx(0.393469, abs=1e-6)
    assert first[0, 1].item() == pytest.approx(0.495885, abs=1e-6)
    assert second[0, 1].item() == pytest.approx(0.110646, abs=1e-6)


def test_distances_count_along_all_axes_of_a_volume():
    """From (1, 2, 0.5) to voxel (0, 0, 0): 1 + 4 + 0.25 = 5.25, over 2 sigma^2 = 8."""
    spot, _ = targets([(1.0, 2.0, 0.5)], size=(2, 3, 2), sigma=2.0)
    assert spot[0, 0, 0].item() == pytest.approx(math.exp(-5.25 / 8.0), abs=1e-6)
    assert spot[1, 2, 1].item() == pytest.approx(math.exp(-0.25 / 8.0), abs=1e-6)


def test_height_is_the_heat_at_the_landmark_and_leaves_the_rest_to_the_background():
    spot, background = targets([(0.0, 2.0)], height=0.8)
    assert spot[0, 2].item() == pytest.approx(0.8)
    assert background[0, 2].item() == pytest.approx(0.2)


def test_far_from_every_landmark_there_is_background_alone():
    heatmaps = targets([(0.0, 0.0), (0.0, 1.0)], size=(1, 200))
    torch.testing.assert_close(heatmaps[:, 0, 199], torch.tensor([0.0, 0.0, 1.0]))


@pytest.mark.parametrize(
    ("positions", "is_shown"), [([(0.0, 2.0), NOWHERE], None), ([(0.0, 2.0), (0.0, 1.0)], (True, False))]
)
def test_landmarks_that_are_not_shown_have_no_heat_and_leave_the_others_alone(positions, is_shown):
    spot, absent, background = targets(positions, is_shown=is_shown)
    expected, expected_background = targets([(0.0, 2.0)])
    torch.testing.assert_close(spot, expected)
    torch.testing.assert_close(background, expected_background)
    assert not absent.any()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(*[st.floats(-2.0, 8.0)] * 3), min_size=1, max_size=4),
    st.floats(0.3, 3.0),
    st.floats(0.1, 1.0),
)
def test_all_channels_sum_to_one_in_every_voxel(positions, sigma, height):
    heatmaps = targets(positions, (6, 5, 7), sigma, height)
    torch.testing.assert_close(heatmaps.sum(0), torch.ones(6, 5, 7))
    assert heatmaps.min() >= 0.0


def test_targets_lie_in_memory_as_networks_write_their_output():
    heatmaps = target_heatmaps(torch.zeros(2, 3, 3), torch.ones(2, 3, dtype=torch.bool), (4, 5, 6), 1.0, 1.0)
    assert heatmaps.is_contiguous(memory_format=torch.channels_last_3d)


def heat(*values):
    """Channels (1, channels, 1, voxels) of a picture one pixel high."""
    return torch.tensor(values)[None, :, None]


ALL_KNOWN = torch.ones(1, 2, dtype=torch.bool)


def test_errors_weigh_as_the_exponential_of_the_predicted_heat():
    """e^0 (0 - 1)^2 = 1, e^0.5 (0.5 - 0.2)^2 = 0.148385; e^1 (1 - 1)^2 = 0, e^-1 (-1 - 1)^2 = 1.471518."""
    predicted, target = heat([0.0, 0.5], [1.0, -1.0]), heat([1.0, 0.2], [1.0, 1.0])
    loss = weighted_squared_error(predicted, target, ALL_KNOWN)
    assert loss.item() == pytest.approx((1.0 + 0.148385 + 0.0 + 1.471518) / 4, abs=1e-6)


def test_unknown_channels_do_not_count():
    predicted, target = heat([0.0, 0.5], [1.0, -1.0]), heat([1.0, 0.2], [1.0, 1.0])
    predicted.requires_grad_()
    loss = weighted_squared_error(predicted, target, torch.tensor([[False, True]]))
    assert loss.item() == pytest.approx(1.471518 / 2, abs=1e-6)
    loss.backward()
    assert not predicted.grad[0, 0].any()


def test_nothing_known_is_no_loss():
    predicted = heat([0.0, 0.5], [1.0, -1.0]).requires_grad_()
    loss = weighted_squared_error(predicted, torch.zeros_like(predicted), torch.zeros(1, 2, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0.0
    assert not predicted.grad.any()


def test_weights_are_constants_to_the_gradient_unless_told_otherwise():
    """d/dP of e^P (P - H)^2 / 4 at P = 0.5, H = 0.2: 2 e^0.5 0.3 / 4 = 0.247308; with the weight's own derivative,
    e^0.5 0.3^2 / 4 = 0.037096, more."""
    gradients = []
    for constant in (True, False):
        predicted = heat([0.0, 0.5], [1.0, -1.0]).requires_grad_()
        target = heat([1.0, 0.2], [1.0, 1.0])
        weighted_squared_error(predicted, target, ALL_KNOWN, weights_are_constant=constant).backward()
        gradients.append(predicted.grad[0, 0, 0, 1].item())
    assert gradients == pytest.approx([0.247308, 0.247308 + 0.037096], abs=1e-6)


def test_the_gradient_is_that_of_the_loss():
    torch.manual_seed(0)
    predicted = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    target = torch.rand(2, 3, 4, 5, dtype=torch.float64)
    known = torch.tensor([[True, False, True], [True, True, True]])

    def loss(heatmaps):
        return weighted_squared_error(heatmaps, target, known, weights_are_constant=False)

    value = loss(predicted)
    value.backward()
    step = torch.zeros_like(predicted)
    for index in ((0, 0, 1, 2), (0, 1, 0, 0), (1, 2, 3, 4)):
        step.zero_()[index] = 1e-2
        slope = (loss(predicted + step) - loss(predicted - step)).item() / 2e-2
        assert predicted.grad[index].item() == pytest.approx(slope, rel=1e-3, abs=1e-4)


def test_half_precision_heat_gets_a_gradient_of_its_own_kind():
    predicted = heat([0.0, 0.5], [1.0, -1.0]).bfloat16().requires_grad_()
    weighted_squared_error(predicted, heat([1.0, 0.2], [1.0, 1.0]), ALL_KNOWN).backward()
    assert predicted.grad.dtype == torch.bfloat16
    assert predicted.tolist() == heat([0.0, 0.5], [1.0, -1.0]).tolist()


def test_side_paths_count_three_six_and_nine_tenths():
    assert SIDE_PATH_WEIGHTS == (0.3, 0.6, 0.9)
    target = heat([0.0], [1.0])
    exact, wrong = target.clone(), heat([0.0], [0.0])
    alone = weighted_squared_error(wrong, target, ALL_KNOWN).item()
    assert alone == 0.5
    for position, weight in enumerate((1.0, 0.3, 0.6, 0.9)):
        outputs = [wrong if index == position else exact for index in range(4)]
        assert heatmap_loss(outputs, target, ALL_KNOWN).item() == pytest.approx(weight * alone)
