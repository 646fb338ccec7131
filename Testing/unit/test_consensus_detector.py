"""Several models as one detector: whose landmarks, where, how sure, what is flagged, and which sets are refused."""

from __future__ import annotations

from dataclasses import replace

import blob_dataset
import numpy as np
import pytest
import torch
from tiny_detector import LABELS, write_tiny_bundle

from LandmarkDetectionLib.detectors.base import Detector, Located
from LandmarkDetectionLib.detectors.consensus_detector import (
    ConsensusDetector,
    Opinion,
    fused_landmark,
    with_ends_agreed,
)
from LandmarkDetectionLib.errors import DetectionCancelled, LandmarkDetectionError
from LandmarkDetectionLib.evaluation.evaluate import evaluate
from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.landmarks import DetectedLandmark, Detection, Doubt, LandmarkDefinition
from LandmarkDetectionLib.measurements import MeasurementDefinition
from LandmarkDetectionLib.models.bundle import ModelBundle, load_card
from LandmarkDetectionLib.models.card import Accuracy, Calibration
from LandmarkDetectionLib.models.joint_card import JointCard
from LandmarkDetectionLib.volume import Volume

ROUND = np.eye(3)
DISTANCE = MeasurementDefinition("AC-PC", "", "distance", ("AC", "PC"), "mm")
ACCURACY = Accuracy("a", "test", cases=9, landmarks=4, mre_mm=3.0, median_mm=2.0, sd_mm=1.0, sdr={})


class CertainDetector(Detector):
    """Finds what it is told, in the model's frame."""

    def __init__(self, bundle, positions_mm):
        super().__init__(bundle, torch.device("cpu"))
        self._positions_mm = np.array(positions_mm, dtype=float)

    def _locate(self, _canonical, progress, _cancelled, _generator):
        progress(0.5, "Looking")
        return Located(self._positions_mm, np.zeros((len(self._positions_mm), 3, 3)))


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    """The card of a model of four landmarks, calibrated for one."""
    return load_card(write_tiny_bundle(tmp_path_factory.mktemp("models")))


@pytest.fixture
def volume():
    voxels = np.zeros((30, 30, 30), np.float32)
    voxels[10:20, 10:20, 10:20] = np.arange(10)
    return Volume(voxels, np.diag([2.0, 2.0, 2.0, 1.0]), "scan")


def model(card, name, labels=LABELS, positions_mm=((0, 0, 0), (5, 0, 0), (0, 5, 0), (0, 0, 5)), **changes):
    """A detector named and hashed for one letter."""
    changes = {"landmarks": tuple(LandmarkDefinition(one, f"by {name}") for one in labels), "planes": ()} | changes
    kept = {"calibration": None, "shape_model": None, "name": name, "version": f"{name}.0", "weights_sha256": name * 64}
    bundle = ModelBundle(replace(card, **kept | changes), {}, None, name * 64)
    return CertainDetector(bundle, positions_mm[: len(labels)])


def consensus_card(*detectors):
    return JointCard.of([detector.card for detector in detectors])


def opinion(position=(0.0, 0.0, 0.0), least_sd_mm=1.0, **fields):
    return Opinion(DetectedLandmark("AC", np.array(position, dtype=float), np.zeros((3, 3)), **fields), least_sd_mm)


def fused(*opinions):
    return fused_landmark(opinions, ROUND)


class TestJointCard:
    def test_it_names_every_model_version_and_hash_in_one_order(self, card):
        joint = consensus_card(model(card, "a"), model(card, "b"))
        assert (joint.name, joint.version) == ("a+b", "a.0+b.0")
        assert joint.weights_sha256 == f"{'a' * 64}+{'b' * 64}"

    def test_landmarks_are_those_of_any_model_as_the_first_defines_them(self, card):
        joint = consensus_card(model(card, "a", ("PC", "AC")), model(card, "b", ("AC", "LE")))
        assert [(one.label, one.description) for one in joint.landmarks] == [
            ("PC", "by a"),
            ("AC", "by a"),
            ("LE", "by b"),
        ]

    def test_planes_and_measurements_are_those_of_the_first_that_has_one_of_the_name(self, card):
        bent = replace(card.planes[0], description="another")
        first = model(card, "a", planes=card.planes[:1])
        second = model(card, "b", planes=(bent, card.planes[1]), measurements=(DISTANCE,))
        joint = consensus_card(first, second)
        assert joint.planes == card.planes
        assert joint.measurements == (DISTANCE,)

    def test_a_pair_of_ends_that_two_models_know_is_one_pair(self, card):
        first, second = (
            model(card, "a", interchangeable=(("AC", "PC"),)),
            model(card, "b", interchangeable=(("PC", "AC"), ("RE", "LE"))),
        )
        assert consensus_card(first, second).interchangeable == (("AC", "PC"), ("RE", "LE"))

    def test_models_of_pictures_and_of_volumes_are_refused(self, card):
        with pytest.raises(LandmarkDetectionError, match="b works on 2D images, but a on 3D images"):
            consensus_card(model(card, "a"), model(card, "b", dimension=2))

    def test_a_model_without_a_landmark_in_common_is_refused(self, card):
        stranger = model(card, "c", ("Hip",), anatomy="pelvis")
        with pytest.raises(LandmarkDetectionError, match=r"c \(pelvis\) shares no landmark with a, b"):
            consensus_card(model(card, "a"), model(card, "b"), stranger)

    def test_the_same_weights_twice_are_refused(self, card):
        with pytest.raises(LandmarkDetectionError, match=r"given twice \(a and b\)"):
            consensus_card(model(card, "a"), model(card, "b", weights_sha256="a" * 64))


class TestFusedLandmark:
    def test_the_floor_of_a_spread_comes_from_the_measured_errors(self, card, volume):
        """Neither has a spread. A 90 % radius of 2.5 mm stands for 1 mm an axis, a mean error of 3.19 mm for 2 mm."""
        calibrated = model(card, "a", calibration=Calibration({"AC": np.sqrt(6.2514)}, 9, "split conformal"))
        measured = model(
            card,
            "b",
            positions_mm=[(5, 0, 0)] * 4,
            accuracy=(replace(ACCURACY, mre_mm=2 * np.sqrt(8 / np.pi)), ACCURACY),
        )
        found = ConsensusDetector([calibrated, measured]).detect(volume)
        surer = calibrated.detect(volume)["AC"].position_ras
        np.testing.assert_allclose(np.linalg.norm(found["AC"].position_ras - surer), 1.0, atol=1e-3)

    def test_a_model_that_nobody_measured_is_as_unsure_as_its_voxels_are_large(self, card, volume):
        found = ConsensusDetector([model(card, "a"), model(card, "b")]).detect(volume)
        np.testing.assert_allclose(found["AC"].covariance_ras, np.diag([4.0, 4.0, 4.0]), atol=1e-9)

    def test_agreement_needs_no_review_and_tells_the_distance(self):
        one = fused(opinion((-1, 0, 0)), opinion((1, 0, 0)))
        assert (one.disagreement_mm, one.needs_review) == (2.0, False)

    def test_disagreement_needs_review(self):
        one = fused(opinion((-10, 0, 0)), opinion((10, 0, 0)))
        assert (one.disagreement_mm, one.needs_review) == (20.0, True)
        np.testing.assert_allclose(one.position_ras, (0, 0, 0), atol=1e-12)

    def test_an_outlier_needs_review_though_the_majority_decides(self):
        one = fused(opinion((0, 0, 0)), opinion((1, 0, 0)), opinion((30, 0, 0)))
        assert one.needs_review
        assert np.linalg.norm(one.position_ras - (0.5, 0, 0)) < 0.2

    def test_the_radius_holds_the_balls_of_all_that_agree(self):
        """2 mm around a point 1 mm away, and 2.5 mm around one as far away; the outlier's 9 mm do not count."""
        agreeing = opinion((-1, 0, 0), radius90_mm=2.0), opinion((1, 0, 0), radius90_mm=2.5)
        assert fused(*agreeing).radius90_mm == pytest.approx(3.5)
        with_outlier = fused(*agreeing, opinion((0, 300, 0), radius90_mm=9.0))
        assert with_outlier.radius90_mm == pytest.approx(3.5, abs=0.1)

    def test_the_radius_holds_the_balls_of_all_where_nobody_agrees(self):
        one = fused(opinion((-10, 0, 0), radius90_mm=2.0), opinion((10, 0, 0), radius90_mm=3.0))
        assert one.radius90_mm == pytest.approx(13.0)

    def test_there_is_a_radius_if_one_model_is_calibrated(self):
        assert fused(opinion((-1, 0, 0)), opinion((1, 0, 0), radius90_mm=3.0)).radius90_mm == pytest.approx(4.0)
        assert fused(opinion(), opinion()).radius90_mm is None

    def test_presence_is_the_mean_and_they_say_where_who_share_the_verdict(self):
        lacking = opinion((80, 0, 0), presence=0.1, missing=True)
        one = fused(opinion((-1, 0, 0), presence=0.9), opinion((1, 0, 0), presence=0.8), lacking)
        assert one.presence == pytest.approx(0.6)
        assert (one.missing, one.doubts, one.disagreement_mm) == (False, (Doubt.DISAGREEMENT, Doubt.PRESENCE), 2.0)
        np.testing.assert_allclose(one.position_ras, (0, 0, 0), atol=1e-12)

    def test_one_sure_model_suffices_where_they_agree(self):
        unsure = {"doubts": (Doubt.UNSURE,)}
        assert not fused(opinion((-1, 0, 0), **unsure), opinion((1, 0, 0))).needs_review
        assert fused(opinion((-1, 0, 0), **unsure), opinion((1, 0, 0), **unsure)).doubts == (Doubt.UNSURE,)

    def test_a_presence_that_is_open_to_all_together_needs_review(self):
        half = {"presence": 0.7}
        assert fused(opinion((-1, 0, 0), **half), opinion((1, 0, 0), **half)).doubts == (Doubt.PRESENCE,)

    def test_where_a_landmark_lies_that_all_miss_is_nobody_s_dispute(self):
        absent = {"presence": 0.1, "missing": True}
        one = fused(opinion((-30, 0, 0), **absent), opinion((30, 0, 0), **absent))
        assert (one.missing, one.needs_review) == (True, False)

    def test_a_landmark_of_one_model_alone_is_as_that_model_gives_it(self):
        alone = opinion((1, 2, 3), radius90_mm=2.0)
        assert fused(alone) is alone.mark

    def test_in_a_picture_nothing_leaves_its_plane(self):
        plane = np.linalg.qr(np.array([[1.0, 1], [1, -1], [0.5, 0.5]]))[0]
        normal = np.cross(*plane.T)
        marks = [opinion(normal * 7 + plane @ (far, 0.0)) for far in (-1.0, 1.0)]
        one = fused_landmark(marks, plane)
        np.testing.assert_allclose(one.position_ras, normal * 7, atol=1e-12)
        np.testing.assert_allclose(one.covariance_ras @ normal, 0, atol=1e-12)
        assert np.trace(one.covariance_ras) == pytest.approx(1 + 1 + 1)


class TestInterchangeableEnds:
    @staticmethod
    def detection(first, second):
        marks = (("A", first, 1.0), ("B", second, 2.0))
        return Detection(
            tuple(DetectedLandmark(label, np.array([at, 0.0, 0.0]), ROUND, radius90_mm=r) for label, at, r in marks),
            *("m", "1", "0" * 64, "cpu"),
            0.1,
        )

    def positions(self, *ends):
        answers = with_ends_agreed([self.detection(*pair) for pair in ends], [("A", "B")])
        return [(marks["A"].position_ras[0], marks["B"].position_ras[0]) for marks in answers]

    def test_ends_named_the_other_way_round_are_matched(self):
        assert self.positions((0, 50), (49, 1)) == [(0, 50), (1, 49)]

    def test_all_models_are_matched_even_if_the_first_is_far_off(self):
        first, second, third = self.positions((300, 320), (0, 50), (51, 1))
        assert (second, third) in [((0, 50), (1, 51)), ((50, 0), (51, 1))]
        assert first == (300, 320)

    def test_what_belongs_to_an_end_goes_with_it(self):
        _, second = with_ends_agreed([self.detection(0, 50), self.detection(49, 1)], [("A", "B")])
        assert (second["A"].label, second["A"].radius90_mm) == ("A", 2.0)


class TestDetecting:
    def test_the_detection_is_that_of_all_models(self, card, volume):
        first, second = model(card, "a", ("AC", "PC")), model(card, "b", ("LE", "AC"))
        found = ConsensusDetector([first, second]).detect(volume, seed=3)
        assert found.labels == ("AC", "PC", "LE")
        assert (found.model_names, found.model_version) == (("a", "b"), "a.0+b.0")
        assert (found.weights_sha256, found.seed, found.device) == (f"{'a' * 64}+{'b' * 64}", 3, "cpu")
        np.testing.assert_allclose(found["LE"].position_ras, second.detect(volume)["LE"].position_ras)
        assert (found["LE"].disagreement_mm, found["AC"].disagreement_mm) == (None, pytest.approx(5.0))

    def test_disagreements_are_noted_in_one_sentence(self, card, volume):
        calm, wild = model(card, "a"), model(card, "b", positions_mm=((0, 0, 0), (5, 0, 0), (0, 5, 0), (0, 0, 25)))
        notes = ConsensusDetector([calm, wild]).detect(volume).notes
        (call,) = [note for note in notes if "disagree" in note]
        assert call == "The models disagree on where these landmarks lie: LE (20.0 mm apart). Check them."
        assert not any("disagree" in note for note in ConsensusDetector([calm, model(card, "c")]).detect(volume).notes)

    def test_a_dispute_about_presence_is_not_called_one_about_the_place(self, card, volume):
        calm, blind = model(card, "a"), model(card, "b", positions_mm=((0, 0, 0), (5, 0, 0), (0, 5, 0), (0, 0, 900)))
        notes = ConsensusDetector([calm, blind]).detect(volume).notes
        (call,) = [note for note in notes if "disagree" in note]
        assert call == "The models disagree on whether the image shows these landmarks: LE. Check them."

    def test_progress_spans_all_models(self, card, volume):
        seen = []
        models = [model(card, name) for name in "abc"]
        ConsensusDetector(models).detect(volume, progress=lambda *step: seen.append(step))
        fractions = [fraction for fraction, _ in seen]
        assert fractions == sorted(fractions)
        assert (seen[0], seen[-1]) == ((0.0, "a: Preparing the volume"), (1.0, "c: Done"))
        assert (pytest.approx(0.5), "b: Looking") in seen

    @pytest.mark.parametrize("last_words", ["a: Done", "b: Preparing the volume"])
    def test_it_can_be_cancelled_between_and_within_the_models(self, card, volume, last_words):
        seen = []
        both = ConsensusDetector([model(card, "a"), model(card, "b")])
        with pytest.raises(DetectionCancelled):
            both.detect(volume, progress=lambda _, text: seen.append(text), cancelled=lambda: last_words in seen)
        assert seen[-1] == last_words

    def test_it_can_be_evaluated_like_one_model(self, card, tmp_path):
        both = ConsensusDetector([model(card, "a", blob_dataset.LABELS), model(card, "b", blob_dataset.LABELS)])
        dataset = Dataset.load(blob_dataset.write_blob_dataset(tmp_path / "data"))
        report = evaluate(dataset, "test", both).report
        assert report["model"] == {"name": "a+b", "version": "a.0+b.0", "weights_sha256": both.card.weights_sha256}
        assert (report["cases"], report["failed"]) == (3, [])

    def test_a_picture_s_landmarks_stay_in_its_plane(self, card):
        pixels = np.zeros((1, 60, 40), np.float32)
        pixels[0, 10:50, 10:30] = np.arange(20)
        turned = np.eye(4)
        turned[:3, :3] = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
        picture = Volume(pixels, turned, "picture")
        both = [model(card, name, ("AC",), ((far, 0, 0),), dimension=2) for name, far in (("a", -1.0), ("b", 1.0))]
        (mark,) = ConsensusDetector(both).detect(picture).landmarks
        assert (np.linalg.inv(turned) @ [*mark.position_ras, 1])[2] == pytest.approx(0, abs=1e-9)
        np.testing.assert_allclose(mark.covariance_ras @ turned[:3, 2], 0, atol=1e-9)
