"""Bland and Altman's limits of agreement, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from LandmarkDetectionLib.evaluation.agreement import limits_of_agreement, summarise_agreement
from LandmarkDetectionLib.evaluation.metrics import error_table
from LandmarkDetectionLib.landmarks import LandmarkSet

TRUTH = LandmarkSet({"a": (10.0, 20.0, 30.0), "b": (0.0, 0.0, 0.0)})


def shifted(a: tuple[float, ...], b: tuple[float, ...] | None) -> LandmarkSet:
    """The truth with each landmark moved; None: not found."""
    return LandmarkSet({"a": TRUTH["a"] + a, "b": None if b is None else TRUTH["b"] + b})


def test_limits_are_the_mean_and_two_deviations():
    limits = limits_of_agreement(np.array([1.0, 2.0, 3.0, 6.0]))
    sd = np.sqrt((4 + 1 + 0 + 9) / 3)
    assert limits == {
        "points": 4,
        "bias": pytest.approx(3.0),
        "sd": pytest.approx(sd),
        "lower": pytest.approx(3.0 - 1.96 * sd),
        "upper": pytest.approx(3.0 + 1.96 * sd),
    }


@pytest.mark.parametrize("differences", [[], [2.0]])
def test_too_few_differences_have_no_limits(differences):
    limits = limits_of_agreement(np.array(differences))
    assert (limits["points"], limits["sd"], limits["upper"]) == (len(differences), None, None)


def test_a_shift_shows_along_its_own_axis():
    predictions = [shifted((1.0, 0.0, -2.0), (3.0, 0.0, 0.0)), shifted((1.0, 0.0, -2.0), None)]
    table = error_table([TRUTH, TRUTH], predictions, ["a", "b"])
    agreement = summarise_agreement(table, 3, {})
    assert list(agreement["axes"]) == ["right", "anterior", "superior"]
    assert agreement["axes"]["right"]["bias"] == pytest.approx(5 / 3)
    assert agreement["axes"]["right"]["points"] == 3
    found = {axis: limits["bias"] for axis, limits in agreement["per_landmark"]["a"].items()}
    assert found == {"right": pytest.approx(1.0), "anterior": pytest.approx(0.0), "superior": pytest.approx(-2.0)}


def test_a_picture_has_x_to_the_right_and_y_down():
    """Its file is read as LPS, so that one pixel to the right is one towards the patient's left."""
    table = error_table([TRUTH], [shifted((-1.0, -4.0, 0.0), (-1.0, -4.0, 0.0))], ["a", "b"])
    axes = summarise_agreement(table, 2, {})["axes"]
    assert {axis: limits["bias"] for axis, limits in axes.items()} == {"x": 1.0, "y": 4.0}


def test_measurements_have_limits_in_their_own_unit():
    measured = {"length": (np.array([10.0, 20.0]), np.array([11.0, 23.0]))}
    limits = summarise_agreement(error_table([TRUTH], [TRUTH], ["a"]), 3, measured)["measurements"]["length"]
    assert (limits["bias"], limits["sd"]) == (pytest.approx(2.0), pytest.approx(np.sqrt(2.0)))
