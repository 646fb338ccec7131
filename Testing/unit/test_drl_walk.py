"""Agents act, see, oscillate, change their scale and come to an end as they should."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from LandmarkDetectionLib.detectors.drl_walk import DRLNetworkSettings, Walk, moved, views
from LandmarkDetectionLib.errors import LandmarkDetectionError

SMALL = {"patch_size": 5, "frames": 2, "widths": (4,), "kernels": (3,), "hidden": (6,)}
SETTINGS = DRLNetworkSettings(**SMALL, strides=(3, 2, 1), steps=(3, 2, 1))
FORWARD_K, BACK_K, FORWARD_J, BACK_J, FORWARD_I, BACK_I = range(6)


def walk_from(*starts, sides=(40, 40, 40), settings=SETTINGS):
    return Walk(torch.tensor([starts]), sides, settings)


def values_towards(targets, positions):
    """Hand-made values (1, n, 2 d): how much nearer one voxel along each action brings."""
    offsets = torch.tensor([targets]) - positions
    return torch.stack([offsets, -offsets], dim=-1).flatten(-2).float()


def test_each_action_is_a_step_along_one_axis():
    positions = torch.tensor([[10, 10, 10]] * 6)
    reached = moved(positions, torch.arange(6), torch.tensor([1, 1, 2, 2, 3, 3]), torch.tensor([20, 20, 20]))
    expected = [[11, 10, 10], [9, 10, 10], [10, 12, 10], [10, 8, 10], [10, 10, 13], [10, 10, 7]]
    assert reached.tolist() == expected


def test_an_agent_stays_where_a_step_would_leave_the_image():
    positions = torch.tensor([[0, 4], [0, 4], [1, 3]])
    actions = torch.tensor([BACK_K, FORWARD_J, FORWARD_J])
    assert moved(positions, actions, torch.tensor(1), torch.tensor([5, 5])).tolist() == [[0, 4], [0, 4], [1, 4]]


@pytest.mark.parametrize("dimension", [2, 3])
def test_patches_show_every_so_manieth_voxel_around_the_last_positions(dimension):
    sides = (17, 18, 19)[-dimension:]
    images = torch.randint(1, 255, (2, *sides), dtype=torch.uint8)
    frames = torch.tensor([[[[8, 7, 9], [8, 7, 6]], [[2, 3, 1], [2, 4, 1]]]] * 2)[..., -dimension:]
    scales = torch.tensor([[0, 2], [1, 0]])
    seen = views(images, frames, scales, SETTINGS)
    assert seen.shape == (4, 2, *[5] * dimension)
    for walker, agent, frame in np.ndindex(2, 2, 2):
        stride = SETTINGS.strides[scales[walker, agent]]
        for offset in np.ndindex(*[5] * dimension):
            voxel = frames[walker, agent, frame] + stride * (torch.tensor(offset) - 2)
            is_inside = ((voxel >= 0) & (voxel < torch.tensor(sides))).all()
            expected = images[walker][tuple(voxel)] if is_inside else 0
            assert seen[2 * walker + agent, frame][offset] == expected


def test_frames_are_the_last_positions_the_present_one_first():
    walk = walk_from([5, 5, 5])
    assert walk.frames.tolist() == [[[[5, 5, 5], [5, 5, 5]]]]
    for action in (FORWARD_K, FORWARD_I):
        walk.go(torch.zeros(1, 1, 6), torch.tensor([[action]]))
    assert walk.frames.tolist() == [[[[8, 5, 8], [8, 5, 5]]]]


def test_an_agent_oscillates_at_its_fourth_visit_and_goes_on_at_the_next_scale_from_the_least_value():
    walk = walk_from([12, 12, 12], [12, 12, 12])
    back_and_forth, away = [FORWARD_K, BACK_K], [FORWARD_J] * 2
    # Of the first agent, what it expects at 12 and at 15, in turn; less at 15.
    expectations = [5.0, 2.0] * 3
    for step in range(6):
        assert walk.scales.tolist() == [[0, 0]]
        values = torch.zeros(1, 2, 6)
        values[0, 0, 0] = expectations[step]
        walk.go(values, torch.tensor([[back_and_forth[step % 2], away[step % 2]]]))
    assert walk.scales.tolist() == [[1, 0]], "each agent for itself"
    assert walk.positions[0, 0].tolist() == [15, 12, 12]
    assert not walk.is_oscillating[0, 0], "its memory is empty"
    walk.go(torch.zeros(1, 2, 6), torch.tensor([[FORWARD_K, FORWARD_J]]))
    assert walk.positions[0, 0].tolist() == [17, 12, 12], "two voxels at the second scale"


def test_positions_before_the_walk_do_not_count_as_visits():
    assert not walk_from([5, 5, 5]).is_oscillating.any()


def test_hand_made_values_lead_to_the_targets_and_the_walk_ends_there():
    targets = [[22, 9, 31], [3, 36, 17]]
    walk = walk_from([11, 20, 8], [30, 5, 30])
    scales = []
    for _ in range(100):
        values = values_towards(targets, walk.positions)
        scales.append(walk.scales.tolist())
        walk.go(values, values.argmax(-1))
    assert walk.has_ended.all()
    assert walk.positions.tolist() == [targets]
    assert scales[0] == [[0, 0]]
    assert scales[-1] == [[2, 2]]
    ended_at = walk.positions.clone()
    walk.go(torch.zeros(1, 2, 6), torch.zeros(1, 2, dtype=torch.long))
    assert torch.equal(walk.positions, ended_at)


def test_in_a_picture_there_are_four_actions():
    walk = walk_from([3, 4], sides=(30, 30))
    for _ in range(60):
        values = values_towards([[20, 11]], walk.positions)
        walk.go(values, values.argmax(-1))
    assert walk.positions.tolist() == [[[20, 11]]]
    assert walk.has_ended.all()


def test_the_published_network_has_512_features_and_six_actions_an_agent():
    network = DRLNetworkSettings().network(3, 2)
    assert network.heads[0].weight.shape == (2, 512, 256)
    assert network.heads[-1].weight.shape == (2, 128, 6)


@pytest.mark.parametrize("dimension", [2, 3])
def test_an_agents_values_are_what_its_own_head_says(dimension):
    torch.manual_seed(0)
    network = SETTINGS.network(dimension, 3)
    patches = torch.rand(6, 2, *[5] * dimension)
    values = network(patches)
    assert values.shape == (2, 3, 2 * dimension)
    with torch.no_grad():
        network.heads[-1].weight[1] = 0.0
    changed = (network(patches) != values).any(-1)
    assert changed.tolist() == [[False, True, False]] * 2


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"patch_size": 6}, "an odd patch_size"),
        ({"steps": (3, 0, 1)}, "above zero"),
        ({"frames": 0}, "1 to 20 frames"),
        ({"steps": (3, 1)}, "a step for each stride"),
        ({"kernels": (3, 3)}, "a kernel for each width"),
        ({"strides": (), "steps": ()}, "need a scale"),
        ({"kernels": (7,)}, "enlarge patch_size"),
    ],
)
def test_settings_that_make_no_agent_are_refused(changes, complaint):
    with pytest.raises(LandmarkDetectionError, match=complaint):
        DRLNetworkSettings(**{**SMALL, "strides": (3, 2, 1), "steps": (3, 2, 1), **changes})
