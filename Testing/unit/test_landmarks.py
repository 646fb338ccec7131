"""Landmarks are matched by label; one that is missing is missing, never (0, 0, 0)."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from LandmarkDetectionLib import landmarks
from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.geometry import RAS_TO_LPS
from LandmarkDetectionLib.landmarks import DetectedLandmark, Detection, LandmarkDefinition, LandmarkSet

NAN = np.nan

positions = st.tuples(*[st.floats(-500, 500)] * 3)
landmark_sets = st.dictionaries(st.text(max_size=8), st.none() | positions, max_size=6).map(LandmarkSet)


def detected(label, position=(1.0, 2.0, 3.0), variances=(1.0, 1.0, 1.0), **rest):
    return DetectedLandmark(label, np.array(position), np.diag(variances).astype(float), **rest)


def detection(*marks):
    return Detection(marks, "brain-t1", "1.0", "abc", "cpu", 0.5)


class TestLandmarkSet:
    def test_the_example_in_its_docstring_is_true(self):
        assert doctest.testmod(landmarks).attempted > 0
        assert doctest.testmod(landmarks).failed == 0

    def test_is_a_mapping_in_the_order_given(self):
        points = LandmarkSet({"PC": (1, 2, 3), "AC": None, "CSP": [4, 5, 6]})
        assert list(points) == ["PC", "AC", "CSP"]
        assert len(points) == 3
        assert points["PC"].tolist() == [1.0, 2.0, 3.0]
        assert points["PC"].dtype == np.float64
        assert points["AC"] is None
        assert "AC" in points
        assert "IPF" not in points
        assert points.present == ("PC", "CSP")

    def test_a_label_it_does_not_have_is_a_key_error(self):
        with pytest.raises(KeyError, match="IPF"):
            LandmarkSet({"AC": (1, 2, 3)})["IPF"]

    def test_a_landmark_at_the_origin_is_present(self):
        assert LandmarkSet({"AC": (0, 0, 0)}).present == ("AC",)

    @pytest.mark.parametrize(
        "wrong",
        [(1, 2), (1, 2, 3, 4), (1, 2, NAN), (NAN, NAN, NAN), (np.inf, 0, 0), 5.0, [[1, 2, 3]], ("x", 1, 2), "", {}],
    )
    def test_refuses_a_position_that_is_not_three_finite_numbers(self, wrong):
        with pytest.raises(LandmarkDetectionError, match='"AC": a position is three finite numbers'):
            LandmarkSet({"AC": wrong})

    def test_does_not_follow_later_changes_of_the_array_it_was_made_from(self):
        source = np.array([1.0, 2.0, 3.0])
        points = LandmarkSet({"AC": source})
        source[:] = 99.0
        assert points["AC"].tolist() == [1.0, 2.0, 3.0]

    def test_keeps_descriptions(self):
        assert LandmarkSet({"AC": None}, {"AC": "anterior commissure"}).descriptions == {"AC": "anterior commissure"}

    def test_equal_sets_have_the_same_labels_positions_and_descriptions(self):
        points = LandmarkSet({"AC": (1, 2, 3), "PC": None}, {"AC": "front"})
        assert points == LandmarkSet({"AC": [1.0, 2.0, 3.0], "PC": None}, {"AC": "front"})
        assert points != LandmarkSet({"AC": (1, 2, 4), "PC": None}, {"AC": "front"})
        assert points != LandmarkSet({"AC": (1, 2, 3), "PC": (0, 0, 0)}, {"AC": "front"})
        assert points != LandmarkSet({"AC": (1, 2, 3)}, {"AC": "front"})
        assert points != LandmarkSet({"PC": None, "AC": (1, 2, 3)}, {"AC": "front"})
        assert points != LandmarkSet({"AC": (1, 2, 3), "PC": None})
        assert points != "AC"


class TestArrays:
    def test_rows_come_in_the_order_asked_for_with_nan_where_missing_or_unknown(self):
        points = LandmarkSet({"AC": (1, 2, 3), "PC": None, "CSP": (4, 5, 6)})
        expected = [[4, 5, 6], [NAN, NAN, NAN], [1, 2, 3], [NAN, NAN, NAN]]
        np.testing.assert_array_equal(points.to_array(["CSP", "IPF", "AC", "PC"]), expected)

    def test_all_of_them_by_default(self):
        points = LandmarkSet({"AC": (1, 2, 3), "PC": None})
        np.testing.assert_array_equal(points.to_array(), [[1, 2, 3], [NAN, NAN, NAN]])

    def test_an_empty_set_has_no_rows(self):
        assert LandmarkSet({}).to_array().shape == (0, 3)

    def test_a_row_of_nan_is_a_missing_landmark(self):
        points = LandmarkSet.from_array(["AC", "PC"], [[1, 2, 3], [NAN, NAN, NAN]])
        assert points.present == ("AC",)
        assert points["PC"] is None

    def test_a_row_that_is_partly_nan_is_an_error(self):
        with pytest.raises(LandmarkDetectionError, match='"AC"'):
            LandmarkSet.from_array(["AC"], [[1, NAN, 3]])

    def test_one_label_a_row(self):
        with pytest.raises(ValueError, match="shorter"):
            LandmarkSet.from_array(["AC", "PC"], [[1, 2, 3]])

    @given(landmark_sets)
    def test_there_and_back_is_the_same_set(self, points):
        assert LandmarkSet.from_array(list(points), points.to_array()) == points


class TestTransformed:
    def test_moves_what_is_present_and_keeps_the_rest(self):
        points = LandmarkSet({"AC": (1, 2, 3), "PC": None}, {"AC": "front"})
        assert points.transformed(RAS_TO_LPS) == LandmarkSet({"AC": (-1, -2, 3), "PC": None}, {"AC": "front"})

    @given(landmark_sets)
    def test_twice_from_ras_to_lps_is_where_it_began(self, points):
        assert points.transformed(RAS_TO_LPS).transformed(RAS_TO_LPS) == points


class TestDetectedLandmark:
    def test_spread_is_the_root_of_the_summed_variances(self):
        assert detected("AC", variances=(4.0, 4.0, 1.0)).spread_mm == 3.0

    def test_no_spread_without_variance(self):
        assert detected("AC", variances=(0.0, 0.0, 0.0)).spread_mm == 0.0

    def test_is_present_and_uncalibrated_unless_said_otherwise(self):
        mark = detected("AC")
        assert (mark.presence, mark.missing, mark.radius90_mm) == (1.0, False, None)


class TestDetection:
    def test_is_asked_by_label(self):
        found = detection(detected("AC"), detected("PC", (4, 5, 6)))
        assert found.labels == ("AC", "PC")
        assert found["PC"].position_ras.tolist() == [4, 5, 6]

    def test_a_label_it_does_not_have_is_a_key_error(self):
        with pytest.raises(KeyError, match="IPF"):
            detection(detected("AC"))["IPF"]

    def test_a_missing_landmark_keeps_its_estimate_but_has_no_position_in_the_set(self):
        found = detection(detected("AC", missing=True, presence=0.1), detected("PC", (4, 5, 6)))
        assert found["AC"].position_ras.tolist() == [1, 2, 3]
        assert found.landmark_set == LandmarkSet({"AC": None, "PC": (4, 5, 6)})

    def test_its_spread_is_that_of_its_most_uncertain_landmark(self):
        assert detection(detected("AC"), detected("PC", variances=(9.0, 0.0, 0.0))).spread_mm == 3.0

    def test_a_detection_of_nothing_has_no_spread(self):
        assert detection().spread_mm == 0.0


def test_a_definition_is_its_label_until_more_is_known():
    assert LandmarkDefinition("AC") == LandmarkDefinition("AC", description="", side="")
