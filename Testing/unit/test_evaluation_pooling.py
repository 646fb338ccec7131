"""Folds of a cross-validation as one report, each with the baselines of its own training cases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from knowing_detector import SHIFTS, TRUTHS, KnowingDetector, moved, write_dataset
from tiny_models import TINY_CARD

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.evaluation.evaluate import evaluate, evaluate_predictions
from LandmarkDetectionLib.evaluation.outcome import Evaluation
from LandmarkDetectionLib.evaluation.pooling import pooled
from LandmarkDetectionLib.evaluation.reference import Reference
from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.files.markups import write_markups
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.models.card import ModelCard

CARD = replace(ModelCard.from_json(TINY_CARD), shape_model=None, calibration=None)
FOLDS = (("train1", "one"), ("train2", "two"), ("three & four",))
ERRORS_MM = {"train1": 1.0, "one": 2.0, "train2": 3.0, "two": 4.0, "three & four": 5.0}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    return Dataset.load(write_dataset(tmp_path_factory.mktemp("pooling") / "data"))


def fold_of(dataset: Dataset, names: tuple[str, ...], *, skipped: tuple[str, ...] = ()) -> Evaluation:
    """Every landmark of a case errs by the same distance, which is the case's own."""
    held_out = [case for case in dataset.cases if case.name in names]
    others = [case for case in dataset.cases if case.name not in names]
    detections = {}
    for case in held_out:
        offsets = dict.fromkeys(CARD.labels, (0.0, ERRORS_MM[case.name], 0.0))
        if case.name not in skipped:
            detections[case.name] = KnowingDetector(CARD, offsets_mm=offsets).detect(case.read_volume())
    reference = Reference.of_cases(dataset, f"fold with {names[0]}", CARD.labels, held_out, others)
    return evaluate_predictions(reference, detections, CARD)


def test_detections_in_memory_count_as_those_of_the_model_itself(dataset):
    detector = KnowingDetector(CARD)
    live = evaluate(dataset, "test", detector)
    cases = dataset.split("test")
    detections = {case.name: detector.detect(case.read_volume()) for case in cases}
    reference = Reference.load(dataset, "test", CARD.labels)
    assert evaluate_predictions(reference, detections, CARD).report == live.report


def test_a_case_without_a_detection_failed(dataset):
    report = fold_of(dataset, FOLDS[0], skipped=("one",)).report
    assert [one["case"] for one in report["failed"]] == ["one"]
    assert (report["overall"]["points"], report["overall"]["failed"]) == (6, 3)


def test_the_tables_of_the_folds_are_joined_case_by_case(dataset):
    whole = pooled([fold_of(dataset, names) for names in FOLDS], "3 folds")
    names = [outcome.case.name for outcome in whole.outcomes]
    assert sorted(names) == sorted(SHIFTS)
    np.testing.assert_allclose(whole.table.errors_mm, np.array([[ERRORS_MM[name]] * 3 for name in names]), atol=1e-6)
    assert (whole.report["split"], whole.report["cases"], whole.report["overall"]["points"]) == ("3 folds", 5, 15)
    assert whole.report["overall"]["mre_mm"] == pytest.approx(3.0)
    assert whole.report["macro"]["cases"]["sd_mm"] == pytest.approx(np.sqrt(2.5))
    assert whole.report["observers"]["ann"]["points"] == 3


def test_every_case_keeps_the_baseline_of_its_own_fold(dataset):
    """The cases differ in x alone, so that the mean position is off by the distance from the mean of the others."""
    whole = pooled([fold_of(dataset, names) for names in FOLDS], "3 folds")
    for outcome, errors_mm in zip(whole.outcomes, whole.mean_position.errors_mm, strict=True):
        fold = next(names for names in FOLDS if outcome.case.name in names)
        known = np.mean([shift for name, shift in SHIFTS.items() if name not in fold])
        assert errors_mm == pytest.approx([abs(SHIFTS[outcome.case.name] - known)] * 3, abs=1e-4)
    assert whole.report["translated_mean_shape_oracle"]["mre_mm"] == pytest.approx(0.0, abs=1e-4)


def test_a_test_split_can_stand_beside_the_folds(dataset):
    folds = [fold_of(dataset, ("train1",)), fold_of(dataset, ("train2",))]
    whole = pooled([*folds, evaluate(dataset, "test", KnowingDetector(CARD))], "2 folds and test")
    assert whole.report["cases"] == 5
    assert whole.report["model"]["weights_sha256"] == "ab" * 32


def test_models_of_different_weights_have_no_common_checksum(dataset):
    first, second = (fold_of(dataset, names) for names in FOLDS[:2])
    other = replace(second, study=replace(second.study, model=replace(second.study.model, weights_sha256="cd" * 32)))
    assert pooled([first, other], "2 folds").report["model"]["weights_sha256"] == ""


def test_pooling_one_evaluation_changes_nothing(dataset):
    one = evaluate(dataset, "test", KnowingDetector(CARD))
    assert pooled([one], "test").report == one.report


def test_a_case_may_not_count_twice(dataset):
    fold = fold_of(dataset, FOLDS[0])
    with pytest.raises(LandmarkDetectionError, match="would count twice"):
        pooled([fold, fold], "2 folds")


def test_evaluations_of_other_landmarks_are_not_pooled(dataset):
    partial = replace(CARD, landmarks=CARD.landmarks[:2], planes=())
    others = evaluate(dataset, "test", KnowingDetector(partial))
    with pytest.raises(LandmarkDetectionError, match="compare different landmarks"):
        pooled([fold_of(dataset, ("train1",)), others], "both")


def test_a_landmark_outside_the_image_or_marked_missing_is_absent(tmp_path: Path):
    folder = write_dataset(tmp_path / "data")
    write_markups(LandmarkSet({**TRUTHS["one"], "LE": None}), folder / "landmarks" / "one.mrk.json")
    write_markups(moved(TRUTHS["two"], 0.0, 12.0, 0.0), folder / "landmarks" / "two.mrk.json")
    del_pc = LandmarkSet({label: point for label, point in TRUTHS["three & four"].items() if label != "PC"})
    write_markups(del_pc, folder / "landmarks" / "three & four.mrk.json")
    found = evaluate(Dataset.load(folder), "test", KnowingDetector(CARD, missing=("LE",)))
    assert found.confidence.is_absent.tolist() == [[False, False, True], [True, False, False], [False, False, False]]
    scores = found.report["absence"]
    assert (scores["absent"], scores["present"], scores["recall"], scores["precision"]) == (2, 6, 0.5, 1 / 3)
    assert (scores["false_alarms"], scores["false_alarm_rate"]) == (2, pytest.approx(2 / 6))
