"""The review of a detection: the states of landmarks, who changed what, and what to look at next."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.results import ResultsFolder
from LandmarkDetectionLib.files.review_json import review_from_json, review_to_json, reviewed_case_to_json
from LandmarkDetectionLib.landmarks import DetectedLandmark, Detection, Doubt
from LandmarkDetectionLib.review import (
    Action,
    LandmarkState,
    Review,
    landmark_set_of,
    next_to_review,
    review_order,
    reviewed_landmarks,
)

ADA, NOON = "Ada", "2026-01-01T12:00:00+00:00"
HERE = np.array([1.0, 2.0, 3.0])
THERE = np.array([4.0, 2.0, 3.0])


def mark(label, position=HERE, **said):
    return DetectedLandmark(label, np.array(position, dtype=float), np.eye(3), **said)


def detection(*marks):
    return Detection(marks, "tiny", "1.0", "ab" * 32, "cpu", 0.5)


ONE = detection(mark("AC"))
GONE = detection(mark("AC", missing=True))


def state(found, review, position):
    (landmark,) = reviewed_landmarks(found, review, [("AC", position)])
    return landmark.state, landmark.is_reviewed


class TestStates:
    def test_an_untouched_landmark_is_predicted_and_waits_for_review(self):
        assert state(ONE, Review(), HERE) == (LandmarkState.PREDICTED, False)

    def test_a_doubtful_one_says_so(self):
        found = detection(mark("AC", doubts=(Doubt.UNSURE,)))
        assert state(found, Review(), HERE) == (LandmarkState.REVIEW, False)

    def test_a_moved_landmark_is_corrected(self):
        assert state(ONE, Review(), THERE) == (LandmarkState.CORRECTED, True)
        assert state(ONE, Review(), HERE + 0.005) == (LandmarkState.PREDICTED, False)

    def test_an_accepted_landmark_is_accepted_until_it_moves(self):
        review = Review().accepted(ONE, "AC", ADA, NOON)
        assert state(ONE, review, HERE) == (LandmarkState.ACCEPTED, True)
        assert state(ONE, review, THERE) == (LandmarkState.CORRECTED, True)

    def test_what_the_model_calls_missing_waits_for_review_until_accepted(self):
        assert state(GONE, Review(), None) == (LandmarkState.MISSING, False)
        assert state(GONE, Review().accepted(GONE, "AC", ADA, NOON), None) == (LandmarkState.MISSING, True)

    def test_what_a_person_calls_missing_is_reviewed(self):
        assert state(ONE, Review(), None) == (LandmarkState.MISSING, True)

    def test_a_missing_landmark_that_is_placed_is_corrected(self):
        assert state(GONE, Review(), HERE) == (LandmarkState.CORRECTED, True)

    def test_what_no_model_predicted_is_placed_or_not(self):
        assert state(None, Review(), HERE) == (LandmarkState.PLACED, True)
        assert state(None, Review(), None) == (LandmarkState.UNPLACED, True)

    def test_only_an_unmoved_landmark_has_the_model_s_uncertainty(self):
        places = [("AC", HERE), ("AC", THERE), ("AC", None)]
        assert [found.is_as_predicted for found in reviewed_landmarks(ONE, Review(), places)] == [True, False, False]


class TestProvenance:
    def test_a_move_says_who_what_from_where_and_when(self):
        (change,) = Review().observed(ONE, {"AC": THERE}, ADA, NOON).changes
        assert (change.label, change.action, change.by, change.at) == ("AC", Action.MOVED, ADA, NOON)
        np.testing.assert_array_equal(change.from_ras, HERE)
        np.testing.assert_array_equal(change.to_ras, THERE)

    def test_nothing_new_is_the_same_review(self):
        review = Review().observed(ONE, {"AC": THERE}, ADA, NOON)
        assert review.observed(ONE, {"AC": THERE}, "Bob", NOON) is review

    def test_moves_of_one_person_in_a_row_become_one(self):
        review = Review().observed(ONE, {"AC": THERE}, ADA, NOON).observed(ONE, {"AC": 2 * THERE}, ADA, "later")
        (change,) = review.changes
        np.testing.assert_array_equal(change.from_ras, HERE)
        np.testing.assert_array_equal(change.to_ras, 2 * THERE)
        assert change.at == "later"

    def test_another_person_s_move_is_another(self):
        review = Review().observed(ONE, {"AC": THERE}, ADA, NOON).observed(ONE, {"AC": 2 * THERE}, "Bob", NOON)
        assert [change.by for change in review.changes] == [ADA, "Bob"]

    def test_taking_away_placing_and_putting_back_are_told_apart(self):
        review = Review().observed(ONE, {"AC": None}, ADA, NOON).observed(ONE, {"AC": THERE}, ADA, NOON)
        review = review.reset(ONE, "AC", ADA, NOON)
        assert [change.action for change in review.changes] == [Action.MARKED_MISSING, Action.MOVED, Action.RESET]
        assert review.observed(ONE, {"AC": HERE}, ADA, NOON) is review
        assert state(ONE, review, HERE) == (LandmarkState.PREDICTED, False)

    def test_a_point_that_is_gone_is_missing(self):
        assert Review().observed(ONE, {}, ADA, NOON).last_change("AC").to_ras is None

    def test_positions_can_be_carried_elsewhere(self):
        review = Review().observed(ONE, {"AC": None}, ADA, NOON).mapped(lambda position: position + 1)
        np.testing.assert_array_equal(review.changes[0].from_ras, HERE + 1)
        assert review.changes[0].to_ras is None


class TestOrder:
    def landmarks(self, *marks, review=None):
        return reviewed_landmarks(
            detection(*marks), review or Review(), [(one.label, None if one.missing else HERE) for one in marks]
        )

    def test_disagreement_comes_first_then_open_presence_then_unusual_uncertainty_then_the_radius(self):
        marks = [
            mark("small", radius90_mm=1.0),
            mark("large", radius90_mm=9.0),
            mark("spread alone"),
            mark("half", presence=0.6, doubts=(Doubt.PRESENCE,)),
            mark("missing?", presence=0.45, missing=True, doubts=(Doubt.PRESENCE, Doubt.UNSURE)),
            mark("unsure", radius90_mm=4.0, doubts=(Doubt.UNSURE,)),
            mark("apart", doubts=(Doubt.DISAGREEMENT,), disagreement_mm=5.0),
            mark("far apart", doubts=(Doubt.DISAGREEMENT,), disagreement_mm=8.0),
        ]
        expected = ["far apart", "apart", "missing?", "half", "unsure", "large", "spread alone", "small"]
        assert review_order(self.landmarks(*marks)) == expected

    def test_next_goes_on_from_the_current_one_and_round(self):
        landmarks = self.landmarks(mark("A", radius90_mm=3.0), mark("B", radius90_mm=2.0))
        assert next_to_review(landmarks) == "A"
        assert next_to_review(landmarks, "A") == "B"
        assert next_to_review(landmarks, "B") == "A"
        assert next_to_review(landmarks, "none of them") == "A"

    def test_decided_landmarks_are_passed_over_until_none_is_left(self):
        marks = [mark("A", radius90_mm=3.0), mark("B", radius90_mm=2.0)]
        review = Review().accepted(detection(*marks), "A", ADA, NOON)
        assert next_to_review(self.landmarks(*marks, review=review)) == "B"
        review = review.accepted(detection(*marks), "B", ADA, NOON)
        assert next_to_review(self.landmarks(*marks, review=review)) is None


class TestFiles:
    def test_a_review_survives_its_json(self):
        review = Review().observed(ONE, {"AC": THERE}, ADA, NOON).observed(ONE, {"AC": None}, ADA, NOON)
        read = review_from_json(json.loads(json.dumps(review_to_json(review))))
        for before, after in zip(review.changes, read.changes, strict=True):
            assert (after.label, after.action, after.by, after.at) == (
                before.label,
                before.action,
                before.by,
                before.at,
            )
            np.testing.assert_array_equal(after.from_ras, before.from_ras)
        assert read.changes[1].to_ras is None
        assert review_to_json(review)["changes"][0]["to_lps"] == [-4.0, -2.0, 3.0]

    @pytest.mark.parametrize("content", [None, {}, {"format_version": 2, "changes": []}, {"format_version": 1}])
    def test_anything_else_is_refused_with_a_sentence(self, content):
        with pytest.raises(LandmarkDetectionError, match="review of the landmarks cannot be understood"):
            review_from_json(content)

    def test_a_reviewed_case_is_written_as_it_is_now_beside_what_was_detected(self, tmp_path):
        found = detection(mark("AC", radius90_mm=2.0), mark("PC", radius90_mm=3.0), mark("LE"))
        positions = {"AC": THERE, "PC": HERE, "LE": None}
        review = Review().observed(found, positions, ADA, NOON).accepted(found, "PC", ADA, NOON)
        landmarks = reviewed_landmarks(found, review, list(positions.items()))
        ResultsFolder(tmp_path).write_reviewed_case("head", found, landmarks, review)
        assert (tmp_path / "results.csv").read_text().splitlines()[1:] == [
            "head,AC,-4.0000,-2.0000,3.0000,1.0000,,corrected",
            "head,PC,-1.0000,-2.0000,3.0000,1.0000,3.000,accepted",
            "head,LE,,,,1.0000,,missing",
        ]
        written = json.loads((tmp_path / "head.review.json").read_text())
        assert written["models"] == [{"name": "tiny", "version": "1.0", "weights_sha256": "ab" * 32}]
        assert [(one["label"], one["state"]) for one in written["landmarks"]] == [
            ("AC", "corrected"),
            ("PC", "accepted"),
            ("LE", "missing"),
        ]
        assert written["landmarks"][0]["predicted_lps"] == [-1.0, -2.0, 3.0]
        assert [change["by"] for change in written["changes"]] == [ADA] * 3
        assert json.loads((tmp_path / "head.detection.json").read_text())["landmarks"][0]["position_lps"][0] == -1.0
        assert landmark_set_of(landmarks).present == ("AC", "PC")

    def test_a_reviewed_case_names_every_model_that_took_part(self):
        found = dataclasses.replace(ONE, model_name="one+two", model_version="1.0+2.1", weights_sha256="a+b")
        assert reviewed_case_to_json(found, Review(), ())["models"] == [
            {"name": "one", "version": "1.0", "weights_sha256": "a"},
            {"name": "two", "version": "2.1", "weights_sha256": "b"},
        ]

    def test_a_new_detection_of_the_case_takes_the_review_away(self, tmp_path):
        results = ResultsFolder(tmp_path)
        results.write_reviewed_case("head", ONE, reviewed_landmarks(ONE, Review(), [("AC", HERE)]), Review())
        results.write_case("head", ONE)
        assert not (tmp_path / "head.review.json").exists()
