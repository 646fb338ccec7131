"""The results of trainings are kept in one file: whole, once each, and none of a training that failed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import NamedTuple

import pytest
from blob_dataset import write_blob_dataset, write_recipe
from pin_on_brain import PIN_ON_BRAIN
from record_training import Plan, planned, record
from results_table import tables
from training_results import TrainingResult, add_result, read_results

from LandmarkDetectionLib.errors import LandmarkDetectionError


def plan(folder: Path, **changes: object) -> Plan:
    """Of a training of three steps on the blobs."""
    config = write_recipe(folder / "three-steps.json", optimisation={"steps": 3, "pool_size": 8})
    arguments = {
        "method": "pin",
        "data": folder / "blobs",
        "dataset": "three blobs",
        "split": "validation",
        "preset": "quick",
        "config": config,
        "seed": 0,
        "folder": folder / "trainings",
    }
    return Plan(**arguments | changes)


def test_rows_are_read_as_they_were_written(tmp_path):
    other = dataclasses.replace(PIN_ON_BRAIN, dataset="spine, lumbar", seed=1)
    for result in (PIN_ON_BRAIN, other):
        add_result(result, tmp_path / "results.csv")
    assert read_results(tmp_path / "results.csv") == [PIN_ON_BRAIN, other]
    assert {path.name for path in tmp_path.iterdir()} == {"results.csv"}


def test_newer_row_takes_the_place_of_that_of_the_same_training(tmp_path):
    for mre_mm in (1.5, 1.4):
        add_result(dataclasses.replace(PIN_ON_BRAIN, mre_mm=mre_mm), tmp_path / "results.csv")
    assert [result.mre_mm for result in read_results(tmp_path / "results.csv")] == [1.4]


class Recorded(NamedTuple):
    """A folder with results.csv, and what recording gave: by folds, on the validation cases, and both once more."""

    folder: Path
    by_folds: TrainingResult
    validated: TrainingResult
    again: list[TrainingResult | None]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Recorded:
    """One model with its cross-validation."""
    folder = tmp_path_factory.mktemp("recorded")
    write_blob_dataset(folder / "blobs")
    file, plans = folder / "results.csv", [plan(folder, split="2 folds", folds=2), plan(folder)]
    by_folds, validated = (record(one, file) for one in plans)
    return Recorded(folder, by_folds, validated, [record(one, file) for one in plans])


def test_training_is_a_row_for_each_set_of_cases_it_is_measured_on(recorded):
    assert read_results(recorded.folder / "results.csv") == [recorded.by_folds, recorded.validated]
    assert recorded.again == [None, None]
    for result in (recorded.by_folds, recorded.validated):
        assert (result.method, result.dataset, result.recipe) == ("pin", "three blobs", "quick + three-steps")
        assert set(result.sdr_shares) == {"2.0", "2.5", "3.0", "4.0"}
        assert 0 < result.moved_mean_shape_mm < result.mean_position_mm
        assert 100 < result.peak_mb < 2000
    assert (recorded.by_folds.split, recorded.by_folds.cases, recorded.by_folds.points) == ("2 folds", 11, 33)
    assert (recorded.validated.split, recorded.validated.cases, recorded.validated.points) == ("validation", 3, 9)


def test_model_is_trained_once_whatever_it_is_measured_on(recorded):
    bundle = recorded.folder / "trainings" / "three-blobs-pin-quick-three-steps-seed0"
    logs = [path.relative_to(bundle.parent).as_posix() for path in bundle.parent.rglob("metrics.csv")]
    work = f"{bundle.name}.training"
    assert sorted(logs) == [
        f"{work}/fold-1.training/metrics.csv",
        f"{work}/fold-2.training/metrics.csv",
        f"{work}/metrics.csv",
    ]
    report = bundle.parent / f"{bundle.name}.validation" / "report.json"
    assert (bundle / "model.json").stat().st_mtime_ns < report.stat().st_mtime_ns


def test_training_that_fails_adds_no_row(tmp_path):
    blobs = write_blob_dataset(tmp_path / "blobs")
    (blobs / "volumes" / "case9.nii.gz").unlink()
    with pytest.raises(LandmarkDetectionError, match="case9"):
        record(plan(tmp_path), tmp_path / "results.csv")
    assert not (tmp_path / "results.csv").exists()


def test_command_line_names_the_dataset_as_it_calls_itself(tmp_path):
    blobs = write_blob_dataset(tmp_path / "blobs")
    assert planned(["pin", str(blobs), "--folds", "5"]).split == "5 folds"
    found = planned(["pin", str(blobs), "--preset", "standard", "--seed", "2"])
    assert found.key == ("pin", "three blobs", "test", "standard", 2)
    assert found.bundle.name == "three-blobs-pin-standard-seed2"


def test_table_shows_the_best_training_first_and_the_baselines_last():
    worse = dataclasses.replace(PIN_ON_BRAIN, method="cascade", mre_mm=1.9)
    other = dataclasses.replace(PIN_ON_BRAIN, dataset="spine", mre_mm=3.0)
    brain, spine = tables([other, worse, PIN_ON_BRAIN]).split("\n\n### ")
    lines = brain.splitlines()
    assert lines[0] == "### brain, test: 20 cases, 400 points"
    assert "| ≤ 2.0 mm | ≤ 4.0 mm |" in lines[2]
    assert [line.split(" | ")[0] for line in lines[4:]] == [
        "| pin",
        "| cascade",
        "| mean position",
        "| moved mean shape",
    ]
    assert "| 1.46 ± 0.80 | 1.26 | 82.0% | 98.2% | 3.9 | 0.13 | 446 | 9.5 | abcdef1+ |" in lines[4]
    assert len({line.count("|") for line in lines[2:]}) == 1
    assert spine.startswith("spine, test")
