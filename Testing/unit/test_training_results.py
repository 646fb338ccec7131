"""The results of trainings are kept in one file: whole, once each, and none of a training that failed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import NamedTuple

import pytest
from blob_dataset import write_blob_dataset, write_recipe
from case_errors import add_case_errors, read_case_errors
from pin_on_brain import PIN_ON_BRAIN
from record_training import Plan, planned, record
from results_table import tables
from training_results import TrainingResult, add_result, read_results

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.models.bundle import load_bundle
from LandmarkDetectionLib.training.cross_validation import folds_of


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


def test_errors_of_cases_are_read_as_they_were_written(tmp_path):
    file = tmp_path / "case_errors.csv"
    written = {
        PIN_ON_BRAIN.key: {"one": 1.5, "x=2,y": 0.25},
        ("cascade", "a, b", "fold 1 of 3", "quick", 1): {"q": 3.0},
    }
    add_case_errors(PIN_ON_BRAIN.key, {"an older one": 7.0}, file)
    for key, errors_mm in written.items():
        add_case_errors(key, errors_mm, file)
    assert read_case_errors(file) == written
    assert read_case_errors(tmp_path / "nothing.csv") == {}


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
        assert result.steps == 3 * (2 if result is recorded.by_folds else 1)
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


@pytest.fixture(scope="module")
def fold_alone(tmp_path_factory) -> tuple[Path, list[TrainingResult]]:
    """One fold, detected with two rules."""
    folder = tmp_path_factory.mktemp("fold")
    write_blob_dataset(folder / "blobs")
    asked = {"split": "fold 2 of 3", "fold": (2, 3), "seed": 5}
    plans = [plan(folder, **asked), plan(folder, **asked, options={"rule": "A"})]
    return folder, [record(one, folder / "results.csv") for one in plans]


def test_one_fold_is_one_training_measured_on_what_it_holds_out(fold_alone):
    folder, (result, _) = fold_alone
    fold = folds_of(Dataset.load(folder / "blobs"), 3, seed=0)[1]
    bundles = [path.parent for path in (folder / "trainings").rglob("model.json")]
    assert [bundle.name for bundle in bundles] == ["three-blobs-pin-quick-three-steps-seed5-fold-2-of-3"]
    training = load_bundle(bundles[0]).card.training
    assert training.cases == len(fold.training)
    assert f"the {len(fold.choosing)} validation cases that chose" in training.notes
    errors_mm = read_case_errors(folder / "case_errors.csv")[result.key]
    assert set(errors_mm) == set(fold.held_out)
    assert result.key == ("pin", "three blobs", "fold 2 of 3", "quick + three-steps", 5)
    assert result.cases == len(fold.held_out)
    assert result.mre_mm == pytest.approx(sum(errors_mm.values()) / len(errors_mm), abs=1e-3)


def test_what_changes_detection_alone_is_another_row_of_the_same_training(fold_alone):
    folder, results = fold_alone
    assert [result.recipe for result in results] == ["quick + three-steps", "quick + three-steps, rule=A"]
    assert results[0].mre_mm != results[1].mre_mm
    assert results[0].minutes == results[1].minutes
    assert len(list((folder / "trainings").rglob("metrics.csv"))) == 1
    assert len(read_case_errors(folder / "case_errors.csv")) == len(read_results(folder / "results.csv")) == 2


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
    found = planned(["pin", str(blobs), "--fold", "1/3", "--seed", "1", "--option", "rule=A"])
    assert found.key == ("pin", "three blobs", "fold 1 of 3", "quick, rule=A", 1)
    assert (found.fold, found.folds) == ((1, 3), None)


@pytest.mark.parametrize(
    "asked", [["--fold", "4/3"], ["--fold", "0/3"], ["--fold", "1"], ["--folds", "3", "--option", "rule=A"]]
)
def test_command_line_refuses_what_cannot_be_measured(tmp_path, asked):
    with pytest.raises(SystemExit):
        planned(["pin", str(write_blob_dataset(tmp_path / "blobs")), *asked])


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
