"""A packed dataset is the folder in one file: the same voxels, places, points and words, or a sentence."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from blob_dataset import LABELS, write_blob_dataset, write_description, write_recipe
from command_line import call

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.files.dataset_json import description_to_json, parse_description
from LandmarkDetectionLib.files.dataset_pack import write_pack
from LandmarkDetectionLib.files.images import write_volume
from LandmarkDetectionLib.files.markups import read_markups, write_markups
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.models.bundle import load_bundle
from LandmarkDetectionLib.training.run import train
from LandmarkDetectionLib.volume import Volume

TERMS = {"licence": "CC0-1.0", "source": "made for tests", "citation": "none"}


def pack(folder: Path, file: Path) -> Path:
    dataset = Dataset.load(folder)
    write_pack(file, dataset, dataset.cases)
    return file


@pytest.fixture(scope="module")
def blobs(tmp_path_factory) -> Path:
    """The blobs as a folder; one case lacks a landmark."""
    return write_blob_dataset(tmp_path_factory.mktemp("blobs") / "folder", missing={"case2": ["dim"]})


@pytest.fixture(scope="module")
def packed(blobs, tmp_path_factory) -> Path:
    """The blobs as a file."""
    return pack(blobs, tmp_path_factory.mktemp("packed") / "blobs.zip")


@pytest.fixture
def mixed(tmp_path) -> Path:
    """Volumes of several number types on oblique grids, with observers, subjects, pairs and thresholds; two gaps."""
    folder = tmp_path / "mixed"
    (folder / "volumes").mkdir(parents=True)
    (folder / "landmarks").mkdir()
    random = np.random.default_rng(0)
    ijk_to_ras = np.eye(4)
    ijk_to_ras[:3, :3] = np.linalg.qr(random.normal(size=(3, 3)))[0] * (0.7, 1.1, 2.3)
    ijk_to_ras[:3, 3] = 1.0 / 3.0, -77.7, 1e3
    for index, kind in enumerate((np.uint8, np.int16, np.float32, np.float64)):
        voxels = random.normal(50.0, 20.0, (4, 5, 6)).astype(kind)
        write_volume(Volume(voxels, ijk_to_ras), folder / "volumes" / f"größe{index}.nrrd")
        points = LandmarkSet({"A": random.normal(size=3), "B": None}, {"A": "the first"})
        if index < 3:
            write_markups(points, folder / "landmarks" / f"größe{index}.mrk.json")
        if index < 2:
            write_markups(points, folder / "landmarks" / f"größe{index}.Dr X.fcsv")
    content = {
        "name": "mixed",
        "modality": "none",
        "landmarks": [{"label": "A", "description": "first", "side": "left"}, {"label": "B"}],
        "observers": ["Dr X", "Dr Y"],
        "split": {"train": ["größe3", "größe0"], "test": ["größe1", "größe2"]},
        "subjects": {"größe0": "one", "größe1": "one"},
        "interchangeable": [["A", "B"]],
        "sdr_thresholds_mm": [0.5, 1],
        **TERMS,
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def test_pack_holds_all_that_the_folder_does(mixed, tmp_path):
    folder, file = Dataset.load(mixed), Dataset.load(pack(mixed, tmp_path / "mixed.zip"))
    assert description_to_json(file) == description_to_json(folder)
    assert [case.name for case in file.cases] == [case.name for case in folder.cases]
    for one, other in zip(file.cases, folder.cases, strict=True):
        volume, original = one.read_volume(), other.read_volume()
        assert (volume.voxels.dtype, volume.name) == (original.voxels.dtype, original.name)
        np.testing.assert_array_equal(volume.voxels, original.voxels)
        np.testing.assert_array_equal(volume.ijk_to_ras, original.ijk_to_ras)
        assert one.subject == other.subject
        assert set(one.observer_paths) == set(other.observer_paths)
        assert (one.landmarks_path is None) == (other.landmarks_path is None)
        for observer in one.observer_paths:
            assert one.read_landmarks(observer) == other.read_landmarks(observer)
        if one.landmarks_path is not None:
            assert one.read_landmarks() == other.read_landmarks()


def test_pictures_keep_the_geometry_that_only_dataset_json_gives(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    sitk.WriteImage(sitk.GetImageFromArray(np.arange(30, dtype=np.uint8).reshape(5, 6)), str(folder / "a.png"))
    write_markups(LandmarkSet({"A": (1.0, 2.0, 0.0)}), folder / "a.mrk.json")
    write_description(folder, dimension=2, landmarks=[{"label": "A"}], spacing_mm=[0.3, 0.4], origin_mm=[5, 6])
    volume = Dataset.load(pack(folder, tmp_path / "pictures.zip")).cases[0].read_volume()
    np.testing.assert_array_equal(volume.ijk_to_ras, Dataset.load(folder).cases[0].read_volume().ijk_to_ras)
    np.testing.assert_allclose(volume.ijk_to_ras[:2, 3], (-5.0, -6.0))


def test_description_survives_the_way_through_json(blobs):
    dataset = Dataset.load(blobs)
    content = json.loads(json.dumps(description_to_json(dataset)))
    assert description_to_json(parse_description(content, "", "")) == description_to_json(dataset)


def test_same_folder_gives_the_same_file(blobs, packed, tmp_path):
    assert pack(blobs, tmp_path / "again.zip").read_bytes() == packed.read_bytes()


def test_folder_and_file_train_the_same_model(blobs, packed, tmp_path):
    config = write_recipe(tmp_path / "recipe.json", optimisation={"steps": 3, "pool_size": 8})
    weights = []
    for index, dataset in enumerate((blobs, packed)):
        train(dataset, "pin", tmp_path / f"model{index}", preset="quick", config=config, device="cpu", seed=3)
        weights.append(load_bundle(tmp_path / f"model{index}").tensors)
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_commands_take_the_file_in_place_of_the_folder(blobs, tmp_path):
    file = tmp_path / "blobs.zip"
    told = call("dataset", "pack", blobs, file)
    assert told.status == 0
    assert told.out.startswith(f"{file}: 14 cases, 3 landmarks, 0.7 MB.")
    assert "CC0-1.0" in told.out
    told = call("dataset", "pack", blobs, file, "--json")
    assert json.loads(told.out)["cases"] == 14
    assert call("dataset", "check", file).status == 1
    reports = []
    for index, dataset in enumerate((blobs, file)):
        predictions = tmp_path / f"predictions{index}"
        predictions.mkdir()
        for seed in (11, 12, 13):
            truth = read_markups(blobs / "landmarks" / f"case{seed}.mrk.json")
            moved = LandmarkSet({label: truth[label] + 0.1 * seed for label in LABELS})
            write_markups(moved, predictions / f"case{seed}.mrk.json")
        arguments = ["--dataset", dataset, "--predictions", predictions, "--output", tmp_path / f"report{index}"]
        assert call("evaluate", *arguments).status == 0
        reports.append(json.loads((tmp_path / f"report{index}" / "report.json").read_text()))
    assert reports[0]["overall"] == reports[1]["overall"]
    assert reports[0]["overall"]["points"] == 9


def test_folder_that_cannot_be_read_leaves_no_file(tmp_path):
    folder = write_blob_dataset(tmp_path / "blobs")
    (folder / "volumes" / "case5.nii.gz").write_bytes(b"not an image")
    refused = call("dataset", "pack", folder, tmp_path / "blobs.zip")
    assert refused.status == 2
    assert "case5.nii.gz cannot be read" in refused.err.splitlines()[-1]
    assert {path.name for path in tmp_path.iterdir()} == {"blobs"}


def read_all(file: Path) -> None:
    for case in Dataset.load(file).cases:
        case.read_volume()
        case.read_landmarks()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_file_that_ends_early_is_refused_in_a_sentence(packed, tmp_path, share):
    whole = packed.read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(LandmarkDetectionError, match=r"cut\.zip is no whole packed dataset .*; copy or pack it again"):
        read_all(tmp_path / "cut.zip")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_altered_byte_is_refused_in_a_sentence(packed, tmp_path, share):
    altered = bytearray(packed.read_bytes())
    altered[int(share * len(altered))] ^= 0xFF
    (tmp_path / "altered.zip").write_bytes(altered)
    with pytest.raises(LandmarkDetectionError, match="copy or pack it again"):
        read_all(tmp_path / "altered.zip")


def rewritten(file: Path, target: Path, **changes: bytes | None) -> Path:
    """A copy with other contents of some inner files, or without them."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = changes.get(Path(name).name.partition(".")[0], old.read(name))
            if content is not None:
                new.writestr(name, content)
    return target


def array_bytes(array: np.ndarray, **arguments: object) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, **arguments)
    return stream.getvalue()


BAD_ARRAYS = {
    "pickled": array_bytes(np.array([[[{}]]], dtype=object), allow_pickle=True),
    "of texts": array_bytes(np.array([[["a"]]])),
    "shorter than it says": array_bytes(np.zeros((4, 4, 4)))[:-8],
    "larger than all memory": array_bytes(np.zeros((1, 1, 1))).replace(b"(1, 1, 1), }    ", b"(9**9, 1, 1), }"),
    "no array": b"\x93NUMPY",
}


@pytest.mark.parametrize("kind", BAD_ARRAYS)
def test_array_that_is_not_plain_numbers_is_refused(packed, tmp_path, kind):
    file = rewritten(packed, tmp_path / "bad.zip", case3=BAD_ARRAYS[kind])
    case = next(case for case in Dataset.load(file).cases if case.name == "case3")
    with pytest.raises(LandmarkDetectionError, match=r"bad\.zip is no whole packed dataset"):
        case.read_volume()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"pack": None}, "no whole packed dataset .*pack.json"),
        ({"dataset": None}, "no whole packed dataset .*dataset.json"),
        ({"case3": None}, r"no whole packed dataset .*volumes/case3\.npy"),
        ({"pack": b'{"format_version": 2}'}, "packed by another version"),
        ({"pack": b"[]"}, "no whole packed dataset"),
        ({"pack": b'{"format_version": 1, "ijk_to_ras": {}}'}, "no whole packed dataset .*case0"),
        ({"pack": b'{"format_version": 1, "ijk_to_ras": {"case0": ["a"]}}'}, "no whole packed dataset"),
        ({"dataset": b'{"split": 3}'}, '"split" must be an object'),
    ],
)
def test_file_without_its_parts_is_refused(packed, tmp_path, changes, complaint):
    with pytest.raises(LandmarkDetectionError, match=complaint):
        Dataset.load(rewritten(packed, tmp_path / "bad.zip", **changes))


def test_landmarks_that_nobody_placed_are_told_of(mixed, tmp_path):
    case = Dataset.load(pack(mixed, tmp_path / "mixed.zip")).split("train")[0]
    with pytest.raises(LandmarkDetectionError, match="case größe3 has no such landmarks"):
        case.read_landmarks()


def test_matrix_that_spans_no_space_is_refused(packed, tmp_path):
    flat = {"format_version": 1, "ijk_to_ras": {f"case{index}": np.zeros((4, 4)).tolist() for index in range(14)}}
    file = rewritten(packed, tmp_path / "flat.zip", pack=json.dumps(flat).encode())
    with pytest.raises(LandmarkDetectionError, match="span no space"):
        Dataset.load(file).cases[0].read_volume()
