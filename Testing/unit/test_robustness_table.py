"""Images are changed for measurements: the truth follows where they move, and stays where only their look changes."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from blob_dataset import write_blob_dataset
from changed_cases import NOISE, changes
from knowing_detector import KnowingDetector, write_dataset
from robustness_table import changed_dataset, main, robustness_table
from tiny_detector import write_tiny_bundle

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.geometry import apply_affine
from LandmarkDetectionLib.landmarks import DetectedLandmark, Detection, LandmarkDefinition
from LandmarkDetectionLib.models.card import ModelCard

TURNED = {2: ["turned by +30°", "turned by -30°"]}
TURNED[3] = [f"{turn} about {axis}" for axis in ("left-right", "back-front", "up-down") for turn in TURNED[2]]
LOOKS = ["noise of 10%", "gamma 1.5", "gamma 1/1.5", "inverted intensities"]
RESOLUTIONS = ["half the resolution", "double resolution"]
ORDER = {dimension: ["unchanged", *TURNED[dimension], "cut short", *LOOKS, *RESOLUTIONS] for dimension in (2, 3)}


def card_of_blobs(card: ModelCard, *labels: str) -> ModelCard:
    """A card for some of the blobs, which derives nothing from them."""
    landmarks = tuple(LandmarkDefinition(label) for label in labels)
    nothing = {"planes": (), "measurements": (), "interchangeable": (), "shape_model": None, "calibration": None}
    return replace(card, landmarks=landmarks, **nothing)


class BrightestDetector:
    """Finds the middle of what is brightest."""

    def __init__(self, card, refuses=""):
        self.card, self.refuses = card_of_blobs(card, "bright"), refuses

    def detect(self, volume, *, seed=0):
        if volume.name == self.refuses:
            message = "too dark; choose another."
            raise LandmarkDetectionError(message)
        kji = np.argwhere(volume.voxels > 0.8 * volume.voxels.max())
        position = apply_affine(volume.ijk_to_ras, kji[:, ::-1]).mean(axis=0)
        mark = DetectedLandmark("bright", position, np.eye(3))
        return Detection((mark,), self.card.name, "1.0", "ab" * 32, "cpu", seconds=0.1, seed=seed)

    def shape_space_error_mm(self, _volume, _landmarks):
        return None


@pytest.fixture(scope="module", params=[2, 3])
def blobs(request, tmp_path_factory) -> Dataset:
    """Pictures, and volumes, whose brightest blob is the landmark "bright"."""
    return Dataset.load(write_blob_dataset(tmp_path_factory.mktemp("blobs") / "data", request.param))


def changed(dataset: Dataset, name: str):
    """The first test case, changed."""
    return changed_dataset(dataset, "test", changes(dataset.dimension)[name], 1).cases[0]


def distance_mm(case, tiny_card) -> float:
    """Of the brightest place of its image from its truth."""
    found = BrightestDetector(tiny_card).detect(case.read_volume())["bright"].position_ras
    return float(np.linalg.norm(found - case.read_landmarks()["bright"]))


def test_image_and_truth_move_together(blobs, tiny_card):
    for name in (*TURNED[blobs.dimension], *RESOLUTIONS):
        assert distance_mm(changed(blobs, name), tiny_card) < 0.6, name


def test_what_is_turned_lies_elsewhere_by_thirty_degrees_and_is_shown_in_whole(blobs):
    before = changed(blobs, "unchanged")
    centre, start = before.read_volume().centre_ras, before.read_landmarks().to_array()
    for name in TURNED[blobs.dimension]:
        case = changed(blobs, name)
        volume, landmarks = case.read_volume(), case.read_landmarks().to_array()
        assert volume.contains(landmarks).all()
        np.testing.assert_allclose(volume.centre_ras, centre, atol=1e-9)
        np.testing.assert_allclose(*(np.linalg.norm(one - centre, axis=1) for one in (start, landmarks)))
        axis = 2 if blobs.dimension == 2 else ["left-right", "back-front", "up-down"].index(name.split()[-1])
        (first, second), (first_now, second_now) = (np.delete(one - centre, axis, 1).T for one in (start, landmarks))
        angles = np.rad2deg(np.angle((first_now + 1j * second_now) / (first + 1j * second)))
        # By the right-hand rule the second axis turns the third into the first.
        np.testing.assert_allclose(angles, (30.0 if "+" in name else -30.0) * (-1.0 if axis == 1 else 1.0))
        np.testing.assert_allclose(landmarks[:, axis], start[:, axis], atol=1e-9)


def test_the_truth_stays_where_only_the_look_or_the_field_of_view_changes(blobs):
    before = changed(blobs, "unchanged")
    for name in (*LOOKS, *RESOLUTIONS, "cut short"):
        case = changed(blobs, name)
        assert case.read_landmarks() == before.read_landmarks(), name
    for name in LOOKS:
        volume = changed(blobs, name).read_volume()
        assert volume.voxels.shape == before.read_volume().voxels.shape
        np.testing.assert_array_equal(volume.ijk_to_ras, before.read_volume().ijk_to_ras)


def test_looks_are_what_they_are_called(blobs):
    voxels = changed(blobs, "unchanged").read_volume().voxels
    low, high = voxels.min(), voxels.max()
    shares = (voxels - low) / (high - low)
    seen = {name: (changed(blobs, name).read_volume().voxels - low) / (high - low) for name in LOOKS}
    np.testing.assert_allclose(seen["inverted intensities"], 1 - shares, atol=1e-5)
    np.testing.assert_allclose(seen["gamma 1.5"], shares**1.5, atol=1e-5)
    np.testing.assert_allclose(seen["gamma 1/1.5"] ** 1.5, shares, atol=1e-5)
    darkest, brightest = np.percentile(shares[shares > 0], (1, 99))
    inner = (shares > 0.2) & (shares < 0.8)
    deviation = (seen["noise of 10%"] - shares)[inner].std() / (brightest - darkest)
    assert 0.7 * NOISE < deviation < 1.3 * NOISE
    assert seen["noise of 10%"].min() == 0
    assert seen["noise of 10%"].max() <= 1


def test_voxels_are_half_and_twice_as_large_and_pictures_as_thick_as_before(blobs):
    side = 24
    for name, size in zip(RESOLUTIONS, (12, 48), strict=True):
        volume = changed(blobs, name).read_volume()
        assert volume.size == ((size, size, size) if blobs.dimension == 3 else (size, size, 1))
        np.testing.assert_allclose(volume.spacing_mm[:2], side / size)
        assert volume.spacing_mm[2] == pytest.approx(side / size if blobs.dimension == 3 else 1.0)


def test_heads_are_bared_and_the_truth_stays(tmp_path):
    case = Dataset.load(write_blob_dataset(tmp_path / "data")).split("test")[0]
    bared = {name: changes(3, of_heads=True)[name](case) for name in ("without skull", "without face")}
    assert all(one.read_landmarks() == case.read_landmarks() for one in bared.values())
    before = case.read_volume().voxels
    is_black = bared["without skull"].read_volume().voxels != before
    assert 0 < is_black.sum() < is_black.size
    assert (bared["without skull"].read_volume().voxels[is_black] == before.min()).all()
    np.testing.assert_array_equal(bared["without face"].read_volume().voxels, before, "a face is more than 20 mm off")


def test_changes_are_the_same_at_every_call_and_others_for_other_cases(blobs):
    for name in ORDER[blobs.dimension]:
        first, again = (changed(blobs, name).read_volume() for _ in range(2))
        np.testing.assert_array_equal(first.voxels, again.voxels)
        np.testing.assert_array_equal(first.ijk_to_ras, again.ijk_to_ras)
    noise = changes(blobs.dimension)["noise of 10%"]
    one, other = (noise(case).read_volume().voxels - case.read_volume().voxels for case in blobs.split("test")[:2])
    assert not np.allclose(one, other)


def rows_of(text: str) -> dict[str, list[str]]:
    """Cells by the first one."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return {cells[0]: cells[1:] for cells in lines if cells[0] != "---"}


def test_the_table_has_a_row_for_each_change_and_counts_what_is_cut_off_apart(blobs, tiny_card):
    text = robustness_table(BrightestDetector(tiny_card), blobs, "test")
    rows = rows_of(text)
    assert text.startswith(f"### {tiny_card.name} {tiny_card.version} on three blobs, test: 3 cases")
    assert list(rows) == ["change", *ORDER[blobs.dimension]]
    for name in ("unchanged", *TURNED[blobs.dimension], "noise of 10%", *RESOLUTIONS):
        assert float(rows[name][0].split()[0]) < 1.5, name
    assert float(rows["inverted intensities"][0].split()[0]) > 3
    assert len({len(cells) for cells in rows.values()}) <= 2


def test_a_landmark_that_is_cut_off_is_no_error_but_its_flag_counts(tmp_path, tiny_card):
    blobs = Dataset.load(write_blob_dataset(tmp_path / "data"))
    short = changed_dataset(blobs, "train", changes(3)["cut short"])
    truths = {case.name: case.read_landmarks() for case in short.cases}
    shown = np.array([case.read_volume().contains(truths[case.name].to_array()) for case in short.cases])
    assert 0 < shown[:, 1].sum() < len(shown)
    offsets_mm = {"bright": (1.0, 0.0, 0.0), "middle": (30.0, 0.0, 0.0), "dim": (0.0, 0.0, 0.0)}
    card = card_of_blobs(tiny_card, "bright", "middle", "dim")
    detector = KnowingDetector(card, truths, offsets_mm=offsets_mm, missing=("middle",))
    row = rows_of(robustness_table(detector, blobs, "train"))["cut short"]
    assert float(row[0].split()[0]) == pytest.approx((shown @ [1.0, 30.0, 0.0]).sum() / shown.sum(), abs=0.01)
    assert row[-2] == f"{100 * shown[:, 1].sum() / shown.sum():.1f} %"
    assert row[-1] == f"{100 * (~shown[:, 1]).sum() / (~shown).sum():.1f} % of {(~shown).sum()}"


def test_any_model_can_be_asked_for_the_first_cases(tmp_path, capsys):
    main([str(write_tiny_bundle(tmp_path)), str(write_dataset(tmp_path / "data")), "--split", "test", "--cases", "1"])
    text = capsys.readouterr().out
    assert "tiny 1.0 on tiny, test: 1 case\n" in text
    assert list(rows_of(text)) == ["change", *ORDER[3]]
    main([str(tmp_path / "tiny"), str(tmp_path / "data"), "--split", "test", "--cases", "1", "--heads"])
    of_heads = list(rows_of(capsys.readouterr().out))
    assert of_heads == ["change", *ORDER[3][:8], "without skull", "without face", *ORDER[3][8:]]
    assert all(re.fullmatch(r"\d+\.\d\d ± \d+\.\d\d", cells[0]) for cells in list(rows_of(text).values())[1:])


def test_a_case_that_fails_is_named_below_the_table(tmp_path, tiny_card):
    blobs = Dataset.load(write_blob_dataset(tmp_path / "data"))
    text = robustness_table(BrightestDetector(tiny_card, refuses="case12"), blobs, "test")
    assert "\n\n- unchanged: case12: too dark; choose another.\n" in text
    assert "- noise of 10%: case12: too dark; choose another.\n" in text
