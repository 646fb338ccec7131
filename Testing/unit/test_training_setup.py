"""What a person chose to train becomes a command line, unless it cannot work."""

from __future__ import annotations

import dataclasses
import os

import pytest
from blob_dataset import LABELS, write_blob_dataset, write_description
from tiny_models import TINY_CARD

from LandmarkDetectionLib.cli import _parser
from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.models.card import ModelCard
from LandmarkDetectionLib.models.registry import list_models
from LandmarkDetectionLib.training.lock import training_lock
from LandmarkDetectionLib.training.log_files import TrainingPlan, write_plan
from LandmarkDetectionLib.training.presets import PRESETS
from LandmarkDetectionLib.training_setup import TrainingSetup, suggested_name


@pytest.fixture
def dataset(tmp_path):
    return Dataset.load(write_blob_dataset(tmp_path / "blobs"))


@pytest.fixture
def setup(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("LANDMARK_DETECTION_MODELS", str(tmp_path / "store" / "models"))
    return TrainingSetup(str(dataset.path), "pin", "quick", "blobs")


@pytest.fixture
def initial():
    landmarks = [{"label": label, "description": "", "side": ""} for label in LABELS]
    return ModelCard.from_json(TINY_CARD | {"landmarks": landmarks, "interchangeable": []} | _WITHOUT_LABELS)


_WITHOUT_LABELS = {"planes": [], "measurements": [], "calibration": None}


def changed(setup, **changes):
    return dataclasses.replace(setup, **changes)


def test_the_command_line_is_one_that_the_command_takes(setup):
    full = changed(setup, initial="tiny", config="settings.json", device="cpu", folds=5)
    parsed = _parser().parse_args(full.training_arguments(resume=True))
    assert (str(parsed.dataset), parsed.method, parsed.preset, parsed.device) == (setup.dataset, "pin", "quick", "cpu")
    assert (parsed.output, parsed.init_from, str(parsed.config)) == (setup.output, "tiny", "settings.json")
    assert parsed.folds == 5
    assert parsed.resume
    assert parsed.json
    parsed = _parser().parse_args(setup.training_arguments(resume=False))
    assert (parsed.init_from, parsed.config, parsed.resume, parsed.folds) == (None, None, False, None)
    parsed = _parser().parse_args(setup.evaluation_arguments("test"))
    assert (parsed.model, parsed.split, parsed.output) == ([str(setup.output)], "test", setup.report_folder)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_presets_are_those_of_the_command(setup, preset):
    assert _parser().parse_args(changed(setup, preset=preset).training_arguments(resume=False)).preset == preset


def test_its_files_lie_beside_the_users_models(setup, tmp_path):
    assert setup.output == tmp_path / "store" / "trainings" / "blobs"


def test_what_stopped_before_its_end_can_be_resumed(setup):
    assert not setup.can_resume
    setup.work_folder.mkdir(parents=True)
    checkpoint, card = setup.work_folder / "last.ckpt", setup.output / "model.json"
    checkpoint.touch()
    os.utime(checkpoint, (100, 100))
    assert setup.can_resume
    assert not setup.is_trained
    setup.output.mkdir()
    card.touch()
    os.utime(card, (200, 200))
    assert not setup.can_resume
    assert setup.is_trained
    os.utime(checkpoint, (300, 300))
    assert setup.can_resume


def test_networks_that_are_trained_one_after_the_other_can_be_resumed(setup):
    (setup.work_folder / "0").mkdir(parents=True)
    (setup.work_folder / "0" / "last.ckpt").touch()
    assert setup.can_resume


def test_what_another_program_trains_can_neither_be_resumed_nor_replaced(setup, dataset):
    (setup.work_folder / "last.ckpt").parent.mkdir(parents=True)
    (setup.work_folder / "last.ckpt").touch()
    with training_lock(setup.work_folder):
        assert not setup.can_resume
        assert setup.problem(dataset, None) == (
            "Another program is training blobs: wait until it has ended, or choose another name."
        )
    assert setup.can_resume
    assert not setup.problem(dataset, None)


def test_the_folds_are_trained_before_the_model(setup):
    setup = changed(setup, folds=2)
    work = setup.work_folder
    parts = []
    for name in ("fold-1", "fold-2", None):
        parts.append((setup.part.number, setup.part.count, setup.part.folder))
        if name is not None:
            (work / name).mkdir(parents=True)
            (work / name / "model.json").touch()
    assert parts == [(1, 3, work / "fold-1.training"), (2, 3, work / "fold-2.training"), (3, 3, work)]
    assert changed(setup, folds=1).part.count == 1


def test_each_network_of_each_training_is_a_part(setup):
    setup = changed(setup, folds=2)
    fold = setup.work_folder / "fold-1.training"
    for name in ("0", "1", "1x"):
        (fold / name).mkdir(parents=True)
    parts = [(setup.part.number, setup.part.count, setup.part.folder)]
    for index in range(2):
        write_plan(fold / str(index), TrainingPlan(100, 4.0))
        parts.append((setup.part.number, setup.part.count, setup.part.folder))
    assert parts == [(1, 6, fold / "0"), (1, 6, fold / "0"), (2, 6, fold / "1")]


def test_the_error_is_the_mean_of_the_networks_best(setup):
    assert setup.validation_error_mm is None
    for index, errors in enumerate(((4.0, 2.0), (6.0, 7.0))):
        folder = setup.work_folder / str(index)
        folder.mkdir(parents=True)
        write_plan(folder, TrainingPlan(100, 4.0))
        rows = "".join(f"{step},1.0,,{error}\n" for step, error in enumerate(errors))
        (folder / "metrics.csv").write_text(f"step,minutes,loss,validation_error_mm\n{rows}")
    assert setup.validation_error_mm == 4.0


@pytest.mark.parametrize(("content", "folds"), [('{"folds": [1, 2, 3]}', 3), ("{", 1), ("{}", 1), ("[]", 1)])
def test_the_folds_that_were_begun_are_known(setup, content, folds):
    assert setup.folds_begun == 1
    setup.work_folder.mkdir(parents=True)
    (setup.work_folder / "folds.json").write_text(content)
    assert setup.folds_begun == folds


def test_a_training_that_stopped_among_its_folds_can_be_resumed(setup):
    setup = changed(setup, folds=2)
    checkpoint = setup.part.folder / "last.ckpt"
    checkpoint.parent.mkdir(parents=True)
    assert not setup.can_resume
    checkpoint.touch()
    assert setup.can_resume
    (setup.work_folder / "fold-1").mkdir()
    (setup.work_folder / "fold-1" / "model.json").touch()
    assert setup.can_resume, "fold 1 is done, and fold 2 has no checkpoint yet"
    setup.output.mkdir()
    (setup.output / "model.json").touch()
    assert not setup.can_resume


class TestProblem:
    def test_there_is_none(self, setup, dataset, initial):
        assert setup.problem(dataset, None) == ""
        assert changed(setup, initial="tiny-brain").problem(dataset, initial) == ""

    @pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a b", "a\n", "x.training", "x.", "Köpfe"])
    def test_a_name_no_folder_should_have(self, setup, dataset, name):
        assert "begins with a letter" in changed(setup, name=name).problem(dataset, None)

    @pytest.mark.parametrize("name", ["con", "nul", "com1"])
    def test_a_name_windows_keeps_for_itself(self, setup, dataset, name):
        assert "Windows allows no file" in changed(setup, name=name).problem(dataset, None)

    def test_a_name_no_file_system_takes(self, setup, dataset):
        assert "too long" in changed(setup, name="a" * 300).problem(dataset, None)

    def test_the_name_of_a_shipped_model(self, setup, dataset):
        shipped = list_models()[0].name
        assert "is shipped" in changed(setup, name=shipped).problem(dataset, None)

    def test_cases_that_are_not_divided(self, setup, dataset):
        write_description(dataset.path, split={})
        assert "divide it first" in setup.problem(Dataset.load(dataset.path), None)
        write_description(dataset.path, split={"train": [], "validation": ["case1"]})
        assert "no cases to train on" in setup.problem(Dataset.load(dataset.path), None)

    def test_a_model_to_start_from_that_is_gone_or_does_not_fit(self, setup, dataset, initial):
        wants_it = changed(setup, initial="tiny-brain")
        assert "no longer there" in wants_it.problem(dataset, None)
        assert "with the method pin:" in changed(wants_it, method="cascade").problem(dataset, initial)
        other = ModelCard.from_json(TINY_CARD)
        assert "finds other landmarks" in wants_it.problem(dataset, other)


@pytest.mark.parametrize(
    ("name", "initial", "suggestion"),
    [
        ("three blobs", "", "three-blobs-pin"),
        ("Köpfe (neu)", "", "kopfe-neu-pin"),
        ("x", "tiny", "tiny-tuned"),
        ("a_b.c", "", "a-b-c-pin"),
        ("頭", "", "pin"),
        ("long" * 99, "", "long" * 15 + "-pin"),
    ],
)
def test_the_suggested_name_can_be_one(setup, dataset, name, initial, suggestion):
    found = suggested_name(dataclasses.replace(dataset, name=name), "pin", initial)
    assert found == suggestion
    assert changed(setup, name=found).problem(dataset, None) == ""
