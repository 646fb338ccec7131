"""A results folder is whole after every case, tells what is done, and gives a detection back as it was."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.detection_json import detection_from_json, detection_to_json
from LandmarkDetectionLib.files.markups import read_markups
from LandmarkDetectionLib.files.results import CaseRow, ResultsFolder, read_detection
from LandmarkDetectionLib.landmarks import DetectedLandmark, Detection, Doubt
from LandmarkDetectionLib.measurements import Measurement
from LandmarkDetectionLib.planes import StandardPlane

WEIGHTS = "0123456789abcdef" * 4
COORDINATE = st.floats(-1e4, 1e4)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def landmark(label, position=(1.0, -2.0, 3.0), **fields):
    covariance = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, 0.25], [0.5, 0.25, 2.0]])
    return DetectedLandmark(label, np.array(position), covariance, **fields)


def a_detection(*landmarks, **fields):
    marks = landmarks or (landmark("AC", radius90_mm=1.25), landmark("PC", presence=0.125, missing=True))
    return Detection(marks, "brain-t1", "1.0", WEIGHTS, "cpu", 0.5, **fields)


@st.composite
def detections(draw):
    """Any detection of one to three landmarks, with or without a path."""
    labels = draw(st.lists(TEXT, min_size=1, max_size=3, unique=True))
    numbers = st.lists(COORDINATE, min_size=9, max_size=9).map(np.array)
    marks = tuple(
        DetectedLandmark(
            label,
            draw(numbers)[:3],
            draw(numbers).reshape(3, 3),
            draw(st.floats(0, 1)),
            draw(st.booleans()),
            draw(st.none() | st.floats(0, 100)),
            draw(st.none() | st.floats(-30, 30)),
            disagreement_mm=draw(st.none() | st.floats(0, 300)),
            doubts=tuple(draw(st.sets(st.sampled_from(Doubt)))),
        )
        for label in labels
    )
    steps = draw(st.none() | st.integers(1, 3))
    path = None if steps is None else np.arange(steps * len(labels) * 3, dtype=float).reshape(steps, len(labels), 3)
    texts = [draw(TEXT) for _ in range(4)]
    return Detection(
        marks,
        *texts,
        draw(st.floats(0, 1e4)),
        draw(st.integers(0, 2**32)),
        path,
        tuple(draw(st.lists(TEXT, max_size=2))),
    )


def assert_same(one, other):
    """Two detections are equal in every field."""
    plain = ("model_name", "model_version", "weights_sha256", "device", "seconds", "seed", "notes", "labels")
    assert [getattr(one, name) for name in plain] == [getattr(other, name) for name in plain]
    assert (one.path_ras is None) == (other.path_ras is None)
    assert one.path_ras is None or np.array_equal(one.path_ras, other.path_ras)
    for mark, copy in zip(one.landmarks, other.landmarks, strict=True):
        assert np.array_equal(mark.position_ras, copy.position_ras)
        assert np.array_equal(mark.covariance_ras, copy.covariance_ras)
        assert (mark.presence, mark.missing) == (copy.presence, copy.missing)
        assert (mark.radius90_mm, mark.evidence) == (copy.radius90_mm, copy.evidence)
        assert (mark.disagreement_mm, mark.doubts) == (copy.disagreement_mm, copy.doubts)


def table(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


class TestDetectionJson:
    @given(detections())
    def test_any_detection_comes_back_as_it_was(self, detection):
        text = json.dumps(detection_to_json(detection), allow_nan=False)
        assert_same(detection_from_json(json.loads(text)), detection)

    def test_a_detection_written_before_there_was_a_consensus_can_be_read(self):
        content = detection_to_json(a_detection())
        for mark in content["landmarks"]:
            del mark["disagreement_mm"], mark["doubts"]
        assert_same(detection_from_json(content), a_detection())

    def test_files_are_lps(self):
        content = detection_to_json(a_detection(path_ras=np.array([[[1.0, 2, 3], [4, 5, 6]]])))
        assert content["landmarks"][0]["position_lps"] == [-1, 2, 3]
        assert content["landmarks"][0]["covariance_lps"] == [[4, 1, -0.5], [1, 3, -0.25], [-0.5, -0.25, 2]]
        assert content["path_lps"] == [[[-1, -2, 3], [-4, -5, 6]]]

    @pytest.mark.parametrize(
        "damage",
        [
            {"format_version": 2},
            {"landmarks": None},
            {"landmarks": [{}]},
            {"landmarks": [3]},
            {"model": "name"},
            {"seconds": "long"},
            {"path_lps": [[1, 2, 3]]},
            {"path_lps": [[[1, 2, 3]]]},
            {"notes": 3},
        ],
    )
    def test_a_damaged_object_is_a_sentence(self, damage):
        with pytest.raises(LandmarkDetectionError, match="detect the landmarks again"):
            detection_from_json(detection_to_json(a_detection()) | damage)

    @pytest.mark.parametrize("content", [None, [], "text", {}, 3])
    def test_another_object_is_a_sentence(self, content):
        with pytest.raises(LandmarkDetectionError, match="detect the landmarks again"):
            detection_from_json(content)


class TestWriting:
    def test_a_case_leaves_its_files_and_rows(self, tmp_path):
        results = ResultsFolder(tmp_path / "out")
        results.write_case("case1", a_detection(notes=("Unusual field of view.",)), descriptions={"AC": "anterior"})
        assert names_in(tmp_path / "out") == ["case1.detection.json", "case1.mrk.json", "cases.csv", "results.csv"]
        markups = read_markups(tmp_path / "out" / "case1.mrk.json")
        assert markups.present == ("AC",)
        assert np.array_equal(markups["AC"], (1, -2, 3))
        assert markups.descriptions == {"AC": "anterior"}
        assert_same(
            read_detection(tmp_path / "out" / "case1.detection.json"), a_detection(notes=("Unusual field of view.",))
        )
        detected = ["case1", "AC", "-1.0000", "2.0000", "3.0000", "1.0000", "1.250", "detected"]
        missing = ["case1", "PC", "", "", "", "0.1250", "", "missing"]
        columns = ["case", "label", "l", "p", "s", "presence", "radius90_mm", "status"]
        assert table(tmp_path / "out" / "results.csv") == [
            dict(zip(columns, row, strict=True)) for row in (detected, missing)
        ]
        assert table(tmp_path / "out" / "cases.csv") == [
            {
                "case": "case1",
                "status": "succeeded",
                "seconds": "0.500",
                "device": "cpu",
                "message": "Unusual field of view.",
            }
        ]

    def test_landmarks_to_review_say_so_unless_they_are_missing(self, tmp_path):
        doubts = (Doubt.PRESENCE,)
        marks = landmark("AC", doubts=doubts), landmark("PC", doubts=doubts, missing=True), landmark("LE")
        ResultsFolder(tmp_path).write_case("case1", a_detection(*marks))
        assert [row["status"] for row in table(tmp_path / "results.csv")] == ["review", "missing", "detected"]

    def test_planes_are_written_beside_and_go_when_they_no_longer_follow(self, tmp_path):
        plane = StandardPlane("TV", np.zeros(3), *np.eye(3), size_mm=(120.0, 90.0))
        results = ResultsFolder(tmp_path)
        results.write_case("case1", a_detection(), [plane])
        assert "TV" in (tmp_path / "case1.planes.mrk.json").read_text()
        results.write_case("case1", a_detection())
        assert not (tmp_path / "case1.planes.mrk.json").exists()

    def test_measurements_are_rows_that_go_when_they_no_longer_follow(self, tmp_path):
        results = ResultsFolder(tmp_path)
        bpd = Measurement("BPD", 91.23456, 1.5, "mm", ("LE", "RE"))
        sna = Measurement("SNA", 82.0, None, "deg")
        results.write_case("a", a_detection(), measurements=[bpd, sna])
        results.write_case("b", a_detection(), measurements=[sna])
        columns = ["case", "name", "value", "sd", "unit", "review"]
        a_bpd, a_sna = ["a", "BPD", "91.235", "1.500", "mm", "LE, RE"], ["a", "SNA", "82.000", "", "deg", ""]
        of_b = ["b", "SNA", "82.000", "", "deg", ""]
        expected = [dict(zip(columns, row, strict=True)) for row in (a_bpd, a_sna, of_b)]
        assert table(tmp_path / "measurements.csv") == expected
        again = ResultsFolder(tmp_path)
        again.write_case("a", a_detection())
        assert table(tmp_path / "measurements.csv") == expected[2:]
        again.write_failure("b", "It failed.")
        assert table(tmp_path / "measurements.csv") == []

    def test_tables_are_there_before_the_first_case(self, tmp_path):
        ResultsFolder(tmp_path / "out")
        assert table(tmp_path / "out" / "results.csv") == []
        assert table(tmp_path / "out" / "cases.csv") == []

    def test_a_failure_is_a_row_and_takes_the_case_s_old_results_with_it(self, tmp_path):
        results = ResultsFolder(tmp_path)
        results.write_case("a", a_detection())
        results.write_case("b", a_detection())
        results.write_failure("a", 'The file "a" is empty, copy it again.')
        assert names_in(tmp_path) == ["b.detection.json", "b.mrk.json", "cases.csv", "results.csv"]
        assert {row["case"] for row in table(tmp_path / "results.csv")} == {"b"}
        rows = {row["case"]: row for row in table(tmp_path / "cases.csv")}
        assert rows["a"]["status"] == "failed"
        assert rows["a"]["message"] == 'The file "a" is empty, copy it again.'

    def test_a_case_done_again_has_one_set_of_rows(self, tmp_path):
        results = ResultsFolder(tmp_path)
        for _ in range(2):
            results.write_case("a", a_detection())
        assert len(table(tmp_path / "results.csv")) == 2
        assert len(table(tmp_path / "cases.csv")) == 1

    def test_a_folder_that_cannot_be_written_is_refused_before_any_work(self, tmp_path):
        (tmp_path / "file").write_text("no folder")
        with pytest.raises(LandmarkDetectionError, match="choose a folder you may write to"):
            ResultsFolder(tmp_path / "file" / "out")

    def test_names_and_labels_need_not_be_ascii(self, tmp_path):
        ResultsFolder(tmp_path).write_case("Fall Ä 患者", a_detection(landmark('Höcker, "links"')))
        assert table(tmp_path / "results.csv")[0]["label"] == 'Höcker, "links"'
        assert read_detection(tmp_path / "Fall Ä 患者.detection.json").labels == ('Höcker, "links"',)


class TestResuming:
    def test_what_is_done_stays_done(self, tmp_path):
        first = ResultsFolder(tmp_path)
        first.write_case("a", a_detection())
        first.write_failure("b", "It failed.")
        again = ResultsFolder(tmp_path)
        assert again.is_complete("a", WEIGHTS)
        assert not again.is_complete("b", WEIGHTS)
        assert not again.is_complete("c", WEIGHTS)
        assert again.cases == [
            CaseRow("a", "succeeded", "0.500", "cpu", ""),
            CaseRow("b", "failed", "", "", "It failed."),
        ]
        assert len(table(tmp_path / "results.csv")) == 2

    def test_another_model_does_every_case_again(self, tmp_path):
        ResultsFolder(tmp_path).write_case("a", a_detection())
        assert not ResultsFolder(tmp_path).is_complete("a", "f" * 64)

    @pytest.mark.parametrize("gone", ["a.mrk.json", "a.detection.json", "results.csv", "cases.csv"])
    def test_a_case_of_which_something_is_gone_is_not_complete(self, tmp_path, gone):
        ResultsFolder(tmp_path).write_case("a", a_detection())
        (tmp_path / gone).unlink()
        assert not ResultsFolder(tmp_path).is_complete("a", WEIGHTS)

    def test_a_case_that_is_being_done_again_is_not_complete_until_it_is(self, tmp_path):
        """Else a kill between two files would leave the markups of one model with the detection of another."""
        results = ResultsFolder(tmp_path)
        results.write_case("a", a_detection())
        with pytest.raises(ValueError, match="JSON compliant"):
            results.write_case("a", a_detection(landmark("AC", presence=float("nan"))))
        assert not ResultsFolder(tmp_path).is_complete("a", WEIGHTS)

    def test_a_damaged_detection_is_not_complete(self, tmp_path):
        ResultsFolder(tmp_path).write_case("a", a_detection())
        (tmp_path / "a.detection.json").write_text("{")
        assert not ResultsFolder(tmp_path).is_complete("a", WEIGHTS)

    def test_a_later_run_keeps_the_rows_of_other_cases_and_replaces_its_own(self, tmp_path):
        first = ResultsFolder(tmp_path)
        for case in ("a", "b"):
            first.write_case(case, a_detection())
        later = ResultsFolder(tmp_path)
        later.write_failure("a", "It failed.")
        later.write_case("c", a_detection(landmark("AC")))
        assert [(row["case"], row["status"]) for row in table(tmp_path / "cases.csv")] == [
            ("a", "failed"),
            ("b", "succeeded"),
            ("c", "succeeded"),
        ]
        assert [row["case"] for row in table(tmp_path / "results.csv")] == ["b", "b", "c"]

    @pytest.mark.parametrize("text", ["name;age\nx;3\n", "case,status,seconds,device,message\na,succeeded\n"])
    def test_tables_of_something_else_are_refused_and_left_alone(self, tmp_path, text):
        (tmp_path / "cases.csv").write_text(text)
        with pytest.raises(LandmarkDetectionError, match="choose another output folder"):
            ResultsFolder(tmp_path)
        assert (tmp_path / "cases.csv").read_text() == text

    def test_a_kill_at_any_write_leaves_whole_files_and_a_run_that_can_be_resumed(self, tmp_path):
        """The n-th rename is the last thing the killed process does, for every n."""
        program = (
            "import os, signal, sys\n"
            "from pathlib import Path\n"
            "from LandmarkDetectionLib.files.detection_json import detection_from_json\n"
            "from LandmarkDetectionLib.files.results import ResultsFolder\n"
            "import json\n"
            "left = int(sys.argv[2])\n"
            "rename = Path.replace\n"
            "def replace(self, target):\n"
            "    global left\n"
            "    left -= 1\n"
            "    if left < 0: os.kill(os.getpid(), signal.SIGKILL)\n"
            "    return rename(self, target)\n"
            "Path.replace = replace\n"
            "detection = detection_from_json(json.loads(sys.stdin.read()))\n"
            "ResultsFolder(sys.argv[1]).write_case('a', detection)\n"
        )
        content = json.dumps(detection_to_json(a_detection()))
        for writes in range(6):
            folder = tmp_path / str(writes)
            command = [sys.executable, "-c", program, folder, str(writes)]
            killed = subprocess.run(command, input=content, text=True, check=False)
            assert killed.returncode != 0
            again = ResultsFolder(folder)
            assert not again.is_complete("a", WEIGHTS)
            assert not [name for name in names_in(folder) if name.startswith(".")]
            again.write_case("a", a_detection())
            assert again.is_complete("a", WEIGHTS)
            assert len(table(folder / "results.csv")) == 2


class TestReading:
    def test_a_missing_or_damaged_file_is_a_sentence_that_names_it(self, tmp_path):
        with pytest.raises(LandmarkDetectionError, match=r"gone\.detection\.json"):
            read_detection(tmp_path / "gone.detection.json")
        content = detection_to_json(replace(a_detection(), seed=1)) | {"seed": "x"}
        (tmp_path / "bad.detection.json").write_text(json.dumps(content))
        with pytest.raises(LandmarkDetectionError, match=r"bad\.detection\.json"):
            read_detection(tmp_path / "bad.detection.json")
