"""Baselines: hand-computed shapes, and the numbers the public data sets state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from LandmarkDetectionLib.evaluation.baselines import mean_position_baseline, translated_mean_shape_oracle
from LandmarkDetectionLib.evaluation.metrics import error_table, summarise
from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.landmarks import LandmarkSet


def test_mean_position_is_the_mean_of_the_training_positions():
    training = [LandmarkSet({"a": (0, 0, 0), "b": (4, 0, 0)}), LandmarkSet({"a": (2, 4, 6), "b": None})]
    tests = [LandmarkSet({"a": (9, 9, 9)}), LandmarkSet({"b": (0, 0, 0)})]
    first, second = mean_position_baseline(training, tests)
    assert first["a"].tolist() == [1, 2, 3]
    assert second["b"].tolist() == [4, 0, 0]


def test_a_landmark_never_seen_in_training_is_missing_from_the_baselines():
    training = [LandmarkSet({"a": (0, 0, 0), "b": None})] * 2
    for baseline in (mean_position_baseline, translated_mean_shape_oracle):
        assert baseline(training, [LandmarkSet({"a": (1, 1, 1), "b": (2, 2, 2)})])[0]["b"] is None


def test_the_oracle_knows_where_a_case_lies():
    shape = np.array([[0.0, 0, 0], [10, 0, 0], [0, 10, 5]])
    labels = ["a", "b", "c"]
    moved = [LandmarkSet.from_array(labels, shape + offset) for offset in ((0, 0, 0), (50, -3, 7), (-9, 80, 2))]
    predicted = translated_mean_shape_oracle(moved[:2], moved[2:])
    np.testing.assert_allclose(predicted[0].to_array(labels), moved[2].to_array(labels), atol=1e-6)


def test_the_oracle_does_not_know_the_size_of_a_case():
    training = [LandmarkSet({"a": (0, 0, 0), "b": (10, 0, 0)})]
    predicted = translated_mean_shape_oracle(training, [LandmarkSet({"a": (100, 0, 0), "b": (130, 0, 0)})])[0]
    assert predicted.to_array(["a", "b"]).tolist() == [[110, 0, 0], [120, 0, 0]]


def test_the_oracle_is_not_misled_by_missing_landmarks():
    shape = np.array([[0.0, 0, 0], [10, 0, 0], [0, 10, 5], [3, 3, 30]])
    labels = ["a", "b", "c", "d"]
    gaps = [shape.copy(), shape + 7.0, shape - 20.0]
    gaps[1][0] = np.nan
    gaps[2][3] = np.nan
    training = [LandmarkSet.from_array(labels, rows) for rows in gaps]
    case = LandmarkSet.from_array(labels, np.vstack([shape[:2] + 1000.0, np.full((2, 3), np.nan)]))
    predicted = translated_mean_shape_oracle(training, [case])[0]
    np.testing.assert_allclose(predicted.to_array(labels), shape + 1000.0, atol=1e-4)


def baseline_summary(folder: Path, baseline, is_interchangeable: bool = True) -> dict:
    dataset = Dataset.load(folder)
    training, tests = ([case.read_landmarks() for case in dataset.split(name)] for name in ("train", "test"))
    labels = [definition.label for definition in dataset.definitions]
    pairs = dataset.interchangeable if is_interchangeable else ()
    return summarise(error_table(tests, baseline(training, tests), labels, pairs))


@pytest.mark.parametrize(
    ("name", "mean_mm", "median_mm", "max_mm"),
    [
        ("brain", 17.60, 15.76, 41.07),
        ("ceph", 9.62, 8.57, 32.81),
        ("fetal_hc18", 18.19, 11.38, 68.56),
        ("mouse", 5.80, 5.28, 13.94),
        ("spine", 13.40, 13.54, 26.35),
    ],
)
def test_mean_position_agrees_with_the_numbers_the_data_sets_state(shared_data, name, mean_mm, median_mm, max_mm):
    summary = baseline_summary(shared_data / name, mean_position_baseline, is_interchangeable=False)
    found = [round(summary[key], 2) for key in ("mre_mm", "median_mm", "max_mm")]
    assert found == pytest.approx([mean_mm, median_mm, max_mm], abs=0.011)


def test_interchangeable_ends_help_the_baseline_too(shared_data):
    summary = baseline_summary(shared_data / "fetal_hc18", mean_position_baseline)
    assert summary["mre_mm"] == pytest.approx(18.10, abs=0.01)


def test_translated_mean_shape_of_the_brain(shared_data):
    assert baseline_summary(shared_data / "brain", translated_mean_shape_oracle)["mre_mm"] == pytest.approx(
        2.59, abs=0.01
    )
