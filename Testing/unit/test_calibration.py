"""Calibration turns what a method says of its uncertainty into what held for cases nobody trained on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tiny_models import TINY_CARD

from LandmarkDetectionLib.detectors.calibrated import calibrated
from LandmarkDetectionLib.landmarks import DetectedLandmark, Detection, Doubt, LandmarkDefinition, LandmarkSet
from LandmarkDetectionLib.models.calibration import Calibration
from LandmarkDetectionLib.models.card import ModelCard
from LandmarkDetectionLib.training.calibration import HeldOut, conformal_quantile, fit_calibration
from LandmarkDetectionLib.training.cases import TrainingCase
from LandmarkDetectionLib.volume import Volume

VOLUMES = {
    2: Volume(np.zeros((1, 100, 100), np.uint8), np.eye(4)),
    3: Volume(np.zeros((100, 100, 100), np.uint8), np.eye(4)),
}
"""From -0.5 to 99.5 mm, by dimension."""


def card(*labels, dimension=3, interchangeable=()):
    bare = ModelCard.from_json({**TINY_CARD, "planes": [], "measurements": [], "calibration": None})
    return dataclasses.replace(
        bare,
        landmarks=tuple(LandmarkDefinition(label) for label in labels),
        interchangeable=interchangeable,
        shape_model=None,
        dimension=dimension,
    )


def held_out(truths, offsets, deviations_mm=None, *, evidence=None, dimension=3):
    """A case: true positions by label, where they were detected from there, and how sure the method is."""
    labels = list(truths)
    deviations_mm = np.zeros(len(labels)) if deviations_mm is None else deviations_mm
    axes = np.diag([1.0, 1.0, float(dimension == 3)])
    marks = tuple(
        DetectedLandmark(
            label,
            np.array(truths[label] or (50.0, 50.0, 0.0)) + offset,
            deviation**2 * axes,
            evidence=None if evidence is None else float(evidence[index]),
        )
        for index, (label, offset, deviation) in enumerate(zip(labels, offsets, deviations_mm, strict=True))
    )
    case = TrainingCase("case", VOLUMES[dimension], LandmarkSet(truths))
    return HeldOut(case, Detection(marks, "m", "1", "0" * 64, "cpu", 0.0))


def errors_along_x(errors_mm, label="A"):
    return [held_out({label: (50.0, 50.0, 50.0)}, [(error, 0.0, 0.0)]) for error in errors_mm]


def test_the_quantile_of_ten_scores_is_the_largest_and_of_nineteen_the_eighteenth():
    """ceil(0.9 * 11) = 10 of 10, ceil(0.9 * 20) = 18 of 19, ceil(0.9 * 101) = 91 of 100, 0.9 * 70 = 63 of 69."""
    assert conformal_quantile([3, 1, 2, 4, 5, 9, 8, 7, 6, 11]) == 11
    assert conformal_quantile(range(1, 20)) == 18
    assert conformal_quantile(range(1, 101)) == 91
    assert conformal_quantile(range(1, 70)) == 63
    assert conformal_quantile(range(1, 10)) == 9
    assert np.isnan(conformal_quantile(range(1, 9)))


@given(st.integers(9, 60), st.integers(0, 9999))
def test_the_quantile_holds_one_more_in_nine_of_ten(count, seed):
    """Of n + 1 exchangeable scores each is the one more with equal chance: counted over all of them, without luck."""
    scores = np.random.default_rng(seed).normal(size=count + 1)
    held = [score <= conformal_quantile(np.delete(scores, index)) for index, score in enumerate(scores)]
    assert 0.9 <= np.mean(held) <= 0.9 + 1.0 / (count + 1)


def test_without_spread_the_radius_is_the_conformal_quantile_of_the_errors():
    fitted = fit_calibration(card("A"), errors_along_x(range(1, 20)), [], "by hand")
    assert fitted.radius90_mm == {"A": 18.0}
    assert fitted.usual_error_mm == {"A": 10.0}
    assert fitted.usual_spread_mm == {"A": 0.0}
    assert fitted.cases == 19
    assert fitted.method == "normalised split conformal prediction, by hand"
    # Squared distances are error^2 / (10^2 / 3); a normal distribution stays below 6.251 in 90 %.
    assert fitted.variance_scale["A"] == pytest.approx(3 * 18.0**2 / 10.0**2 / 6.2514, rel=1e-3)


def test_spread_and_usual_error_make_the_scores():
    """Errors of 6 mm at a spread of 8 sqrt(3) mm among errors of 6 mm without: scores 6 / hypot(8 sqrt(3), 6) and 1."""
    sure = errors_along_x([6.0] * 10)
    unsure = [held_out({"A": (50.0, 50.0, 50.0)}, [(6.0, 0.0, 0.0)], [8.0]) for _ in range(9)]
    fitted = fit_calibration(card("A"), [*sure, *unsure], [], "")
    assert fitted.usual_spread_mm == {"A": 0.0}
    assert fitted.radius90_of("A", 0.0) == pytest.approx(6.0)
    assert fitted.radius90_of("A", 8.0 * np.sqrt(3.0)) == pytest.approx(np.hypot(8.0 * np.sqrt(3.0), 6.0), rel=1e-3)


def doubts_about(deviation_mm, calibration, where=(50.0, 50.0, 50.0)):
    """The doubts about one landmark of this deviation along each axis."""
    found = DetectedLandmark("A", np.array(where), deviation_mm**2 * np.eye(3))
    (mark,) = calibrated([found], VOLUMES[3], calibration)
    return mark.doubts


def test_a_radius_half_as_large_again_as_usual_is_doubtful():
    """With a usual error of 4 mm and no usual spread, that is a spread of 4 * sqrt(1.5^2 - 1) = 4.47 mm."""
    fitted = Calibration({"A": 7.0}, 20, "by hand", {"A": 4.0}, {"A": 0.0}, {"A": 1.0})
    assert doubts_about(4.4 / np.sqrt(3.0), fitted) == ()
    assert doubts_about(4.5 / np.sqrt(3.0), fitted) == (Doubt.UNSURE,)


def test_without_a_usual_error_no_radius_is_unusual():
    assert doubts_about(9.0, Calibration({"A": 7.0}, 20, "by hand")) == ()
    assert doubts_about(9.0, None) == ()


def test_the_range_of_the_radii_is_that_of_all_landmarks():
    assert Calibration({"A": 2.0, "B": 1.0, "C": 1.5}, 9, "as told").radius90_range_mm == (1.0, 2.0)
    assert Calibration({}, 9, "as told").radius90_range_mm is None


def test_a_presence_between_a_tenth_and_nine_tenths_is_doubtful():
    """The volume ends at 99.5 mm: with 1 mm, 1.3 mm inside is a probability of 0.9032, 1.2 mm one of 0.8849."""
    assert doubts_about(1.0, None, (98.2, 50.0, 50.0)) == ()
    assert doubts_about(1.0, None, (98.3, 50.0, 50.0)) == (Doubt.PRESENCE,)
    assert doubts_about(1.0, None, (100.7, 50.0, 50.0)) == (Doubt.PRESENCE,)
    assert doubts_about(1.0, None, (100.8, 50.0, 50.0)) == ()


def random_cases(count, generator, dimension=3):
    """Detections that err three times as much as they say, more where they say so, in every second direction."""
    for _ in range(count):
        deviations = generator.uniform(0.2, 2.0, 2)
        offsets = generator.normal(size=(2, 3)) * (3.0 * deviations[:, None] + 0.5)
        offsets[:, dimension:] = 0.0
        yield held_out({"A": (40.0, 50.0, 0.0), "B": (60.0, 50.0, 0.0)}, offsets, deviations, dimension=dimension)


@pytest.mark.parametrize("dimension", [2, 3])
def test_radii_and_ellipsoids_hold_nine_of_ten_new_cases(dimension):
    generator = np.random.default_rng(5)
    fitted = fit_calibration(card("A", "B", dimension=dimension), list(random_cases(200, generator, dimension)), [], "")
    in_radius, in_ellipsoid = [], []
    for one in random_cases(400, generator, dimension):
        for mark in calibrated(one.detection.landmarks, one.case.volume, fitted):
            offset = (mark.position_ras - one.case.landmarks[mark.label])[:dimension]
            in_radius.append(np.linalg.norm(offset) <= mark.radius90_mm)
            squared = offset @ np.linalg.solve(mark.covariance_ras[:dimension, :dimension], offset)
            in_ellipsoid.append(squared <= stats.chi2.ppf(0.9, dimension))
    assert np.mean(in_radius) == pytest.approx(0.9, abs=0.03)
    assert np.mean(in_ellipsoid) == pytest.approx(0.9, abs=0.03)


def test_a_landmark_of_too_few_cases_takes_the_numbers_of_all_and_the_card_says_so():
    """The usual error of all is 11.5 mm; of all 22 scores, A's over 10 and B's over 11.5, the 21st is 18 / 10."""
    truths = {"A": (50.0, 50.0, 50.0), "B": None}
    cases = [held_out(truths, [(error, 0.0, 0.0), (99.0, 0.0, 0.0)]) for error in range(1, 17)]
    cases += [held_out({**truths, "B": (40.0, 40.0, 40.0)}, [(e, 0.0, 0.0)] * 2) for e in (17, 18, 19)]
    fitted = fit_calibration(card("A", "B"), cases, [], "by hand")
    assert fitted.radius90_mm == {"A": 18.0, "B": 20.7}
    assert fitted.method.endswith("numbers of all landmarks together, for too few cases show it, for: B")


def test_too_few_cases_altogether_give_no_radius():
    fitted = fit_calibration(card("A"), errors_along_x(range(1, 9)), [], "")
    assert fitted.radius90_mm == fitted.variance_scale == {}
    assert fit_calibration(card("A"), [], [], "").cases == 0


def test_what_the_volume_does_not_show_is_no_error():
    beyond = [held_out({"A": (50.0, 50.0, 150.0)}, [(77.0, 0.0, 0.0)])] * 20
    fitted = fit_calibration(card("A"), [*errors_along_x(range(1, 20)), *beyond], [], "")
    assert fitted.radius90_mm == {"A": 18.0}


def test_interchangeable_ends_err_by_the_better_assignment_and_keep_the_label_they_were_given():
    """What was called A lies 1 mm from B, and what was called B 2 mm from A."""
    truths = {"A": (20.0, 50.0, 50.0), "B": (80.0, 50.0, 50.0)}
    cases = [held_out(truths, [(61.0, 0.0, 0.0), (-62.0, 0.0, 0.0)]) for _ in range(9)]
    fitted = fit_calibration(card("A", "B", interchangeable=(("A", "B"),)), cases, [], "")
    assert fitted.radius90_mm == {"A": pytest.approx(1.0), "B": pytest.approx(2.0)}
    assert fit_calibration(card("A", "B"), cases, [], "").radius90_mm["A"] == pytest.approx(61.0)


def short_cases(generator, count, *, shift=0.0):
    """Detections in the middle of the volume of landmarks that it shows or not; evidence says which, give or take."""
    for _ in range(count):
        shown = generator.random() < 0.5
        logit = generator.normal(2.0 if shown else -2.0, 2.0) + shift
        where = (50.0, 50.0, 50.0) if shown else (50.0, 50.0, 250.0)
        yield held_out({"A": where}, [np.array((50.0, 50.0, 50.0)) - where], [1.0], evidence=[logit])


def test_evidence_becomes_a_probability():
    """Normal evidence about 2 and -2 with a variance of 4 has the log odds itself; shifted by 5, less 5."""
    generator = np.random.default_rng(1)
    fitted = fit_calibration(card("A"), [], list(short_cases(generator, 800)), "")
    assert (fitted.presence_weight, fitted.presence_bias) == (pytest.approx(1.0, abs=0.2), pytest.approx(0, abs=0.3))
    shifted = fit_calibration(card("A"), [], list(short_cases(generator, 800, shift=5.0)), "")
    assert shifted.presence_bias == pytest.approx(-5.0, abs=1.0)


def test_evidence_that_was_never_wanting_stays_as_it_is():
    sure = [held_out({"A": (50.0, 50.0, 50.0)}, [(1.0, 0.0, 0.0)], evidence=[3.0])] * 9
    fitted = fit_calibration(card("A"), sure, [], "")
    assert (fitted.presence_weight, fitted.presence_bias) == (1.0, 0.0)


def test_evidence_does_not_count_where_the_position_is_outside_anyway():
    """Far outside, high evidence of what is not shown would teach that evidence means nothing."""
    outside = [held_out({"A": (50.0, 50.0, 250.0)}, [(0.0, 0.0, 0.0)], evidence=[9.0])] * 200
    generator = np.random.default_rng(1)
    fitted = fit_calibration(card("A"), [], [*short_cases(generator, 400), *outside], "")
    assert fitted.presence_weight == pytest.approx(1.0, abs=0.25)
