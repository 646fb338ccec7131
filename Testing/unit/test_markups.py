"""Landmark sets survive both markups formats, and a file that cannot be trusted is refused in a sentence."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.markups import markups_stem, read_markups, write_markups
from LandmarkDetectionLib.landmarks import LandmarkSet

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
ONE_LINE = ANY_TEXT.filter(lambda text: len(f"{text}x".splitlines()) == 1)
COORDINATE = st.floats(-1e4, 1e4)
POSITION = st.none() | st.tuples(COORDINATE, COORDINATE, COORDINATE)


def landmark_sets(texts):
    labelled = st.dictionaries(texts, st.tuples(POSITION, st.none() | texts), max_size=6)
    return labelled.map(
        lambda points: LandmarkSet(
            {label: position for label, (position, _) in points.items()},
            {label: text for label, (_, text) in points.items() if text is not None},
        )
    )


def point(label="AC", position=(-1.0, -2.0, 3.0), **fields):
    return {"label": label, "position": list(position) if isinstance(position, tuple) else position} | fields


def json_file(tmp_path, *points, **fields):
    """A .mrk.json file with one point list."""
    path = tmp_path / "case.mrk.json"
    markup = {"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": list(points)} | fields
    path.write_text(json.dumps({"@schema": "markups-schema-v1.0.3.json#", "markups": [markup]}))
    return path


def fcsv_file(tmp_path, *rows, system="LPS", columns="id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"):
    path = tmp_path / "case.fcsv"
    header = ["# Markups fiducial file version = 5.12", f"# CoordinateSystem = {system}", f"# columns = {columns}"]
    path.write_text("\n".join([*header, *rows, ""]))
    return path


class TestRoundTrip:
    @given(landmark_sets(ANY_TEXT))
    def test_of_any_landmarks_through_json(self, tmp_path_factory, landmarks):
        path = tmp_path_factory.mktemp("markups") / "case.mrk.json"
        write_markups(landmarks, path)
        assert read_markups(path) == landmarks

    @given(landmark_sets(ONE_LINE))
    def test_of_any_landmarks_through_fcsv(self, tmp_path_factory, landmarks):
        path = tmp_path_factory.mktemp("markups") / "case.fcsv"
        write_markups(landmarks, path)
        assert read_markups(path) == landmarks

    @pytest.mark.parametrize("dataset", ["afids", "brain", "ceph", "fetal_hc18", "mouse", "spine"])
    def test_of_files_of_the_public_data(self, shared_data, tmp_path, dataset):
        sources = sorted((shared_data / dataset / "landmarks").glob("*.mrk.json"))[:3]
        assert sources
        for source in sources:
            landmarks = read_markups(source)
            for name in ("copy.mrk.json", "copy.fcsv"):
                write_markups(landmarks, tmp_path / name)
                assert read_markups(tmp_path / name) == landmarks


class TestJson:
    def test_positions_are_lps_unless_the_file_says_ras(self, tmp_path):
        assert np.array_equal(read_markups(json_file(tmp_path, point()))["AC"], (1, 2, 3))
        assert np.array_equal(read_markups(json_file(tmp_path, point(), coordinateSystem="RAS"))["AC"], (-1, -2, 3))

    def test_a_file_that_does_not_say_is_lps(self, tmp_path):
        path = json_file(tmp_path, point())
        content = json.loads(path.read_text())
        del content["markups"][0]["coordinateSystem"]
        path.write_text(json.dumps(content))
        assert np.array_equal(read_markups(path)["AC"], (1, 2, 3))

    @pytest.mark.parametrize(
        "missing",
        [
            point("PC", positionStatus="undefined"),
            point("PC", positionStatus="missing"),
            point("PC", positionStatus="preview"),
            point("PC", position=""),
            point("PC", position=None),
            {"label": "PC"},
            point("PC", position=(0.0, 0.0, 0.0), positionStatus="missing"),
        ],
    )
    def test_a_point_that_is_not_defined_is_missing(self, tmp_path, missing):
        landmarks = read_markups(json_file(tmp_path, point(), missing))
        assert list(landmarks) == ["AC", "PC"]
        assert landmarks.present == ("AC",)

    def test_a_defined_point_at_the_origin_is_there(self, tmp_path):
        path = json_file(tmp_path, point(position=(0.0, 0.0, 0.0), positionStatus="defined"))
        assert read_markups(path).present == ("AC",)

    def test_point_lists_are_joined_and_other_markups_left_alone(self, tmp_path):
        path = json_file(tmp_path, point("AC"))
        content = json.loads(path.read_text())
        line = {"type": "Line", "controlPoints": [point("L1"), point("L2")]}
        content["markups"] += [line, {"type": "Fiducial", "controlPoints": [point("PC")]}]
        path.write_text(json.dumps(content))
        assert list(read_markups(path)) == ["AC", "PC"]

    def test_missing_points_are_written_without_a_position(self, tmp_path):
        write_markups(LandmarkSet({"AC": None}), tmp_path / "case.mrk.json")
        written = json.loads((tmp_path / "case.mrk.json").read_text())["markups"][0]["controlPoints"][0]
        assert written["position"] == ""
        assert written["positionStatus"] == "missing"

    def test_a_byte_order_mark_is_no_error(self, tmp_path):
        path = json_file(tmp_path, point())
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        assert list(read_markups(path)) == ["AC"]


class TestFcsv:
    @pytest.mark.parametrize(
        ("system", "expected"), [("LPS", (1, 2, 3)), ("1", (1, 2, 3)), ("RAS", (-1, -2, 3)), ("0", (-1, -2, 3))]
    )
    def test_the_coordinate_system_by_name_or_number(self, tmp_path, system, expected):
        path = fcsv_file(tmp_path, "1,-1,-2,3,0,0,0,1,1,1,0,AC,,", system=system)
        assert np.array_equal(read_markups(path)["AC"], expected)

    def test_status_columns_tell_what_is_missing(self, tmp_path):
        rows = [f"{status},7,8,9,0,0,0,1,1,1,0,P{status},,,{status},0" for status in range(4)]
        assert read_markups(fcsv_file(tmp_path, *rows)).present == ("P2",)

    def test_quoted_labels_and_descriptions_hold_commas_and_quotes(self, tmp_path):
        path = fcsv_file(tmp_path, '1,0,0,0,0,0,0,1,1,1,0,"a, ""b""","said ""so"", once",')
        landmarks = read_markups(path)
        assert list(landmarks) == ['a, "b"']
        assert landmarks.descriptions == {'a, "b"': 'said "so", once'}

    def test_columns_are_found_by_name(self, tmp_path):
        path = fcsv_file(tmp_path, "AC,1,2,3,1,1", system="RAS", columns="label,x,y,z,sel,vis")
        assert np.array_equal(read_markups(path)["AC"], (1, 2, 3))

    def test_lines_may_end_as_on_windows(self, tmp_path):
        path = fcsv_file(tmp_path, "1,-1,-2,3,0,0,0,1,1,1,0,AC,text,,2,0")
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        assert np.array_equal(read_markups(path)["AC"], (1, 2, 3))

    @pytest.mark.parametrize("text", ["two\nlines", "two\rlines", "two\u2028lines"])
    def test_a_text_of_two_lines_does_not_fit(self, tmp_path, text):
        for landmarks in (LandmarkSet({text: None}), LandmarkSet({"AC": None}, {"AC": text})):
            with pytest.raises(LandmarkDetectionError, match=r"write a \.mrk\.json file"):
                write_markups(landmarks, tmp_path / "case.fcsv")
        assert list(tmp_path.iterdir()) == []


class TestRefusals:
    def refusal(self, path):
        with pytest.raises(LandmarkDetectionError) as caught:
            read_markups(path)
        assert path.name in str(caught.value)
        assert str(caught.value).endswith(".")
        return str(caught.value)

    def test_labels_that_occur_twice(self, tmp_path):
        assert '"AC"' in self.refusal(json_file(tmp_path, point("AC"), point("AC")))
        assert '"AC"' in self.refusal(fcsv_file(tmp_path, *["1,0,0,0,0,0,0,1,1,1,0,AC,,"] * 2))

    def test_points_without_a_label(self, tmp_path):
        assert "control point 2 has no label" in self.refusal(json_file(tmp_path, point("AC"), point("")))

    def test_a_missing_file(self, tmp_path):
        assert "check that it exists" in self.refusal(tmp_path / "gone.mrk.json")

    def test_another_suffix(self, tmp_path):
        assert "no markups file" in self.refusal(tmp_path / "case.json")

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "no json",
            "[]",
            "{}",
            '{"markups": 3}',
            '{"markups": [3]}',
            '{"markups": [{"type": "Plane", "controlPoints": []}]}',
            '{"markups": [{"type": "Fiducial", "controlPoints": [{"label": "A", "position": [1, 2]}]}]}',
            '{"markups": [{"type": "Fiducial", "controlPoints": [{"label": "A", "position": ["x", 1, 2]}]}]}',
            '{"markups": [{"type": "Fiducial", "controlPoints": [{"label": "A", "position": [NaN, 1, 2]}]}]}',
            '{"markups": [{"type": "Fiducial", "coordinateSystem": "IJK", "controlPoints": []}]}',
            '{"markups": [{"type": "Fiducial", "coordinateUnits": "um", "controlPoints": []}]}',
        ],
    )
    def test_json_that_is_no_markups_file(self, tmp_path, content):
        path = tmp_path / "case.mrk.json"
        path.write_text(content)
        self.refusal(path)

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "1,2,3",
            "# CoordinateSystem = IJK\n1,0,0,0,0,0,0,1,1,1,0,AC,,\n",
            "# CoordinateSystem = LPS\n1,0,0\n",
            "# CoordinateSystem = LPS\n1,x,0,0,0,0,0,1,1,1,0,AC,,\n",
            "# CoordinateSystem = LPS\n1,nan,0,0,0,0,0,1,1,1,0,AC,,\n",
        ],
    )
    def test_text_that_is_no_fcsv_file(self, tmp_path, content):
        path = tmp_path / "case.fcsv"
        path.write_text(content)
        self.refusal(path)

    def test_bytes_that_are_no_text(self, tmp_path):
        path = tmp_path / "case.mrk.json"
        path.write_bytes(b"\xff\xfe\x00\x01")
        self.refusal(path)

    @given(st.text(max_size=200))
    def test_any_text_is_landmarks_or_a_sentence(self, tmp_path_factory, text):
        for name in ("case.mrk.json", "case.fcsv"):
            path = tmp_path_factory.mktemp("markups") / name
            path.write_text(f"# CoordinateSystem = LPS\n{text}", encoding="utf-8", errors="replace")
            try:
                answer = read_markups(path)
            except LandmarkDetectionError as error:
                answer = error
            assert isinstance(answer, LandmarkSet) or str(answer).endswith(".")


@pytest.mark.parametrize(
    ("name", "stem"),
    [("case.mrk.json", "case"), ("a/case.senior.mrk.json", "case.senior"), ("CASE.FCSV", "CASE"), ("case.json", None)],
)
def test_the_stem_is_the_name_without_the_markups_suffix(name, stem):
    assert markups_stem(name) == stem
