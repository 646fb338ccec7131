"""Predicted uncertainty beside error: hand-computed values, scipy's, and samples whose distribution is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from LandmarkDetectionLib.evaluation.confidence import ConfidenceTable, confidence_table
from LandmarkDetectionLib.evaluation.coverage import summarise_radius90, summarise_regions
from LandmarkDetectionLib.evaluation.metrics import ErrorTable, error_table
from LandmarkDetectionLib.evaluation.predictions import Prediction
from LandmarkDetectionLib.evaluation.uncertainty import correlation, quantile_bins, summarise_uncertainty
from LandmarkDetectionLib.landmarks import LandmarkSet


def tables_of(
    offsets_mm: np.ndarray, covariances: np.ndarray | None = None, radii_mm: np.ndarray | None = None
) -> tuple[ErrorTable, ConfidenceTable]:
    """Predictions (cases, n, 3) of landmarks that all lie at the origin; a row of NaN: no prediction."""
    labels = [f"point {column}" for column in range(offsets_mm.shape[1])]
    truth = LandmarkSet(dict.fromkeys(labels, (0.0, 0.0, 0.0)))
    predictions = [
        Prediction(
            LandmarkSet.from_array(labels, rows),
            covariances_ras={} if covariances is None else dict(zip(labels, covariances[case], strict=True)),
            radius90_mm={} if radii_mm is None else dict(zip(labels, radii_mm[case], strict=True)),
        )
        for case, rows in enumerate(offsets_mm)
    ]
    table = error_table([truth] * len(predictions), [one.positions for one in predictions], labels)
    return table, confidence_table(table, predictions, np.zeros(offsets_mm.shape[:2], dtype=bool))


def known_spread(cases: int, dimension: int = 3, promised: float = 1.0) -> tuple[ErrorTable, ConfidenceTable]:
    """Errors drawn from tilted normal distributions, whose covariances are predicted `promised` times as large."""
    random = np.random.default_rng(0)
    roots = random.normal(0.0, 1.0, (cases, 10, 3, 3))
    if dimension == 2:
        roots[..., 2, :] = 0.0
    offsets = np.einsum("cnij,cnj->cni", roots, random.normal(0.0, 1.0, (cases, 10, 3)))
    return tables_of(offsets, promised * roots @ np.swapaxes(roots, -1, -2))


class TestCorrelation:
    def test_as_in_scipy(self):
        random = np.random.default_rng(0)
        spread = random.uniform(0.5, 3.0, 40)
        error = np.abs(random.normal(0.0, spread))
        found = correlation(spread, error)
        assert (found["pearson_r"], found["pearson_p"]) == pytest.approx(stats.pearsonr(spread, error))
        assert (found["spearman_r"], found["spearman_p"]) == pytest.approx(stats.spearmanr(spread, error))

    def test_four_points_by_hand(self):
        """Deviations -1.5 -0.5 0.5 1.5 and -1 -2 0 3: 7 / sqrt(5 x 14). Ranks 1 2 3 4 and 2 1 3 4: 1 - 6 x 2 / 60."""
        found = correlation(np.array([1.0, 2.0, 3.0, 4.0]), np.array([4.0, 3.0, 5.0, 8.0]))
        assert (found["pearson_r"], found["spearman_r"]) == pytest.approx((7 / np.sqrt(70), 0.8))

    @pytest.mark.parametrize(("spread", "error"), [([1.0, 2.0], [1.0, 2.0]), ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])])
    def test_too_few_points_or_no_variation_gives_none(self, spread, error):
        assert correlation(np.array(spread), np.array(error))["pearson_r"] is None

    def test_points_without_an_error_are_left_out(self):
        found = correlation(np.array([1.0, 2.0, 3.0, 9.0]), np.array([1.0, 2.0, 4.0, np.nan]))
        assert (found["points"], found["spearman_r"]) == (3, pytest.approx(1.0))

    def test_a_case_is_one_point_by_its_means(self):
        """Within each case the spread says nothing; between cases it says all."""
        offsets, covariances = np.zeros((3, 2, 3)), np.zeros((3, 2, 3, 3))
        offsets[..., 0] = [[1.0, 3.0], [5.0, 3.0], [9.0, 3.0]]
        covariances[..., 0, 0] = np.array([[1.0, 3.0], [3.0, 3.0], [5.0, 3.0]]) ** 2
        found = summarise_uncertainty(*tables_of(offsets, covariances), 3)["correlation"]
        assert (found["cases"]["points"], found["cases"]["pearson_r"]) == (3, pytest.approx(1.0))
        assert found["per_landmark"]["point 0"]["pearson_r"] == pytest.approx(1.0)
        assert found["per_landmark"]["point 1"]["pearson_r"] is None
        assert found["points"]["points"] == 6


class TestQuantileBins:
    def test_a_spread_that_ranks_as_the_error_fills_the_same_bins(self):
        errors = np.arange(1.0, 11.0)
        bins = quantile_bins(2.0 * errors, errors)
        assert [one["jaccard"] for one in bins] == [1.0] * 5
        assert [one["mre_mm"] for one in bins] == pytest.approx([1.5, 3.5, 5.5, 7.5, 9.5])
        assert bins[0]["spread_mm"] == [2.0, 4.0]

    def test_a_spread_that_ranks_the_other_way_shares_only_the_middle(self):
        errors = np.arange(1.0, 11.0)
        assert [one["jaccard"] for one in quantile_bins(-errors, errors)] == [0.0, 0.0, 1.0, 0.0, 0.0]

    def test_a_spread_that_says_nothing_overlaps_by_a_ninth(self):
        random = np.random.default_rng(0)
        bins = quantile_bins(random.uniform(size=50_000), random.uniform(size=50_000))
        assert np.mean([one["jaccard"] for one in bins]) == pytest.approx(1 / 9, abs=0.003)

    def test_fewer_points_than_bins_give_none(self):
        assert quantile_bins(np.arange(4.0), np.arange(4.0)) == []


class TestRegions:
    def test_the_size_of_a_region_of_90_percent(self):
        """65.47 times the product of the three deviations [Ma 2020]; in a picture pi x 4.605 times the two."""
        covariance = np.diag([4.0, 9.0, 0.25])[None, None]
        regions = summarise_regions(*tables_of(np.zeros((1, 1, 3)), covariance), 3)
        assert regions["levels"]["0.9"]["mean_size"] == pytest.approx(65.47 * 2.0 * 3.0 * 0.5, rel=1e-4)
        flat = np.diag([4.0, 9.0, 0.0])[None, None]
        picture = summarise_regions(*tables_of(np.zeros((1, 1, 3)), flat), 2)
        assert picture["levels"]["0.9"]["median_size"] == pytest.approx(np.pi * 4.605 * 2.0 * 3.0, rel=1e-4)
        assert (regions["unit"], picture["unit"]) == ("mm^3", "mm^2")

    @pytest.mark.parametrize("dimension", [2, 3])
    def test_true_covariances_cover_what_they_promise(self, dimension):
        regions = summarise_regions(*known_spread(400, dimension), dimension)
        assert regions["levels"]["0.9"]["coverage"] == pytest.approx(0.90, abs=0.015)
        assert regions["levels"]["0.95"]["coverage"] == pytest.approx(0.95, abs=0.015)
        assert regions["calibration"]["expected_error"] < 0.015
        assert regions["variance_scale90"] == pytest.approx(1.0, abs=0.05)

    def test_covariances_a_quarter_too_small_are_found_out(self):
        regions = summarise_regions(*known_spread(400, promised=0.25), 3)
        expected = stats.chi2.cdf(stats.chi2.ppf(0.9, 3) / 4, 3)
        assert regions["levels"]["0.9"]["coverage"] == pytest.approx(expected, abs=0.02)
        assert regions["variance_scale90"] == pytest.approx(4.0, rel=0.05)

    def test_a_model_that_is_sure_covers_only_what_it_hits(self):
        offsets = np.array([[[0.0, 0.0, 0.0], [0.5, 0.0, 0.0]]])
        regions = summarise_regions(*tables_of(offsets, np.zeros((1, 2, 3, 3))), 3)
        assert regions["levels"]["0.9"]["coverage"] == 0.5
        assert regions["levels"]["0.9"]["mean_size"] == 0.0

    def test_turning_errors_and_covariances_together_changes_nothing(self):
        table, confidence = known_spread(20)
        turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
        turned = tables_of(table.predicted_ras @ turn.T, turn @ confidence.covariances_ras @ turn.T)
        before, after = summarise_regions(table, confidence, 3), summarise_regions(*turned, 3)
        assert after["calibration"]["found"] == pytest.approx(before["calibration"]["found"])
        assert after["variance_scale90"] == pytest.approx(before["variance_scale90"])


class TestRadius90:
    def test_two_of_three_points_lie_within_their_radius(self):
        offsets = np.array([[[1.0, 0, 0], [3.0, 0, 0]], [[2.0, 0, 0], [np.nan] * 3]])
        found = summarise_radius90(*tables_of(offsets, radii_mm=np.array([[2.0, 2.0], [2.0, 5.0]])))
        assert (found["points"], found["coverage"]) == (3, pytest.approx(2 / 3))
        assert found["per_landmark"] == {"point 0": 1.0, "point 1": 0.0}
        assert (found["mean_radius_mm"], found["median_radius_mm"]) == (2.0, 2.0)
        assert found["interval95"] == [0.5, 1.0]

    def test_a_prediction_without_radii_has_no_coverage(self):
        assert summarise_radius90(*tables_of(np.zeros((2, 2, 3)))) is None


def test_the_expected_error_of_equal_spread_in_all_directions():
    """The mean of a chi with three degrees of freedom, times 2 mm; in a picture that of a Rayleigh distribution."""
    volume = tables_of(np.ones((1, 1, 3)), 4.0 * np.eye(3)[None, None])
    assert summarise_uncertainty(*volume, 3)["expected_radial_error_mm"] == pytest.approx(2.0 * np.sqrt(8 / np.pi))
    picture = tables_of(np.ones((1, 1, 3)), np.diag([4.0, 4.0, 0.0])[None, None])
    assert summarise_uncertainty(*picture, 2)["expected_radial_error_mm"] == pytest.approx(2.0 * np.sqrt(np.pi / 2))


def test_the_expected_error_of_uneven_spread_is_the_mean_length():
    covariance = np.diag([9.0, 1.0, 0.04])
    lengths = np.linalg.norm(np.random.default_rng(0).normal(size=(200_000, 3)) * [3.0, 1.0, 0.2], axis=1)
    found = summarise_uncertainty(*tables_of(np.ones((1, 1, 3)), covariance[None, None]), 3)
    assert found["expected_radial_error_mm"] == pytest.approx(lengths.mean(), rel=0.01)


def test_positions_alone_say_nothing_of_uncertainty():
    assert summarise_uncertainty(*tables_of(np.ones((2, 2, 3))), 3) is None


def test_what_a_prediction_says_follows_an_interchanged_end():
    truth = LandmarkSet({"left": (0.0, 0.0, 0.0), "right": (10.0, 0.0, 0.0)})
    swapped = Prediction(
        LandmarkSet({"left": (10.0, 0.0, 0.0), "right": (0.0, 0.0, 0.0)}),
        flagged=("left",),
        covariances_ras={"left": np.eye(3), "right": 4.0 * np.eye(3)},
        presence={"left": 0.1, "right": 0.9},
        radius90_mm={"left": 1.0, "right": 2.0},
    )
    labels = ["left", "right"]
    table = error_table([truth], [swapped.positions], labels, [("left", "right")], [swapped.flagged])
    confidence = confidence_table(table, [swapped], np.zeros((1, 2), dtype=bool))
    assert confidence.is_flagged.tolist() == [[False, True]]
    assert confidence.presence.tolist() == [[0.9, 0.1]]
    assert confidence.radius90_mm.tolist() == [[2.0, 1.0]]
    assert confidence.spread_mm == pytest.approx(np.sqrt([[12.0, 3.0]]))
