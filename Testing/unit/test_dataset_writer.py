"""Cases are added to a dataset folder whole or not at all, and never in place of another."""

from __future__ import annotations

import json

import numpy as np
import pytest
from blob_dataset import LABELS, blob_case, write_blob_dataset

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.files.dataset_check import check_dataset
from LandmarkDetectionLib.files.dataset_division import divide_cases
from LandmarkDetectionLib.files.dataset_pack import write_pack
from LandmarkDetectionLib.files.dataset_writer import OtherLandmarks, add_case, case_name, is_new
from LandmarkDetectionLib.landmarks import LandmarkDefinition, LandmarkSet
from LandmarkDetectionLib.volume import Volume


def files_below(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def case_of(dataset_folder, name):
    return next(case for case in Dataset.load(dataset_folder).cases if case.name == name)


def named(volume, name):
    return Volume(volume.voxels, volume.ijk_to_ras, name)


@pytest.mark.parametrize("dimension", [2, 3])
def test_the_first_case_makes_a_dataset(tmp_path, dimension):
    volume, landmarks = blob_case(0, dimension)
    assert add_case(tmp_path / "new", volume, landmarks) == "case0"
    dataset = Dataset.load(tmp_path / "new")
    assert (dataset.name, dataset.dimension, dataset.labels) == ("new", dimension, LABELS)
    assert dataset.splits == {"train": ("case0",)}
    assert check_dataset(tmp_path / "new") == []
    read = dataset.cases[0].read_volume()
    np.testing.assert_array_equal(read.voxels, volume.voxels)
    np.testing.assert_allclose(read.ijk_to_ras, volume.ijk_to_ras, atol=1e-9)
    np.testing.assert_allclose(dataset.cases[0].read_landmarks().to_array(), landmarks.to_array(), atol=1e-6)


def test_a_new_dataset_has_the_landmarks_it_is_told_of(tmp_path):
    volume, landmarks = blob_case(0)
    definitions = [LandmarkDefinition(label, f"the {label} one") for label in (*LABELS, "unseen")]
    add_case(tmp_path / "new", volume, landmarks, definitions)
    dataset = Dataset.load(tmp_path / "new")
    assert dataset.labels == (*LABELS, "unseen")
    assert dataset.definitions[0].description == "the bright one"


def test_a_missing_landmark_stays_missing_and_an_unseen_one_unsaid(tmp_path):
    volume, landmarks = blob_case(0)
    add_case(tmp_path / "new", volume, LandmarkSet({"bright": landmarks["bright"], "middle": None}))
    read = case_of(tmp_path / "new", "case0").read_landmarks()
    assert read["middle"] is None
    assert "dim" not in read


def test_a_case_is_added_to_those_that_train(tmp_path):
    folder = write_blob_dataset(tmp_path / "blobs")
    before = Dataset.load(folder)
    volume, landmarks = blob_case(30)
    add_case(folder, volume, landmarks)
    after = Dataset.load(folder)
    assert after.splits["train"] == (*before.splits["train"], "case30")
    assert (after.splits["validation"], after.splits["test"]) == (before.splits["validation"], before.splits["test"])
    assert after.licence == "CC0-1.0"
    assert check_dataset(folder) == []


def test_what_a_dataset_json_says_besides_stays(tmp_path):
    folder = write_blob_dataset(tmp_path / "blobs")
    content = json.loads((folder / "dataset.json").read_text()) | {"contact": "somebody"}
    (folder / "dataset.json").write_text(json.dumps(content))
    add_case(folder, *blob_case(30))
    assert json.loads((folder / "dataset.json").read_text())["contact"] == "somebody"


def test_a_folder_without_a_dataset_json_needs_none(tmp_path):
    folder = write_blob_dataset(tmp_path / "blobs")
    (folder / "dataset.json").unlink()
    add_case(folder, *blob_case(30))
    assert not (folder / "dataset.json").exists()
    assert "case30" in [case.name for case in Dataset.load(folder).split("train")]


def test_another_case_of_the_same_name_is_never_overwritten(tmp_path):
    folder = write_blob_dataset(tmp_path / "blobs")
    before = files_below(folder)
    volume, landmarks = blob_case(30)
    for name in ("case0", "CASE0", "case0 "):
        with pytest.raises(LandmarkDetectionError, match=r"another case named .* rename the volume"):
            add_case(folder, named(volume, name), landmarks)
    assert files_below(folder) == before


def test_an_image_without_landmarks_takes_its_name_too(tmp_path):
    folder = write_blob_dataset(tmp_path / "blobs")
    (folder / "landmarks" / "case0.mrk.json").unlink()
    (folder / "volumes" / "spare.nii.gz").write_bytes((folder / "volumes" / "case1.nii.gz").read_bytes())
    with pytest.raises(LandmarkDetectionError, match="another case"):
        add_case(folder, named(blob_case(30)[0], "spare"), blob_case(30)[1])


def test_the_same_image_again_takes_the_new_positions_and_keeps_the_others(tmp_path):
    folder = write_blob_dataset(tmp_path / "blobs")
    volume, landmarks = blob_case(0)
    add_case(folder, volume, LandmarkSet({"dim": landmarks["dim"] + 1.0, "middle": None}))
    read = case_of(folder, "case0").read_landmarks()
    np.testing.assert_allclose(read["dim"], landmarks["dim"] + 1.0, atol=1e-6)
    np.testing.assert_allclose(read["bright"], landmarks["bright"], atol=1e-6)
    assert read["middle"] is None
    assert len(Dataset.load(folder).cases) == 14


def test_an_image_whose_landmarks_were_lost_gets_them_again(tmp_path):
    folder = write_blob_dataset(tmp_path / "blobs")
    (folder / "landmarks" / "case0.mrk.json").unlink()
    add_case(folder, *blob_case(0))
    assert case_of(folder, "case0").read_landmarks().present == LABELS


def test_the_truth_of_a_test_case_is_not_replaced(tmp_path):
    folder = write_blob_dataset(tmp_path / "blobs")
    with pytest.raises(LandmarkDetectionError, match=r'in the split "test"'):
        add_case(folder, *blob_case(12))


def test_landmarks_the_dataset_does_not_have_are_refused(tmp_path):
    folder = write_blob_dataset(tmp_path / "blobs")
    with pytest.raises(LandmarkDetectionError, match=r"\(F-1\)"):
        add_case(folder, blob_case(30)[0], LandmarkSet({"F-1": (0, 0, 0)}))


def test_a_picture_does_not_go_among_volumes(tmp_path):
    folder = write_blob_dataset(tmp_path / "blobs")
    with pytest.raises(LandmarkDetectionError, match="which holds volumes"):
        add_case(folder, *blob_case(30, 2))


def test_a_sheared_image_is_refused(tmp_path):
    volume, landmarks = blob_case(0)
    sheared = volume.ijk_to_ras.copy()
    sheared[0, 1] = 0.1
    with pytest.raises(LandmarkDetectionError, match="not perpendicular"):
        add_case(tmp_path / "new", Volume(volume.voxels, sheared, "sheared"), landmarks)
    assert not (tmp_path / "new").exists()


def test_a_folder_of_other_things_is_no_dataset(tmp_path):
    (tmp_path / "letter.txt").write_text("Dear")
    with pytest.raises(LandmarkDetectionError, match="is not a dataset folder"):
        add_case(tmp_path, *blob_case(0))
    assert files_below(tmp_path) == {"letter.txt": b"Dear"}


def test_a_packed_file_takes_no_case(tmp_path):
    dataset = Dataset.load(write_blob_dataset(tmp_path / "blobs"))
    write_pack(tmp_path / "blobs.zip", dataset, dataset.cases)
    with pytest.raises(LandmarkDetectionError, match="is a packed file"):
        add_case(tmp_path / "blobs.zip", *blob_case(30))


@pytest.mark.parametrize("fails", ["write_markups", "write_description"])
def test_nothing_is_left_of_a_case_that_could_not_be_written(tmp_path, monkeypatch, fails):
    folder = write_blob_dataset(tmp_path / "blobs")
    before = files_below(folder)

    def fail(*_arguments):
        raise LandmarkDetectionError(fails)

    monkeypatch.setattr(f"LandmarkDetectionLib.files.dataset_writer.{fails}", fail)
    for place in (folder, tmp_path / "new"):
        with pytest.raises(LandmarkDetectionError, match=fails):
            add_case(place, *blob_case(30))
    assert files_below(folder) == before
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("text", "name"),
    [("head", "head"), ("T1: head/neck", "T1_head_neck"), ("../x", "x"), ("Kopf ä", "Kopf_ä"), ("??", "case")],
)
def test_a_case_has_a_name_that_files_can_have(text, name):
    assert case_name(text) == name


class TestDivision:
    @pytest.fixture
    def undivided(self, tmp_path):
        folder = write_blob_dataset(tmp_path / "blobs")
        (folder / "dataset.json").unlink()
        return folder

    def test_every_case_comes_into_one_split(self, undivided):
        splits = divide_cases(undivided)
        assert {split: len(names) for split, names in splits.items()} == {"train": 10, "validation": 2, "test": 2}
        assert sorted(name for names in splits.values() for name in names) == sorted(f"case{n}" for n in range(14))
        assert Dataset.load(undivided).splits == splits
        assert check_dataset(undivided) == []

    def test_the_same_seed_gives_the_same_division(self, undivided):
        first = divide_cases(undivided)
        (undivided / "dataset.json").unlink()
        assert divide_cases(undivided) == first
        (undivided / "dataset.json").unlink()
        assert divide_cases(undivided, seed=1) != first

    def test_no_subject_comes_into_two_splits(self, tmp_path):
        for subject in range(4):
            for visit in range(3):
                volume, landmarks = blob_case(10 * subject + visit)
                add_case(tmp_path / "d", named(volume, f"sub-{subject}_visit{visit}"), landmarks)
        splits = divide_cases(tmp_path / "d")
        subjects = [{name[:5] for name in names} for names in splits.values()]
        assert [len(people) for people in subjects] == [2, 1, 1]
        assert len(set.union(*subjects)) == 4

    def test_two_subjects_leave_none_for_testing_and_one_is_too_few(self, tmp_path):
        add_case(tmp_path / "d", *blob_case(0))
        with pytest.raises(LandmarkDetectionError, match="at least two subjects"):
            divide_cases(tmp_path / "d")
        add_case(tmp_path / "d", *blob_case(1))
        assert {split: len(names) for split, names in divide_cases(tmp_path / "d").items()} == {
            "train": 1,
            "validation": 1,
        }

    def test_what_is_divided_already_stays(self, tmp_path):
        with pytest.raises(LandmarkDetectionError, match="says already"):
            divide_cases(write_blob_dataset(tmp_path / "blobs"))


def test_landmarks_take_other_positions_only_where_that_is_allowed(tmp_path):
    volume, landmarks = blob_case(0)
    bright = landmarks["bright"]
    add_case(tmp_path / "new", volume, LandmarkSet({"bright": bright, "middle": None}))
    before = files_below(tmp_path / "new")
    add_case(tmp_path / "new", volume, LandmarkSet({"bright": bright, "middle": None}), replace=False)
    assert files_below(tmp_path / "new") == before
    for label, position in (("bright", bright + 1.0), ("bright", None), ("middle", bright)):
        with pytest.raises(OtherLandmarks, match=f"with other positions of {label}: replace these"):
            add_case(tmp_path / "new", volume, LandmarkSet({label: position}), replace=False)
        assert files_below(tmp_path / "new") == before
    add_case(tmp_path / "new", volume, LandmarkSet({"bright": bright + 1.0}))
    np.testing.assert_allclose(case_of(tmp_path / "new", "case0").read_landmarks()["bright"], bright + 1.0, atol=1e-6)


def test_a_path_no_system_takes_is_a_message(tmp_path):
    with pytest.raises(LandmarkDetectionError, match=r"cannot be read .*too long"):
        is_new(tmp_path / ("x" * 400))
