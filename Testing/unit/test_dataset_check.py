"""Checking a dataset folder lists every problem in a sentence, with its case."""

from __future__ import annotations

import json

import numpy as np
import pytest

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.dataset_check import Problem, check_dataset
from LandmarkDetectionLib.files.images import write_volume
from LandmarkDetectionLib.files.markups import write_markups
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.volume import Volume

LABELS = ("Left eye", "Right eye", "Nose")
POSITIONS = {"Left eye": (2.0, 5.0, 5.0), "Right eye": (7.0, 5.0, 5.0), "Nose": (4.5, 7.0, 4.0)}


@pytest.fixture
def folder(tmp_path):
    """Four sound cases: a and b to train, c to validate, d to test."""
    for name in "abcd":
        write_volume(
            Volume(np.arange(1000, dtype=np.int16).reshape(10, 10, 10), np.eye(4)),
            tmp_path / "volumes" / f"{name}.nrrd",
        )
        write_markups(LandmarkSet(POSITIONS), tmp_path / "landmarks" / f"{name}.mrk.json")
    describe(tmp_path)
    return tmp_path


def describe(folder, **changes):
    fields = {
        "landmarks": [{"label": label} for label in LABELS],
        "split": {"train": ["a", "b"], "validation": ["c"], "test": ["d"]},
    }
    (folder / "dataset.json").write_text(json.dumps(fields | changes))


def relabel(folder, case, **changes):
    """Write a case's landmarks again with some positions changed."""
    changes = {label.replace("_", " "): position for label, position in changes.items()}
    write_markups(LandmarkSet(POSITIONS | changes), folder / "landmarks" / f"{case}.mrk.json")


def the_problem(folder):
    problems = check_dataset(folder)
    assert len(problems) == 1
    return problems[0]


def test_a_sound_dataset_has_no_problem(folder):
    assert check_dataset(folder) == []


@pytest.mark.parametrize("name", ["afids", "mouse"])
def test_the_public_data_have_no_problem(shared_data, name):
    assert check_dataset(shared_data / name) == []


def test_missing_landmarks_are_named(folder):
    relabel(folder, "b", Nose=None)
    assert the_problem(folder) == Problem("b", "These landmarks are missing: Nose.")


def test_labels_that_the_dataset_does_not_know_are_named(folder):
    relabel(folder, "b", Ear=(1, 1, 1))
    assert the_problem(folder) == Problem("b", "These labels are not among the dataset's landmarks: Ear.")


def test_without_definitions_label_sets_that_differ_are_named(folder):
    (folder / "dataset.json").unlink()
    relabel(folder, "b", Ear=(1, 1, 1))
    assert {problem.case: problem.message for problem in check_dataset(folder)} == dict.fromkeys(
        "acd", "These landmarks are missing: Ear."
    )


def test_labels_that_occur_twice_are_named(folder):
    path = folder / "landmarks" / "b.mrk.json"
    path.write_text(path.read_text().replace('"Nose"', '"Left eye"'))
    problem = the_problem(folder)
    assert problem.case == "b"
    assert 'more than one control point is called "Left eye"' in problem.message


def test_points_outside_the_image_are_named(folder):
    relabel(folder, "c", Nose=(4.5, 12.0, 4.0))
    problem = the_problem(folder)
    assert problem.case == "c"
    assert "outside the image: Nose" in problem.message


def test_left_and_right_exchanged_against_most_cases_is_found(folder):
    relabel(folder, "d", Left_eye=POSITIONS["Right eye"], Right_eye=POSITIONS["Left eye"])
    problem = the_problem(folder)
    assert problem.case == "d"
    assert "Left and right are exchanged" in problem.message


def test_half_against_half_is_no_majority(folder):
    for case in "cd":
        relabel(folder, case, Left_eye=POSITIONS["Right eye"], Right_eye=POSITIONS["Left eye"])
    assert check_dataset(folder) == []


def test_a_case_in_two_splits_or_in_none_is_found(folder):
    describe(folder, split={"train": ["a", "b"], "test": ["d", "a"]})
    problems = {problem.case: problem.message for problem in check_dataset(folder)}
    assert list(problems) == ["a", "c"]
    assert "more than once" in problems["a"]
    assert "in no split" in problems["c"]


def test_images_and_markups_that_are_not_there_or_not_readable_are_found(folder):
    (folder / "volumes" / "a.nrrd").unlink()
    (folder / "landmarks" / "b.mrk.json").unlink()
    (folder / "volumes" / "c.nrrd").write_text("no image")
    (folder / "landmarks" / "d.mrk.json").write_text("no markups")
    problems = {problem.case: problem.message for problem in check_dataset(folder)}
    assert list(problems) == ["a", "b", "c", "d"]
    assert "has no image" in problems["a"]
    assert "has no landmarks" in problems["b"]
    assert "not an image" in problems["c"]
    assert "not a valid markups file" in problems["d"]


def test_voxels_that_are_not_finite_are_found(folder):
    voxels = np.zeros((10, 10, 10), np.float32)
    voxels[0, 0, 0] = np.nan
    write_volume(Volume(voxels, np.eye(4)), folder / "volumes" / "a.nrrd")
    assert the_problem(folder).message == "a.nrrd: 1 NaN or infinite voxels were set to the image's minimum."


def test_an_observer_whose_reading_is_not_there_is_found(folder):
    describe(folder, observers=["senior"])
    assert [problem.case for problem in check_dataset(folder)] == list("abcd")
    assert all("by observer senior" in problem.message for problem in check_dataset(folder))


def test_a_dataset_without_any_truth_is_found(folder):
    for path in (folder / "landmarks").iterdir():
        path.unlink()
    problems = check_dataset(folder)
    assert problems[0] == Problem("", "No case has landmarks that can be read: add markups files.")
    assert len(problems) == 5


def test_a_folder_that_is_no_dataset_is_refused(tmp_path):
    with pytest.raises(LandmarkDetectionError, match="is not a dataset folder"):
        check_dataset(tmp_path)
