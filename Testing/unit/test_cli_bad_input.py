"""Bad images, models, datasets and folders: one sentence, the right exit status, no traceback, nothing half-written."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from command_line import call, files_below, sentence_of, write_scan
from tiny_detector import write_tiny_bundle

from LandmarkDetectionLib.files.images import write_volume
from LandmarkDetectionLib.volume import Volume

NOTHING_FOUND = {"cases.csv", "results.csv", "index.html"}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("models"))


@pytest.fixture
def own_model(tmp_path) -> Path:
    """A bundle that the test may spoil."""
    return write_tiny_bundle(tmp_path / "models")


def text(path: Path) -> None:
    path.write_text("Dear colleague,\nthis is no image.\n" * 40)


def truncated(path: Path) -> None:
    write_scan(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def four_dimensional(path: Path) -> None:
    volumes = [sitk.GetImageFromArray(np.random.default_rng(i).random((9, 9, 9), dtype=np.float32)) for i in range(3)]
    sitk.WriteImage(sitk.JoinSeries(volumes), str(path))


def colour(path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (9, 9, 9, 3), dtype=np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=True), str(path))


def mostly_nan(path: Path) -> None:
    voxels = np.full((30, 30, 30), np.nan, np.float32)
    voxels[:10] = 5.0
    write_volume(Volume(voxels, np.eye(4)), path)


def constant(path: Path) -> None:
    write_volume(Volume(np.full((30, 30, 30), 7, np.int16), np.eye(4)), path)


def one_slice(path: Path) -> None:
    write_volume(Volume(np.random.default_rng(0).random((1, 30, 30)), np.eye(4)), path)


def with_directions(directions: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        header = (
            "NRRD0004\ntype: uchar\ndimension: 3\nspace: left-posterior-superior\nsizes: 4 4 4\n"
            f"space directions: {directions}\nkinds: domain domain domain\nencoding: raw\nspace origin: (0,0,0)\n\n"
        )
        path.write_bytes(header.encode() + bytes(range(64)))

    return write


def larger_than_memory(path: Path) -> None:
    """A NIfTI header that promises 30000 voxels along every axis."""
    template = path.with_name("template.nii")
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 4, 4))), str(template))
    content = bytearray(template.read_bytes())
    template.unlink()
    struct.pack_into("<4h", content, 40, 3, 30000, 30000, 30000)
    path.write_bytes(content)


BAD_IMAGES = {
    "text.nii.gz": (text, "not an image in a known format"),
    "empty.nii.gz": (lambda path: path.write_bytes(b""), "is empty"),
    "truncated.nii.gz": (truncated, "incomplete"),
    "four.nii.gz": (four_dimensional, "4 axes"),
    "colour.nrrd": (colour, "colour"),
    "nan.nii.gz": (mostly_nan, "NaN or infinite"),
    "constant.nii.gz": (constant, "every voxel has the same value"),
    "slice.nii.gz": (one_slice, "works on volumes (3D)"),
    "singular.nrrd": (with_directions("(1,0,0) (1,0,0) (0,0,1)"), "geometry"),
    "endless.nrrd": (with_directions("(nan,0,0) (0,1,0) (0,0,1)"), "geometry"),
    "huge.nii": (larger_than_memory, "memory"),
}


class TestImages:
    @pytest.mark.parametrize("name", BAD_IMAGES)
    def test_a_bad_image_fails_with_a_sentence(self, model, tmp_path, name):
        write, words = BAD_IMAGES[name]
        (tmp_path / "in").mkdir()
        write(tmp_path / "in" / name)
        done = call("detect", "--model", model, "--input", tmp_path / "in" / name, "--output", tmp_path / "out")
        assert done.status == 1
        assert "Traceback" not in done.err
        (sentence,) = [line for line in done.err.splitlines() if " failed: " in line]
        assert words in sentence
        assert sentence.endswith(".")
        assert done.out.startswith("0 of 1 case succeeded")
        assert files_below(tmp_path / "out") == NOTHING_FOUND

    def test_among_good_images_each_bad_one_fails_alone(self, model, tmp_path):
        write_scan(tmp_path / "in" / "zebra.nii.gz")
        for name, (write, _) in BAD_IMAGES.items():
            write(tmp_path / "in" / name)
        done = call("detect", "--model", model, "--input", tmp_path / "in", "--output", tmp_path / "out", "--json")
        assert done.status == 1
        status = {case["case"]: case["status"] for case in json.loads(done.out)}
        assert [name for name, how in status.items() if how == "succeeded"] == ["zebra"]
        assert len(status) == len(BAD_IMAGES) + 1

    def test_a_missing_file_is_a_wrong_call(self, model, tmp_path):
        refused = call("detect", "--model", model, "--input", tmp_path / "gone.nii.gz", "--output", tmp_path / "out")
        assert "gone.nii.gz does not exist" in sentence_of(refused)
        assert not (tmp_path / "out").exists()

    def test_a_folder_without_images_is_a_wrong_call(self, model, tmp_path):
        (tmp_path / "in").mkdir()
        refused = call("detect", "--model", model, "--input", tmp_path / "in", "--output", tmp_path / "out")
        assert "holds no image" in sentence_of(refused)

    def test_a_few_nan_voxels_are_repaired_and_reported(self, model, tmp_path):
        voxels = np.random.default_rng(0).random((30, 30, 30), dtype=np.float32)
        voxels[3, 4, 5] = np.nan
        write_volume(Volume(voxels, np.diag([2.0, 2.0, 2.0, 1.0])), tmp_path / "scan.nrrd")
        done = call("detect", "--model", model, "--input", tmp_path / "scan.nrrd", "--output", tmp_path / "out")
        assert done.status == 0
        assert "Note: scan.nrrd: 1 NaN or infinite voxels were set to the image's minimum." in done.out
        assert "1 NaN or infinite voxels" in (tmp_path / "out" / "cases.csv").read_text()

    def test_a_field_of_view_unlike_the_training_is_noted(self, model, tmp_path):
        voxels = np.random.default_rng(0).random((40, 40, 40), dtype=np.float32)
        write_volume(Volume(voxels, np.diag([9.0, 9.0, 9.0, 1.0])), tmp_path / "scan.nrrd")
        done = call("detect", "--model", model, "--input", tmp_path / "scan.nrrd", "--output", tmp_path / "out")
        assert done.status == 0
        assert "Note: The field of view" in done.out

    def test_a_name_that_is_no_text_does_not_stop_a_run(self, model, tmp_path):
        (tmp_path / "in").mkdir()
        strange = bytes(tmp_path / "in") + b"/caf\xe9.nii.gz"
        scan = write_scan(tmp_path / "scan.nii.gz")
        shutil.copy(bytes(scan), strange)
        write_scan(tmp_path / "in" / "other.nii.gz")
        done = call("detect", "--model", model, "--input", tmp_path / "in", "--output", tmp_path / "out")
        assert "Traceback" not in done.err
        assert (tmp_path / "out" / "other.mrk.json").is_file()
        assert (tmp_path / "out" / "index.html").is_file()


class TestModels:
    def refused(self, model, tmp_path, *more):
        scan = write_scan(tmp_path / "scan.nrrd")
        refused = call("detect", "--model", model, "--input", scan, "--output", tmp_path / "out", *more)
        assert not (tmp_path / "out").exists()
        return sentence_of(refused)

    def test_an_unknown_name(self, tmp_path):
        assert '"brain-t9"' in self.refused("brain-t9", tmp_path)

    def test_a_folder_that_is_no_bundle(self, tmp_path):
        (tmp_path / "empty").mkdir()
        assert "model.json" in self.refused(tmp_path / "empty", tmp_path)

    def test_weights_of_another_model(self, own_model, tmp_path):
        weights = own_model / "weights.safetensors"
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
        assert "SHA-256" in self.refused(own_model, tmp_path)

    @pytest.mark.parametrize("card", ["", "{", "[]", '{"format_version": 1}', '{"format_version": 99}'])
    def test_a_malformed_card(self, own_model, tmp_path, card):
        (own_model / "model.json").write_text(card)
        assert "model.json" in self.refused(own_model, tmp_path)

    def test_an_unknown_method(self, own_model, tmp_path):
        card = json.loads((own_model / "model.json").read_text())
        (own_model / "model.json").write_text(json.dumps(card | {"method": "astrology"}))
        assert "astrology" in self.refused(own_model, tmp_path)

    def test_an_unknown_option(self, model, tmp_path):
        assert "colour" in self.refused(model, tmp_path, "--option", "colour=red")

    def test_an_option_of_the_wrong_kind(self, model, tmp_path):
        assert "iterations" in self.refused(model, tmp_path, "--option", "iterations=many")

    def test_a_zip_that_leaves_its_folder(self, own_model, tmp_path):
        bundle = tmp_path / "bundle.zip"
        with zipfile.ZipFile(bundle, "w") as archive:
            archive.write(own_model / "model.json", "model.json")
            archive.write(own_model / "weights.safetensors", "../weights.safetensors")
        self.refused(bundle, tmp_path)
        assert not (tmp_path.parent / "weights.safetensors").exists()

    def test_a_zip_that_is_none(self, tmp_path):
        text(tmp_path / "bundle.zip")
        assert "bundle.zip" in self.refused(tmp_path / "bundle.zip", tmp_path)


class TestOutput:
    def test_an_output_below_a_file(self, model, tmp_path):
        scan = write_scan(tmp_path / "scan.nrrd")
        for output in (scan, scan / "results"):
            refused = call("detect", "--model", model, "--input", scan, "--output", output)
            assert "could not be written" in sentence_of(refused)
        assert read_scan_still(scan)

    def test_a_folder_whose_tables_are_something_else(self, model, tmp_path):
        scan = write_scan(tmp_path / "scan.nrrd")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "cases.csv").write_text("patient;age\n1;2\n")
        refused = call("detect", "--model", model, "--input", scan, "--output", tmp_path / "out", "--resume")
        assert "choose another output folder" in sentence_of(refused)
        assert (tmp_path / "out" / "cases.csv").read_text() == "patient;age\n1;2\n"

    def test_a_case_whose_files_have_no_place_fails_alone(self, model, tmp_path):
        for name in ("first.nrrd", "second.nrrd"):
            write_scan(tmp_path / "in" / name)
        (tmp_path / "out" / "first.mrk.json").mkdir(parents=True)
        done = call("detect", "--model", model, "--input", tmp_path / "in", "--output", tmp_path / "out")
        assert "Traceback" not in done.err
        assert "first.mrk.json could not be written" in done.err


def read_scan_still(scan: Path) -> bool:
    return sitk.ReadImage(str(scan)).GetSize() == (30, 34, 30)


class TestOtherCommands:
    def test_evaluate_refuses_a_dataset_without_truth(self, model, tmp_path):
        write_scan(tmp_path / "data" / "volumes" / "scan.nrrd")
        (tmp_path / "data" / "dataset.json").write_text(
            json.dumps({"landmarks": [{"label": "AC"}], "split": {"test": ["scan"]}})
        )
        refused = call("evaluate", "--dataset", tmp_path / "data", "--model", model, "--output", tmp_path / "out")
        assert "landmarks" in sentence_of(refused)
        assert not (tmp_path / "out").exists()

    def test_evaluate_refuses_a_missing_dataset_and_missing_predictions(self, tmp_path):
        refused = call("evaluate", "--dataset", tmp_path / "no", "--model", "m", "--output", tmp_path / "out")
        assert "does not exist" in sentence_of(refused)

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("models", "show", "nobody"), '"nobody"'),
            (("models", "verify", "nobody"), '"nobody"'),
            (("models", "remove", "nobody"), '"nobody"'),
            (("models", "import", "nowhere.zip"), "nowhere.zip"),
            (("dataset", "check", "nowhere"), "nowhere"),
            (("train", "--dataset", "nowhere", "--method", "astrology", "--output", "m"), '"astrology"'),
            (("train", "--dataset", "nowhere", "--method", "pin", "--output", "m"), "nowhere"),
        ],
    )
    def test_what_is_not_there_is_a_wrong_call(self, tmp_path, monkeypatch, arguments, words):
        monkeypatch.setenv("LANDMARK_DETECTION_MODELS", str(tmp_path / "models"))
        monkeypatch.chdir(tmp_path)
        assert words in sentence_of(call(*arguments))
        assert files_below(tmp_path) == set()


@pytest.mark.parametrize(("name", "status"), [("text.nii.gz", 1), ("gone.nii.gz", 2)])
def test_a_process_of_its_own_says_the_same(model, tmp_path, name, status):
    text(tmp_path / "text.nii.gz")
    command = [sys.executable, "-m", "LandmarkDetectionLib.cli", "detect", "--model", str(model), "--input"]
    command += [str(tmp_path / name), "--output", str(tmp_path / "out")]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == status
    assert name in finished.stderr
    assert "Traceback" not in finished.stderr
