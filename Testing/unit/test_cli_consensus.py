"""detect with several models: one result, its disagreements, and what --resume makes of another set of models."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import Call, call, sentence_of, write_scan, write_tiny_picture_bundle
from tiny_detector import LABELS, write_second_opinion, write_tiny_bundle

from LandmarkDetectionLib.files.results import read_detection
from LandmarkDetectionLib.models.bundle import load_bundle, save_bundle


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    """Three models that nearly agree, and one whose landmarks lie 20 mm higher."""
    folder = tmp_path_factory.mktemp("models")
    opinions = {name: write_second_opinion(folder, name, seed) for seed, name in enumerate(("second", "third"))}
    wild = write_second_opinion(folder, "wild", seed=9, shift_mm=20.0)
    return {"tiny": write_tiny_bundle(folder), **opinions, "wild": wild}


@pytest.fixture(scope="module")
def scan(tmp_path_factory) -> Path:
    return write_scan(tmp_path_factory.mktemp("scans") / "head.nii.gz")


def detect(models: dict[str, Path], names: str, scan: Path, output: Path, *more: object) -> Call:
    chosen = [argument for name in names.split() for argument in ("--model", models[name])]
    done = call("detect", *chosen, "--input", scan, "--output", output, *more)
    assert done.status == 0, done.err
    return done


def results(output: Path) -> list[dict[str, str]]:
    with (output / "results.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def heights(output: Path) -> np.ndarray:
    return np.array([float(row["s"]) for row in results(output)])


class TestAgreement:
    def test_one_detection_names_all_models(self, models, scan, tmp_path):
        done = detect(models, "tiny second", scan, tmp_path)
        assert "head: tiny+second 1.0+1.0 on cpu" in done.out
        found = read_detection(tmp_path / "head.detection.json")
        hashes = [load_bundle(models[name]).weights_sha256 for name in ("tiny", "second")]
        assert found.weights_sha256.split("+") == hashes
        assert {row["status"] for row in results(tmp_path)} == {"detected"}

    def test_the_table_tells_how_far_the_models_are_apart(self, models, scan, tmp_path):
        together = detect(models, "tiny second", scan, tmp_path / "two").out
        assert "models apart (mm)" in together
        assert "review" not in together
        assert "models apart" not in detect(models, "tiny", scan, tmp_path / "one").out

    def test_planes_are_those_of_the_models(self, models, scan, tmp_path):
        detect(models, "tiny second", scan, tmp_path, "--planes")
        assert (tmp_path / "head_axial.png").is_file()


class TestDisagreement:
    def test_two_that_disagree_are_met_halfway_and_flagged(self, models, scan, tmp_path):
        both = detect(models, "tiny wild", scan, tmp_path / "both")
        for name in ("tiny", "wild"):
            detect(models, name, scan, tmp_path / name)
        middle = (heights(tmp_path / "tiny") + heights(tmp_path / "wild")) / 2
        np.testing.assert_allclose(heights(tmp_path / "both"), middle, atol=1e-3)
        assert {row["status"] for row in results(tmp_path / "both")} == {"review"}
        assert "Note: The models disagree on where these landmarks lie: AC (" in both.out
        assert "needs review: AC (models disagree" in (tmp_path / "both" / "index.html").read_text(encoding="utf-8")
        marks = json.loads((tmp_path / "both" / "head.detection.json").read_text())["landmarks"]
        assert all("models disagree" in mark["doubts"] and mark["disagreement_mm"] > 15 for mark in marks)

    def test_one_against_three_is_flagged_and_nearly_without_influence(self, models, scan, tmp_path):
        detect(models, "wild tiny second third", scan, tmp_path / "four")
        detect(models, "tiny second third", scan, tmp_path / "three")
        assert np.abs(heights(tmp_path / "four") - heights(tmp_path / "three")).max() < 1.5
        assert {row["status"] for row in results(tmp_path / "four")} == {"review"}

    def test_the_line_of_a_case_names_what_to_review(self, models, scan, tmp_path):
        done = detect(models, "tiny wild", scan.parent, tmp_path)
        assert f"to review: {', '.join(LABELS)}" in done.out


class TestOptions:
    def test_one_that_names_a_model_is_for_that_model_alone(self, models, scan, tmp_path):
        """A single start finds something else than the mean of several."""
        heights_of = {}
        for name, options in {
            "neither": (),
            "second": ("second:random_initialisations=0",),
            "both": ("random_initialisations=0",),
        }.items():
            chosen = [word for option in options for word in ("--option", option)]
            detect(models, "tiny second", scan, tmp_path / name, *chosen)
            heights_of[name] = heights(tmp_path / name)
        assert not np.array_equal(heights_of["second"], heights_of["neither"])
        assert not np.array_equal(heights_of["second"], heights_of["both"])

    def test_one_that_names_no_model_of_the_call_is_refused(self, models, scan, tmp_path):
        chosen = [argument for name in ("tiny", "second") for argument in ("--model", models[name])]
        refused = call(
            "detect", *chosen, "--input", scan, "--output", tmp_path / "out", "--option", "third:iterations=2"
        )
        assert 'there is no model "third" in this call; name one of: tiny, second' in sentence_of(refused)


class TestResuming:
    @staticmethod
    def written(output: Path) -> int:
        return (output / "head.detection.json").stat().st_mtime_ns

    def test_the_same_models_have_done_it_already(self, models, scan, tmp_path):
        detect(models, "tiny second", scan, tmp_path)
        before = self.written(tmp_path)
        detect(models, "tiny second", scan, tmp_path, "--resume")
        assert self.written(tmp_path) == before

    @pytest.mark.parametrize("others", ["tiny", "tiny third", "tiny second third"])
    def test_another_set_of_models_does_it_again(self, models, scan, tmp_path, others):
        detect(models, "tiny second", scan, tmp_path)
        before = self.written(tmp_path)
        detect(models, others, scan, tmp_path, "--resume")
        assert self.written(tmp_path) > before


class TestRefusals:
    def refusal(self, scan, output, *models):
        chosen = [argument for model in models for argument in ("--model", model)]
        sentence = sentence_of(call("detect", *chosen, "--input", scan, "--output", output / "out"))
        assert not (output / "out").exists()
        return sentence

    def test_a_model_given_twice(self, models, scan, tmp_path):
        assert "given twice (tiny)" in self.refusal(scan, tmp_path, models["tiny"], models["tiny"])

    def test_a_model_of_pictures_beside_one_of_volumes(self, models, scan, tmp_path):
        sentence = self.refusal(scan, tmp_path, models["tiny"], write_tiny_picture_bundle(tmp_path))
        assert "tiny-2d works on 2D images, but tiny on 3D images" in sentence

    def test_a_model_of_other_anatomy(self, models, scan, tmp_path):
        bundle = load_bundle(models["second"])
        landmarks = tuple(replace(one, label=f"hip {one.label}") for one in bundle.card.landmarks)
        card = replace(bundle.card, name="hip", anatomy="hip", landmarks=landmarks, planes=(), calibration=None)
        save_bundle(tmp_path / "hip", card, bundle.tensors)
        sentence = self.refusal(scan, tmp_path, models["tiny"], tmp_path / "hip")
        assert "hip (hip) shares no landmark with tiny" in sentence
