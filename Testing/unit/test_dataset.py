"""A dataset folder is found out: its cases, splits, observers, and what its dataset.json says."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.files.dataset_json import side_of, subject_of
from LandmarkDetectionLib.files.images import write_volume
from LandmarkDetectionLib.files.markups import write_markups
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.volume import Volume

POINTS = LandmarkSet({"Left eye": (1.0, 1.0, 1.0), "Right eye": (2.0, 1.0, 1.0)}, {"Left eye": "Pupil"})


def add_case(folder, name, landmarks=POINTS, image=".nii.gz", markups=".mrk.json"):
    """An image and a markups file directly in the folder."""
    write_volume(Volume(np.arange(64, dtype=np.uint8).reshape(4, 4, 4), np.eye(4)), folder / f"{name}{image}")
    write_markups(landmarks, folder / f"{name}{markups}")


def describe(folder, **fields):
    (folder / "dataset.json").write_text(json.dumps(fields))


class TestPublicData:
    @pytest.mark.parametrize(
        ("name", "dimension", "counts"),
        [
            ("afids", 3, (4, 32, 0)),
            ("brain", 3, (120, 20, 20)),
            ("ceph", 2, (300, 19, 150)),
            ("fetal_hc18", 2, (160, 5, 35)),
            ("mouse", 3, (22, 45, 3)),
            ("spine", 3, (36, 5, 6)),
        ],
    )
    def test_every_dataset_loads_and_its_points_lie_in_its_images(self, shared_data, name, dimension, counts):
        """The counts are those of its README: cases, landmarks, test cases."""
        dataset = Dataset.load(shared_data / name)
        assert (dataset.name, dataset.dimension) == (name, dimension)
        assert (len(dataset.cases), len(dataset.labels), len(dataset.split("test"))) == counts
        assert all((dataset.modality, dataset.licence, dataset.source, dataset.citation))
        case = dataset.split("train")[0]
        volume, points = case.read_volume(), case.read_landmarks()
        assert volume.dimension == dimension
        assert volume.contains(points.to_array(dataset.labels)).all()

    def test_a_position_in_a_picture_is_where_its_readme_says(self, shared_data):
        """Pixel (i, j) of the cephalograms is centred at x = 0.2 i + 0.05, y = 0.2 j + 0.05 in the file's system."""
        volume = Dataset.load(shared_data / "ceph").cases[0].read_volume()
        assert np.allclose(volume.ijk_to_ras @ (10, 20, 0, 1), (-2.05, -4.05, 0, 1))

    def test_each_case_of_the_ultrasound_has_its_own_pixel_size(self, shared_data):
        dataset = Dataset.load(shared_data / "fetal_hc18")
        sizes = {case.name: case.spacing_mm for case in dataset.cases}
        assert np.allclose(sizes["006_HC"], 0.0656056482541)
        assert len(set(sizes.values())) > 100
        assert dataset.interchangeable == (("OFD1", "OFD2"), ("BPD1", "BPD2"))

    def test_observers_have_their_own_landmarks_and_the_main_file_is_their_mean(self, shared_data):
        dataset = Dataset.load(shared_data / "ceph")
        assert dataset.observers == ("senior", "junior")
        case = dataset.cases[0]
        readings = [case.read_landmarks(observer).to_array(dataset.labels) for observer in dataset.observers]
        assert np.allclose(np.mean(readings, axis=0), case.read_landmarks().to_array(dataset.labels), atol=0.06)

    def test_thresholds_come_from_the_file_or_are_those_of_the_field(self, shared_data):
        assert Dataset.load(shared_data / "mouse").sdr_thresholds_mm == (0.2, 0.3, 0.5, 1.0)
        assert Dataset.load(shared_data / "brain").sdr_thresholds_mm == (2.0, 2.5, 3.0, 4.0)


class TestPlainFolder:
    def test_images_with_markups_of_the_same_stem_are_cases(self, tmp_path):
        add_case(tmp_path, "b")
        add_case(tmp_path, "a.1", image=".nrrd", markups=".fcsv")
        (tmp_path / "notes.txt").write_text("no case")
        write_markups(POINTS, tmp_path / "no image.mrk.json")
        write_volume(Volume(np.zeros((4, 4, 4), np.uint8), np.eye(4)), tmp_path / "no markups.mha")
        dataset = Dataset.load(tmp_path)
        assert [case.name for case in dataset.cases] == ["a.1", "b"]
        assert dataset.name == tmp_path.name
        assert dataset.cases[0].read_landmarks() == POINTS
        assert dataset.cases[0].read_volume().name == "a.1"

    def test_labels_come_from_the_files_with_descriptions_and_sides(self, tmp_path):
        add_case(tmp_path, "a")
        add_case(tmp_path, "b", LandmarkSet({"Nose": (1, 1, 1), "Left eye": None}))
        definitions = Dataset.load(tmp_path).definitions
        assert [one.label for one in definitions] == ["Left eye", "Right eye", "Nose"]
        assert [one.side for one in definitions] == ["left", "right", ""]
        assert definitions[0].description == "Pupil"

    def test_without_splits_every_case_is_for_training(self, tmp_path):
        add_case(tmp_path, "a")
        dataset = Dataset.load(tmp_path)
        assert dataset.split("train") == list(dataset.cases)
        with pytest.raises(LandmarkDetectionError, match='has no split "test": choose one of train'):
            dataset.split("test")

    def test_markups_of_today_come_before_the_old_format(self, tmp_path):
        add_case(tmp_path, "a", LandmarkSet({"new": (0, 0, 0)}))
        write_markups(LandmarkSet({"old": (0, 0, 0)}), tmp_path / "a.fcsv")
        assert Dataset.load(tmp_path).labels == ("new",)

    def test_a_folder_of_pictures_has_two_dimensions(self, tmp_path):
        sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 4), np.uint8)), str(tmp_path / "film.png"))
        write_markups(POINTS, tmp_path / "film.mrk.json")
        assert Dataset.load(tmp_path).dimension == 2

    def test_a_folder_without_cases_is_refused(self, tmp_path):
        write_volume(Volume(np.zeros((4, 4, 4), np.uint8), np.eye(4)), tmp_path / "lonely.nrrd")
        with pytest.raises(LandmarkDetectionError, match="markups file of the same name"):
            Dataset.load(tmp_path)

    def test_a_folder_that_does_not_exist_is_refused(self, tmp_path):
        with pytest.raises(LandmarkDetectionError, match="does not exist"):
            Dataset.load(tmp_path / "nowhere")


class TestCase:
    def test_spacing_and_origin_of_the_dataset_apply_to_pictures(self, tmp_path):
        sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 4), np.uint8)), str(tmp_path / "film.png"))
        write_markups(POINTS, tmp_path / "film.mrk.json")
        describe(tmp_path, spacing_mm={"film": [0.5, 0.25]}, origin_mm=[1, 2])
        volume = Dataset.load(tmp_path).cases[0].read_volume()
        assert np.allclose(volume.spacing_mm, (0.5, 0.25, 1))
        assert np.allclose(volume.ijk_to_ras[:3, 3], (-1, -2, 0))

    def test_a_case_of_a_split_may_have_no_landmarks_until_they_are_asked_for(self, tmp_path):
        add_case(tmp_path, "a")
        (tmp_path / "a.mrk.json").unlink()
        describe(tmp_path, split={"test": ["a"]}, landmarks=[{"label": "Left eye"}])
        case = Dataset.load(tmp_path).split("test")[0]
        assert case.read_volume().size == (4, 4, 4)
        with pytest.raises(LandmarkDetectionError, match=r"add a\.mrk\.json"):
            case.read_landmarks()

    def test_a_case_without_image_says_so(self, tmp_path):
        add_case(tmp_path, "a")
        describe(tmp_path, split={"train": ["a", "b"]})
        with pytest.raises(LandmarkDetectionError, match="Case b has no image"):
            Dataset.load(tmp_path).split("train")[1].read_volume()

    def test_an_observer_without_a_file_says_so(self, tmp_path):
        add_case(tmp_path, "a")
        describe(tmp_path, observers=["senior"])
        with pytest.raises(LandmarkDetectionError, match="by observer senior"):
            Dataset.load(tmp_path).cases[0].read_landmarks("senior")


class TestSubjects:
    @pytest.mark.parametrize(
        ("case", "subject"),
        [
            ("023_2HC", "023"),
            ("023_HC", "023"),
            ("sub-07_ses-1_T1w", "sub-07"),
            ("sub-08", "sub-08"),
            ("001", "001"),
            ("129S1_SVLMJ_", "129S1_SVLMJ_"),
            ("IXI013-HH-1212", "IXI013-HH-1212"),
        ],
    )
    def test_a_name_tells_who_is_seen(self, case, subject):
        assert subject_of(case) == subject

    def test_the_description_knows_better(self, tmp_path):
        add_case(tmp_path, "1_a")
        add_case(tmp_path, "1_b")
        describe(tmp_path, subjects={"1_b": "somebody else"})
        assert [case.subject for case in Dataset.load(tmp_path).cases] == ["1", "somebody else"]

    def test_several_pictures_of_one_fetus_belong_together(self, shared_data):
        subjects = {case.name: case.subject for case in Dataset.load(shared_data / "fetal_hc18").cases}
        assert {name for name, subject in subjects.items() if subject == "125"} == {"125_HC", "125_2HC", "125_3HC"}


class TestDescription:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", 3),
            ("dimension", 4),
            ("dimension", "2"),
            ("landmarks", [{"description": "no label"}]),
            ("landmarks", [{"label": "twice"}, {"label": "twice"}]),
            ("landmarks", ["no object"]),
            ("landmarks", [{"label": 3}]),
            ("landmarks", 3),
            ("observers", "senior"),
            ("observers", [1]),
            ("split", ["a"]),
            ("split", {"train": "a"}),
            ("subjects", ["a"]),
            ("subjects", {"a": 1}),
            ("spacing_mm", 0.2),
            ("spacing_mm", [0.2]),
            ("spacing_mm", [0, 1]),
            ("spacing_mm", ["0.2", "0.2"]),
            ("spacing_mm", [float("nan"), 1]),
            ("spacing_mm", {"a": [-1, 1]}),
            ("origin_mm", [1, 2, 3]),
            ("origin_mm", {"a": None}),
            ("interchangeable", [["a"]]),
            ("interchangeable", [["a", 1]]),
            ("sdr_thresholds_mm", []),
            ("sdr_thresholds_mm", [0]),
        ],
    )
    def test_a_field_of_the_wrong_form_is_named(self, tmp_path, field, value):
        add_case(tmp_path, "a")
        describe(tmp_path, **{field: value})
        with pytest.raises(LandmarkDetectionError, match=rf'dataset\.json: "{field}" must be .*: correct it\.$'):
            Dataset.load(tmp_path)

    @pytest.mark.parametrize("text", ["", "{", "[]", '"text"', b"\xff\xfe"])
    def test_what_is_no_json_object_is_refused(self, tmp_path, text):
        add_case(tmp_path, "a")
        (tmp_path / "dataset.json").write_bytes(text.encode() if isinstance(text, str) else text)
        with pytest.raises(LandmarkDetectionError, match=r"dataset\.json .*correct it\.$"):
            Dataset.load(tmp_path)

    def test_fields_that_are_null_or_unknown_are_left_out(self, tmp_path):
        add_case(tmp_path, "a")
        describe(tmp_path, observers=None, comment="anything")
        assert Dataset.load(tmp_path).observers == ()

    @pytest.mark.parametrize(
        ("text", "side"),
        [
            ("Left thalamus", "left"),
            ("rightHead", "right"),
            ("right_eye", "right"),
            ("LEFT", "left"),
            ("leftover", ""),
            ("Rightmost point", ""),
            ("Eye, left", ""),
            ("", ""),
        ],
    )
    def test_the_side_is_the_first_word_of_a_label(self, text, side):
        assert side_of(text) == side

    def test_a_side_in_the_file_comes_before_that_of_the_label(self, tmp_path):
        add_case(tmp_path, "a")
        landmarks = [{"label": "Left eye", "side": ""}, {"label": "A2", "description": "Right horn"}]
        describe(tmp_path, landmarks=landmarks)
        assert [one.side for one in Dataset.load(tmp_path).definitions] == ["", "right"]
