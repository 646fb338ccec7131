"""The votes of patches are averaged as the paper says, and the networks are taught what follows from that."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from LandmarkDetectionLib.detectors.patch_voting import (
    estimate,
    patch_centres,
    signed_exponential,
    signed_log,
)
from LandmarkDetectionLib.networks.global_to_local import Votes
from LandmarkDetectionLib.training.global_to_local_loss import displacements_to, patches_that_hold, voting_loss


def test_patch_centres_lie_between_voxels():
    centres = patch_centres((2, 3), 8)
    assert centres.shape == (2, 2, 3)
    assert centres[0].tolist() == [[3.5] * 3, [11.5] * 3]
    assert centres[1].tolist() == [[3.5, 11.5, 19.5]] * 2


def test_patch_centres_are_the_mean_of_their_voxels():
    voxels = torch.stack(torch.meshgrid(torch.arange(8.0), torch.arange(4.0), torch.arange(4.0), indexing="ij"))
    means = torch.nn.functional.avg_pool3d(voxels, 4)
    assert torch.equal(patch_centres((2, 1, 1), 4), means)


def test_logarithm_is_odd_and_of_one_more_than_the_distance():
    logarithms = signed_log(torch.tensor([0.0, 1.0, -1.0, math.e - 1, -19.0]))
    torch.testing.assert_close(logarithms, torch.tensor([0.0, math.log(2), -math.log(2), 1.0, -math.log(20)]))


@given(st.floats(-500, 500))
def test_logarithm_is_undone_by_the_exponential(displacement):
    value = torch.tensor(displacement, dtype=torch.float32)
    assert signed_exponential(signed_log(value)).item() == pytest.approx(displacement, rel=1e-5, abs=1e-5)


def test_absurd_logarithms_do_not_overflow():
    assert signed_exponential(torch.tensor([-1e6, 1e6])).isfinite().all()


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def votes(displacements=None, probabilities=None) -> Votes:
    """Of a picture with a row of patches: (patches, 2) displacements along (j, i) and a probability each."""
    moves = None if displacements is None else torch.tensor(displacements).T[None, None, :, None]
    logits = None if probabilities is None else torch.tensor([logit(one) for one in probabilities])[None, None, None]
    return Votes(moves, logits)


def test_landmark_is_the_mean_of_what_patches_point_to_weighted_by_their_probability():
    """Patches of 4 voxels centred at (1.5, 1.5) and (1.5, 5.5), weights 3/4 and 1/4."""
    found = estimate(votes([[1.0, 2.0], [-1.0, 2.0]], [0.6, 0.2]), 4, is_logarithmic=False)
    torch.testing.assert_close(found.positions[0, 0], torch.tensor([1.5 + 0.75 - 0.25, 0.75 * 3.5 + 0.25 * 7.5]))


def test_logarithms_are_inverted_before_they_are_averaged():
    """ln 2 and ln 8 point 1 and 7 voxels on: 4 voxels on average, not the 3 of the mean logarithm ln 4."""
    logarithms = [[0.0, math.log(2)], [0.0, math.log(8)]]
    found = estimate(votes(logarithms, [0.5, 0.5]), 4, is_logarithmic=True)
    assert found.positions[0, 0, 1].item() == pytest.approx((1.5 + 1 + 5.5 + 7) / 2)


def test_scatter_of_the_votes_is_weighted_too():
    """The votes at 3.5 and 7.5 with weights 3/4 and 1/4 have a variance of 16 * 3/16."""
    found = estimate(votes([[1.0, 2.0], [-1.0, 2.0]], [0.6, 0.2]), 4, is_logarithmic=False)
    torch.testing.assert_close(found.covariances[0, 0], 3 / 16 * torch.tensor([[4.0, -8.0], [-8.0, 16.0]]))


def test_votes_that_agree_scatter_not_at_all():
    found = estimate(votes([[0.5, 2.0], [0.5, -2.0]], [0.3, 0.9]), 4, is_logarithmic=False)
    torch.testing.assert_close(found.positions[0, 0], torch.tensor([2.0, 3.5]))
    torch.testing.assert_close(found.covariances, torch.zeros(1, 1, 2, 2))


def test_without_probabilities_all_patches_weigh_the_same():
    found = estimate(votes([[0.0, 1.0], [0.0, 5.0]]), 4, is_logarithmic=False)
    torch.testing.assert_close(found.positions[0, 0], torch.tensor([1.5, 6.5]))
    assert found.evidence is None


def test_without_displacements_every_patch_points_to_its_own_centre():
    found = estimate(votes(None, [0.6, 0.2]), 4, is_logarithmic=False)
    torch.testing.assert_close(found.positions[0, 0], torch.tensor([1.5, 2.5]))


@pytest.mark.parametrize("offset", [0.0, -30.0, -300.0, -30_000.0])
def test_where_all_probabilities_are_about_zero_their_ratios_decide(offset):
    """So far down, probabilities are proportional to the exponential of their logits, even if they underflow."""
    logits = torch.tensor([math.log(3.0), 0.0, -200.0]) + offset - 20.0
    found = estimate(Votes(None, logits[None, None, None]), 4, is_logarithmic=False)
    assert found.positions[0, 0, 1].item() == pytest.approx(0.75 * 1.5 + 0.25 * 5.5, abs=0.02)


def test_evidence_adds_up_what_neighbouring_patches_say():
    """0.5 and 0.3 side by side tell more of the landmark than 0.7 alone."""
    for probabilities, together in [([0.5, 0.3, 0.01], 0.8), ([0.7, 0.01, 0.3], 0.71), ([0.01, 0.2], 0.21)]:
        found = estimate(votes(None, probabilities), 4, is_logarithmic=False)
        assert found.evidence.item() == pytest.approx(logit(together), rel=1e-4)


def test_evidence_of_a_landmark_at_the_corner_of_eight_patches_is_that_of_all_together():
    corner = torch.full((1, 1, 3, 4, 2), -30.0)
    corner[:, :, 1:, 2:, :] = logit(0.9 / 8)
    found = estimate(Votes(None, corner), 4, is_logarithmic=False)
    assert found.evidence.item() == pytest.approx(logit(0.9), rel=1e-4)


@pytest.mark.parametrize(("said", "limit"), [(30.0, 13.8), (-90.0, -13.8)])
def test_evidence_is_finite_however_sure_the_patches_are(said, limit):
    found = estimate(Votes(None, torch.full((1, 1, 4, 4), said)), 4, is_logarithmic=False)
    assert found.evidence.item() == pytest.approx(limit, abs=0.1)


def test_reduced_precision_of_the_network_does_not_round_positions():
    exact = votes([[1.0, 2.0]] * 40, [0.5] * 40)
    reduced = Votes(exact.displacements.bfloat16(), exact.logits.bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        found = estimate(reduced, 8, is_logarithmic=False)
    assert found.positions.dtype == torch.float32
    torch.testing.assert_close(found.positions[0, 0], torch.tensor([4.5, 3.5 + 8 * 19.5 + 2.0]))


@given(st.lists(st.floats(-20, 80), min_size=3, max_size=3))
def test_true_displacements_lead_every_patch_to_the_landmark(position):
    positions = torch.tensor([[position]])
    targets = displacements_to(positions, (2, 3, 4), 8)
    assert targets.shape == (1, 1, 3, 2, 3, 4)
    found = estimate(Votes(signed_log(targets), None), 8, is_logarithmic=True)
    torch.testing.assert_close(found.positions, positions, rtol=1e-4, atol=1e-3)


def test_a_patch_reaches_half_a_voxel_beyond_its_outer_voxels():
    along_i = torch.tensor([-0.6, -0.5, 0.0, 7.4, 7.5, 15.4, 15.5])
    positions = torch.stack([torch.full((7,), 2.0), along_i], dim=1)[None]
    held = patches_that_hold(positions, (1, 2), 8)[0, :, 0].tolist()
    none, first, second = [False, False], [True, False], [False, True]
    assert held == [none, first, first, first, second, second, none]


@given(st.lists(st.floats(-0.5, 31.49), min_size=2, max_size=2))
def test_exactly_one_patch_holds_a_landmark_in_the_image(position):
    held = patches_that_hold(torch.tensor([[position]]), (4, 4), 8)
    assert held.sum() == 1
    nearest = (patch_centres((4, 4), 8) - torch.tensor(position)[:, None, None]).abs().amax(0)
    assert nearest[held[0, 0]] <= 4.0


POSITIONS = torch.tensor([[[1.5, 2.5]]])
SHOWN = torch.ones(1, 1, dtype=torch.bool)


def test_loss_of_displacements_is_their_mean_absolute_error():
    """The patches centred at i = 1.5 and 5.5 should say (0, 1) and (0, -3); they say (1, 2) and (0, 2)."""
    said = votes([[1.0, 2.0], [0.0, 2.0]])
    loss = voting_loss(said, POSITIONS, SHOWN, 4, is_logarithmic=False)
    assert loss.tolist() == pytest.approx([(1 + 1 + 0 + 5) / 4])


def test_loss_of_logarithms_compares_logarithms():
    """They should say (0, ln 2) and (0, -ln 4)."""
    said = votes([[0.0, 1.0], [0.0, 0.0]])
    loss = voting_loss(said, POSITIONS, SHOWN, 4, is_logarithmic=True)
    assert loss.tolist() == pytest.approx([(1 - math.log(2) + math.log(4)) / 4])


def test_loss_of_patches_is_the_cross_entropy_with_the_one_that_holds_the_landmark():
    loss = voting_loss(votes(None, [0.9, 0.2]), POSITIONS, SHOWN, 4, is_logarithmic=True)
    assert loss.tolist() == pytest.approx([-(math.log(0.9) + math.log(0.8)) / 2])


def test_both_losses_count_alike():
    both = votes([[1.0, 2.0], [0.0, 2.0]], [0.9, 0.2])
    losses = [
        voting_loss(said, POSITIONS, SHOWN, 4, is_logarithmic=True).item()
        for said in (both, Votes(both.displacements, None), Votes(None, both.logits))
    ]
    assert losses[0] == pytest.approx(losses[1] + losses[2])


def test_cross_entropy_can_weigh_more():
    both = votes([[1.0, 2.0], [0.0, 2.0]], [0.9, 0.2])
    losses = [
        voting_loss(said, POSITIONS, SHOWN, 4, is_logarithmic=True, classification_weight=3.0).item()
        for said in (both, Votes(both.displacements, None), Votes(None, both.logits))
    ]
    assert losses[0] == pytest.approx(losses[1] + losses[2])
    assert losses[2] == pytest.approx(-3.0 * (math.log(0.9) + math.log(0.8)) / 2)


def test_no_patch_holds_a_landmark_that_the_image_does_not_show():
    loss = voting_loss(votes(None, [0.9, 0.2]), POSITIONS, ~SHOWN, 4, is_logarithmic=True)
    assert loss.tolist() == pytest.approx([-(math.log(0.1) + math.log(0.8)) / 2])


def test_unknown_landmarks_are_left_out():
    torch.manual_seed(0)
    said = Votes(torch.rand(2, 3, 2, 1, 2, requires_grad=True), torch.rand(2, 3, 1, 2, requires_grad=True))
    positions = 8.0 * torch.rand(2, 3, 2)
    positions[0, 1] = math.nan
    shown = torch.ones(2, 3, dtype=torch.bool)
    loss = voting_loss(said, positions, shown, 4, is_logarithmic=True)
    known = Votes(said.displacements[:1, [0, 2]], said.logits[:1, [0, 2]])
    expected = voting_loss(known, positions[:1, [0, 2]], shown[:1, [0, 2]], 4, is_logarithmic=True)
    torch.testing.assert_close(loss[:1], expected)
    loss.sum().backward()
    for values in said:
        assert values.grad.isfinite().all()
        assert not values.grad[0, 1].any()


def test_an_image_without_any_known_landmark_costs_nothing():
    said = Votes(torch.rand(1, 2, 2, 1, 2), torch.rand(1, 2, 1, 2))
    loss = voting_loss(said, torch.full((1, 2, 2), math.nan), torch.ones(1, 2).bool(), 4, is_logarithmic=True)
    assert loss.tolist() == [0.0]
