"""What several estimates of one point amount to, against values worked out by hand and scipy's distributions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, maxwell, rayleigh

from LandmarkDetectionLib.detectors.consensus import (
    consensus_of,
    deviation_of_mean_error_mm,
    deviation_of_radius90_mm,
    largest_distance_mm,
    with_least_deviation,
)

ROUND = np.eye(3)
LIMIT = chi2.ppf(0.95, 3)
COORDINATE = st.floats(-30.0, 30.0)
POSITIONS = st.lists(st.tuples(COORDINATE, COORDINATE, COORDINATE), min_size=2, max_size=5).map(np.array)


def consensus(*positions, covariances=None):
    positions = np.array(positions, dtype=float)
    return consensus_of(positions, np.array(covariances or [ROUND] * len(positions)))


@st.composite
def estimates(draw):
    """Two to five positions, each with a covariance of axes that are no coordinate axes."""
    positions = draw(POSITIONS)
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    roots = generator.normal(size=(len(positions), 3, 3))
    return positions, roots @ roots.transpose(0, 2, 1) + 0.1 * ROUND


class TestAgreement:
    def test_equal_covariances_give_the_mean(self):
        fused = consensus((0, 0, 0), (2, 0, 0), (1, 1.5, 0))
        np.testing.assert_allclose(fused.position, (1.0, 0.5, 0.0))
        assert fused.agrees.all()

    def test_the_surer_estimate_weighs_more(self):
        """Weights 1 and 1/4: 0.2 of the way to the second."""
        fused = consensus((0, 0, 0), (5, 0, 0), covariances=[ROUND, 4 * ROUND])
        np.testing.assert_allclose(fused.position, (1.0, 0.0, 0.0))

    def test_each_direction_has_weights_of_its_own(self):
        fused = consensus((0, 0, 0), (1, 1, 0), covariances=[np.diag([1.0, 4, 1]), np.diag([4.0, 1, 1])])
        np.testing.assert_allclose(fused.position, (0.2, 0.8, 0.0))

    def test_agreement_makes_no_surer_than_the_estimates_are(self):
        """Models that learnt from the same cases err together: the inverse of the mean information, not of its sum."""
        covariances = [np.diag([1.0, 4, 1]), np.diag([4.0, 1, 1])]
        fused = consensus((0, 0, 0), (0, 0, 0), covariances=covariances)
        np.testing.assert_allclose(fused.covariance, np.diag([1.6, 1.6, 1.0]), atol=1e-12)

    def test_an_estimate_fused_with_itself_stays_what_it_is(self):
        covariance = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, 0.25], [0.5, 0.25, 2.0]])
        fused = consensus((7, -8, 9), (7, -8, 9), covariances=[covariance] * 2)
        np.testing.assert_allclose(fused.position, (7, -8, 9))
        np.testing.assert_allclose(fused.covariance, covariance)

    def test_distance_within_the_limits_widens_the_covariance(self):
        fused = consensus((-1, 0, 0), (1, 0, 0))
        np.testing.assert_allclose(fused.covariance, np.diag([2.0, 1.0, 1.0]), atol=1e-12)


class TestDisagreement:
    def test_an_outlier_of_three_leaves_the_other_two_where_they_are(self):
        """The pull x of an outlier at distance L solves 2 x = limit / (L - x)."""
        fused = consensus((0, 0, 0), (0, 0, 0), (30, 0, 0))
        pull_mm = (30 - np.sqrt(30**2 - 2 * LIMIT)) / 2
        np.testing.assert_allclose(fused.position, (pull_mm, 0, 0), atol=1e-4)
        assert pull_mm < 0.14
        assert fused.agrees.tolist() == [True, True, False]

    def test_the_farther_the_outlier_the_less_it_pulls(self):
        pulls = [consensus((0, 0, 0), (0, 0, 0), (far, 0, 0)).position[0] for far in (6.0, 12.0, 24.0, 200.0)]
        assert pulls == sorted(pulls, reverse=True)
        assert pulls[-1] < 0.02

    def test_an_outlier_that_is_sure_of_itself_does_not_win(self):
        sure = 0.01 * ROUND
        fused = consensus((0, 0, 0), (1, 0, 0), (40, 0, 0), covariances=[ROUND, ROUND, sure])
        assert np.linalg.norm(fused.position - (0.5, 0, 0)) < 0.2
        assert fused.agrees.tolist() == [True, True, False]

    def test_of_two_that_disagree_neither_is_right(self):
        """However sure one of them is: the mean, with the mixture's covariance, (1 + 9) / 2 + 10^2 along the line."""
        fused = consensus((-10, 0, 0), (10, 0, 0), covariances=[ROUND, 9 * ROUND])
        np.testing.assert_allclose(fused.position, (0, 0, 0), atol=1e-12)
        np.testing.assert_allclose(fused.covariance, np.diag([105.0, 5.0, 5.0]))
        assert not fused.agrees.any()

    def test_two_disagree_once_the_mean_leaves_their_95_percent_regions(self):
        limit_mm = 2 * np.sqrt(LIMIT)
        assert consensus((0, 0, 0), (limit_mm - 0.01, 0, 0)).agrees.all()
        assert not consensus((0, 0, 0), (limit_mm + 0.01, 0, 0)).agrees.any()

    def test_without_a_majority_the_mean_spans_all(self):
        two_and_two = consensus((0, 0, 0), (0, 1, 0), (50, 0, 0), (50, 1, 0))
        np.testing.assert_allclose(two_and_two.position, (25, 0.5, 0))
        assert two_and_two.covariance[0, 0] == pytest.approx(1 + 25**2)
        assert not two_and_two.agrees.any()

    def test_three_against_two_is_a_majority(self):
        fused = consensus((0, 0, 0), (0, 1, 0), (1, 0, 0), (50, 0, 0), (50, 1, 0))
        assert fused.agrees.tolist() == [True, True, True, False, False]
        assert np.linalg.norm(fused.position - (1 / 3, 1 / 3, 0)) < 0.3

    def test_in_a_picture_the_limits_are_those_of_two_dimensions(self):
        limit_mm = 2 * np.sqrt(chi2.ppf(0.95, 2))
        for distance_mm, agree in ((limit_mm - 0.01, True), (limit_mm + 0.01, False)):
            fused = consensus_of(np.array([[0.0, 0.0], [distance_mm, 0.0]]), np.array([np.eye(2)] * 2))
            assert fused.agrees.all() == agree


class TestEveryConsensus:
    @given(estimates())
    def test_the_order_of_the_models_does_not_matter(self, estimates):
        positions, covariances = estimates
        fused = consensus_of(positions, covariances)
        for order in itertools.islice(itertools.permutations(range(len(positions))), 6):
            other = consensus_of(positions[list(order)], covariances[list(order)])
            np.testing.assert_allclose(other.position, fused.position, atol=1e-3)
            np.testing.assert_allclose(other.covariance, fused.covariance, atol=1e-2, rtol=1e-3)

    @given(estimates(), st.integers(0, 2**32))
    def test_it_moves_and_turns_with_the_coordinates(self, estimates, seed):
        positions, covariances = estimates
        generator = np.random.default_rng(seed)
        turn, shift = np.linalg.qr(generator.normal(size=(3, 3)))[0], generator.normal(size=3)
        fused = consensus_of(positions, covariances)
        turned = consensus_of(positions @ turn.T + shift, turn @ covariances @ turn.T)
        np.testing.assert_allclose(turned.position, turn @ fused.position + shift, atol=1e-3)
        np.testing.assert_allclose(turned.covariance, turn @ fused.covariance @ turn.T, atol=1e-2, rtol=1e-3)

    @given(estimates())
    def test_the_covariance_is_one(self, estimates):
        covariance = consensus_of(*estimates).covariance
        np.testing.assert_allclose(covariance, covariance.T, atol=1e-9)
        assert np.linalg.eigvalsh(covariance).min() > 0


class TestDeviations:
    @pytest.mark.parametrize(("dimension", "distances"), [(2, rayleigh), (3, maxwell)])
    def test_radius_and_mean_error_are_those_of_the_round_normal_distribution(self, dimension, distances):
        assert deviation_of_radius90_mm(distances.ppf(0.9, scale=1.7), dimension) == pytest.approx(1.7, rel=1e-4)
        assert deviation_of_mean_error_mm(distances.mean(scale=1.7), dimension) == pytest.approx(1.7)

    def test_what_is_surer_than_it_can_be_is_widened_in_that_direction_alone(self):
        np.testing.assert_allclose(with_least_deviation(np.diag([9.0, 1.0, 0.0]), 2.0), np.diag([9.0, 4.0, 4.0]))
        turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
        widened = with_least_deviation(turn @ np.diag([9.0, 1.0, 0.0]) @ turn.T, 2.0)
        np.testing.assert_allclose(widened, turn @ np.diag([9.0, 4.0, 4.0]) @ turn.T, atol=1e-12)

    def test_the_largest_distance_is_between_any_two(self):
        assert largest_distance_mm(np.array([[0.0, 0, 0], [1, 0, 0], [0, 3, 4]])) == pytest.approx(np.sqrt(26))
