"""detect: what it prints and what it writes."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from command_line import Call, call, files_below, sentence_of, write_scan, write_tiny_picture_bundle
from tiny_detector import LABELS, write_tiny_bundle

from LandmarkDetectionLib.files.images import read_volume
from LandmarkDetectionLib.files.markups import read_markups
from LandmarkDetectionLib.files.results import read_detection
from LandmarkDetectionLib.geometry import spacing_of

TABLES = {"cases.csv", "results.csv", "index.html"}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def picture_model(tmp_path_factory) -> Path:
    return write_tiny_picture_bundle(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Path:
    """A folder with two scans."""
    folder = tmp_path_factory.mktemp("scans")
    write_scan(folder / "first.nii.gz", seed=1)
    write_scan(folder / "second.nrrd", seed=2)
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def case_files(name: str) -> set[str]:
    return {f"{name}.mrk.json", f"{name}.planes.mrk.json", f"{name}.detection.json", f"thumbnails/{name}.png"}


def write_picture(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 99, (80, 120), dtype=np.uint8)
    pixels[20:60, 30:90] += 100
    sitk.WriteImage(sitk.GetImageFromArray(pixels), str(path))
    return path


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> Path:
    """Where `done` writes; not there before."""
    return tmp_path_factory.mktemp("one") / "new" / "results"


@pytest.fixture(scope="module")
def done(model, scans, output) -> Call:
    """A detection in one scan, with planes."""
    return call("detect", "--model", model, "--input", scans / "first.nii.gz", "--output", output, "--planes")


@pytest.mark.usefixtures("done")
class TestOneScan:
    def test_succeeds(self, done):
        assert done.status == 0

    def test_prints_each_landmark_where_the_markups_file_has_it(self, done, output):
        landmarks = read_markups(output / "first.mrk.json")
        printed = {line.split()[0]: line.split()[1:4] for line in done.out.splitlines() if line.startswith(LABELS)}
        assert printed == {label: [f"{coordinate:.1f}" for coordinate in landmarks[label]] for label in LABELS}

    def test_says_which_coordinates_model_and_device_these_are(self, done):
        assert "first: tiny 1.0 on cpu" in done.out
        assert re.search(r"R \(mm\) +A \(mm\) +S \(mm\) +presence +spread \(mm\) +90 % radius \(mm\)", done.out)

    def test_says_where_to_look(self, done, output):
        assert done.out.splitlines()[-1] == f"1 of 1 case succeeded: see {output / 'index.html'}"

    def test_draws_no_bar_where_no_terminal_shows_it(self, done):
        assert done.err == ""
        assert "%|" not in done.out

    def test_writes_the_landmarks_the_planes_and_their_images(self, output):
        planes = {f"first_{name}{suffix}" for name in ("axial", "axial_from_below") for suffix in (".png", ".nrrd")}
        assert files_below(output) == case_files("first") | TABLES | planes

    def test_an_image_on_a_plane_lies_where_the_plane_does(self, output):
        image = read_volume(output / "first_axial.nrrd")
        markups = json.loads((output / "first.planes.mrk.json").read_text())["markups"][0]
        assert markups["name"] == "axial"
        np.testing.assert_allclose(image.centre_ras * (-1, -1, 1), markups["center"], atol=1e-4)
        assert image.size == (400, 300, 1)
        np.testing.assert_allclose(spacing_of(image.ijk_to_ras), 0.1)

    def test_the_tables_agree_with_the_detection(self, output):
        detection = read_detection(output / "first.detection.json")
        table = rows(output / "results.csv")
        assert [row["label"] for row in table] == list(LABELS)
        expected = detection["AC"].position_ras * (-1, -1, 1)
        np.testing.assert_allclose([float(table[0][axis]) for axis in "lps"], expected, atol=1e-4)
        assert rows(output / "cases.csv")[0] | {"seconds": ""} == {
            "case": "first",
            "status": "succeeded",
            "seconds": "",
            "device": "cpu",
            "message": "",
        }


class TestFolder:
    def test_a_bad_case_does_not_stop_the_others(self, model, scans, tmp_path):
        for path in scans.iterdir():
            (tmp_path / "in" / path.name).parent.mkdir(exist_ok=True)
            (tmp_path / "in" / path.name).write_bytes(path.read_bytes())
        (tmp_path / "in" / "letter.nii.gz").write_text("Dear colleague")
        done = call("detect", "--model", model, "--input", tmp_path / "in", "--output", tmp_path / "out")
        assert done.status == 1
        assert [line.partition(":")[0] for line in done.out.splitlines()] == [
            "first",
            "second",
            "2 of 3 cases succeeded",
        ]
        assert "letter failed: letter.nii.gz cannot be read" in done.err
        status = {row["case"]: row["status"] for row in rows(tmp_path / "out" / "cases.csv")}
        assert status == {"first": "succeeded", "letter": "failed", "second": "succeeded"}
        assert not list((tmp_path / "out").glob("letter*"))

    def test_two_images_of_the_same_stem_are_told_apart(self, model, tmp_path):
        for name in ("scan.nii.gz", "scan.nrrd", "Scan.mha", "scan_nrrd.nii"):
            write_scan(tmp_path / "in" / name)
        done = call("detect", "--model", model, "--input", tmp_path / "in", "--output", tmp_path / "out")
        assert done.status == 0
        names = {row["case"] for row in rows(tmp_path / "out" / "cases.csv")}
        assert names == {"scan_nii_gz", "scan_nrrd", "Scan_mha", "scan_nrrd_2"}
        assert {path.name for path in (tmp_path / "out").glob("*.mrk.json")} == {f"{name}.mrk.json" for name in names}

    def test_json_is_one_list_for_machines(self, model, scans, tmp_path):
        done = call("detect", "--model", model, "--input", scans, "--output", tmp_path / "out", "--json")
        first, second = json.loads(done.out)
        assert (first["case"], second["case"], first["status"]) == ("first", "second", "succeeded")
        assert first["detection"]["model"]["name"] == "tiny"
        assert [landmark["label"] for landmark in first["detection"]["landmarks"]] == list(LABELS)

    def test_results_never_go_where_the_input_lies(self, model, scans):
        before = files_below(scans)
        for source in (scans, scans / "first.nii.gz"):
            refused = call("detect", "--model", model, "--input", source, "--output", scans)
            assert "choose another" in sentence_of(refused)
        assert files_below(scans) == before

    def test_a_dicom_series_is_one_case(self, model, tmp_path):
        (tmp_path / "series").mkdir()
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        for index in range(20):
            image = sitk.GetImageFromArray(np.random.default_rng(index).integers(0, 99, (1, 30, 30), dtype=np.int16))
            image.SetSpacing((2.0, 2.0, 2.0))
            tags = {"0008|0060": "MR", "0020|000e": "1.2.3.4", "0020|0013": str(index), "0008|0018": f"1.2.3.4.{index}"}
            tags |= {"0020|0032": f"0\\0\\{2 * index}", "0020|0037": "1\\0\\0\\0\\1\\0"}
            for tag, value in tags.items():
                image.SetMetaData(tag, value)
            writer.SetFileName(str(tmp_path / "series" / f"{index}.dcm"))
            writer.Execute(image)
        for source in (tmp_path / "series", tmp_path):
            done = call("detect", "--model", model, "--input", source, "--output", tmp_path / f"out of {source.name}")
            assert done.status == 0, done.err
            assert rows(tmp_path / f"out of {source.name}" / "cases.csv")[0]["case"] == "series"


class TestPictures:
    def test_the_pixel_size_of_the_call_applies(self, picture_model, tmp_path):
        picture = write_picture(tmp_path / "picture.png")
        spread = {}
        for size in ("0.5", "1.0", "0.5,1.0"):
            done = call(
                "detect", "--model", picture_model, "--input", picture, "--output", tmp_path / size, "--spacing", size
            )
            assert done.status == 0, done.err
            spread[size] = read_markups(tmp_path / size / "picture.mrk.json").to_array().mean(axis=0)
        assert spread["1.0"][0] == pytest.approx(2 * spread["0.5"][0], rel=0.2)
        assert spread["0.5,1.0"][:2] == pytest.approx([spread["0.5"][0], spread["1.0"][1]], abs=3.0)

    def test_a_dataset_folder_brings_its_pixel_sizes_and_origins(self, picture_model, tmp_path):
        for name in ("a.png", "b.png"):
            write_picture(tmp_path / "data" / "volumes" / name)
        spacing = {"a": [0.5, 0.5], "b": [0.5, 0.5]}
        (tmp_path / "data" / "dataset.json").write_text(
            json.dumps({"spacing_mm": spacing, "origin_mm": {"a": [0, 0], "b": [100, 50]}})
        )
        done = call("detect", "--model", picture_model, "--input", tmp_path / "data", "--output", tmp_path / "out")
        assert done.status == 0, done.err
        a, b = (read_markups(tmp_path / "out" / f"{name}.mrk.json").to_array() for name in "ab")
        np.testing.assert_allclose(b - a, np.tile([-100.0, -50.0, 0.0], (len(LABELS), 1)), atol=1e-3)

    def test_pictures_without_a_pixel_size_are_refused(self, picture_model, tmp_path):
        write_picture(tmp_path / "in" / "picture.png")
        for source in (tmp_path / "in", tmp_path / "in" / "picture.png"):
            refused = call("detect", "--model", picture_model, "--input", source, "--output", tmp_path / "out")
            assert "picture.png carries no pixel spacing" in sentence_of(refused)
            assert "--spacing" in refused.err
        assert not (tmp_path / "out").exists()

    def test_one_picture_without_a_pixel_size_among_others_fails_alone(self, picture_model, tmp_path):
        for name in ("a.png", "b.png"):
            write_picture(tmp_path / "in" / name)
        (tmp_path / "in" / "dataset.json").write_text(json.dumps({"spacing_mm": {"a": [0.5, 0.5]}}))
        done = call("detect", "--model", picture_model, "--input", tmp_path / "in", "--output", tmp_path / "out")
        assert done.status == 1
        assert [row["status"] for row in rows(tmp_path / "out" / "cases.csv")] == ["succeeded", "failed"]
        assert "b failed: b.png carries no pixel spacing" in done.err


class TestRepeating:
    def run(self, model, scans, output, *more):
        done = call("detect", "--model", model, "--input", scans, "--output", output, *more)
        assert done.status == 0, done.err
        return {path.name: path.stat().st_mtime_ns for path in output.glob("*.detection.json")}

    def test_the_same_seed_gives_the_same_landmarks_and_another_does_not(self, model, scans, tmp_path):
        found = []
        for name, seed in (("a", 1), ("b", 1), ("c", 2)):
            self.run(model, scans, tmp_path / name, "--seed", seed)
            found.append(read_markups(tmp_path / name / "first.mrk.json").to_array())
        np.testing.assert_array_equal(found[0], found[1])
        assert not np.array_equal(found[0], found[2])

    def test_options_reach_the_method(self, model, scans, tmp_path):
        for iterations in (1, 3):
            options = ("--option", f"iterations={iterations}", "--option", "tolerance_mm=-1")
            self.run(model, scans, tmp_path / str(iterations), *options)
            detection = read_detection(tmp_path / str(iterations) / "first.detection.json")
            assert len(detection.path_ras) == iterations + 1

    def test_resume_skips_what_is_done(self, model, scans, tmp_path):
        before = self.run(model, scans, tmp_path / "out", "--planes")
        assert self.run(model, scans, tmp_path / "out", "--planes", "--resume") == before
        assert self.run(model, scans, tmp_path / "out", "--resume") == before

    def test_resume_says_what_it_keeps(self, model, scans, tmp_path):
        call("detect", "--model", model, "--input", scans / "first.nii.gz", "--output", tmp_path)
        again = call("detect", "--model", model, "--input", scans, "--output", tmp_path, "--resume", "--json")
        assert {case["case"]: case["kept"] for case in json.loads(again.out)} == {"first": True, "second": False}
        kept = call("detect", "--model", model, "--input", scans, "--output", tmp_path, "--resume").out
        assert kept.count("kept from an earlier run") == 3
        assert "2 of 2 cases succeeded, 2 of them kept from an earlier run: see" in kept

    def test_without_resume_everything_is_done_again(self, model, scans, tmp_path):
        before = self.run(model, scans, tmp_path / "out")
        after = self.run(model, scans, tmp_path / "out")
        assert all(after[name] > before[name] for name in before)

    def test_a_later_call_keeps_the_rows_of_the_cases_before(self, model, scans, tmp_path):
        self.run(model, scans / "first.nii.gz", tmp_path / "out")
        self.run(model, scans / "second.nrrd", tmp_path / "out")
        self.run(model, scans / "first.nii.gz", tmp_path / "out", "--seed", 3)
        assert [row["case"] for row in rows(tmp_path / "out" / "cases.csv")] == ["first", "second"]
        assert [row["label"] for row in rows(tmp_path / "out" / "results.csv")] == [*LABELS, *LABELS]
        redone = rows(tmp_path / "out" / "results.csv")[0]
        position = read_detection(tmp_path / "out" / "first.detection.json")["AC"].position_ras
        assert float(redone["s"]) == pytest.approx(position[2], abs=1e-4)

    @pytest.mark.parametrize(
        ("lost", "done_again"),
        [
            ("first.detection.json", {"first.detection.json"}),
            ("second.mrk.json", {"second.detection.json"}),
            ("first_axial.png", {"first.detection.json"}),
            ("cases.csv", {"first.detection.json", "second.detection.json"}),
        ],
    )
    def test_resume_does_again_what_is_not_complete(self, model, scans, tmp_path, lost, done_again):
        before = self.run(model, scans, tmp_path / "out", "--planes")
        (tmp_path / "out" / lost).unlink()
        after = self.run(model, scans, tmp_path / "out", "--planes", "--resume")
        assert {name for name in after if after[name] != before.get(name)} == done_again

    def test_resume_adds_the_planes_that_were_not_asked_for_before(self, model, scans, tmp_path):
        self.run(model, scans, tmp_path / "out")
        self.run(model, scans, tmp_path / "out", "--planes", "--resume")
        assert (tmp_path / "out" / "second_axial.nrrd").is_file()

    def test_resume_does_everything_again_with_another_model_or_seed(self, model, scans, tmp_path):
        before = self.run(model, scans, tmp_path / "out")
        reseeded = self.run(model, scans, tmp_path / "out", "--resume", "--seed", 3)
        assert all(reseeded[name] > before[name] for name in before)

    def test_a_case_that_fails_now_leaves_nothing_of_its_earlier_success(self, model, tmp_path):
        write_scan(tmp_path / "in" / "scan.nrrd")
        self.run(model, tmp_path / "in", tmp_path / "out", "--planes")
        (tmp_path / "in" / "scan.nrrd").write_text("overwritten")
        assert call("detect", "--model", model, "--input", tmp_path / "in", "--output", tmp_path / "out").status == 1
        assert files_below(tmp_path / "out") == TABLES


@pytest.fixture(scope="module")
def page(model, tmp_path_factory) -> str:
    """The index page of a run in which one case failed."""
    folder = tmp_path_factory.mktemp("page")
    for index, name in enumerate(("calm.nrrd", "<b>&#.nrrd", "third.nrrd")):
        write_scan(folder / "in" / name, seed=index)
    (folder / "in" / "letter.nii.gz").write_text("Dear colleague")
    call("detect", "--model", model, "--input", folder / "in", "--output", folder / "out", "--planes")
    return (folder / "out" / "index.html").read_text(encoding="utf-8")


class TestIndexPage:
    def test_shows_every_case_with_its_picture(self, page):
        pictures = re.findall(r'<img src="([^"]+)"', page)
        assert sorted(pictures) == ["thumbnails/%3Cb%3E%26%23.png", "thumbnails/calm.png", "thumbnails/third.png"]

    def test_escapes_names(self, page):
        assert "<h3>&lt;b&gt;&amp;#</h3>" in page
        assert "<b>&#" not in page

    def test_puts_failures_first_with_their_sentence(self, page):
        assert page.index("letter.nii.gz cannot be read") < page.index("Most uncertain first")

    def test_links_the_files_of_a_case(self, page):
        for file in ("calm.mrk.json", "calm.planes.mrk.json", "calm.detection.json", "calm_axial.png", "results.csv"):
            assert f'href="{file}"' in page

    def test_needs_nothing_from_outside(self, page):
        assert "http" not in page
        assert "<script" not in page
