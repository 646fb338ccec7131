"""dataset check, train and evaluate, from a folder of scans with markups to a report on a new model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import call, sentence_of, write_scan
from tiny_detector import LABELS, MEAN_SHAPE_MM, write_tiny_bundle

from LandmarkDetectionLib.files.markups import write_markups
from LandmarkDetectionLib.landmarks import LandmarkSet

SPLIT = {"train": ["a", "b", "c", "d"], "validation": ["e"], "test": ["f", "g"]}
QUICK = {"optimisation": {"steps": 2, "minutes": 5.0, "batch_size": 4, "validate_every": 2, "pool_size": 4}}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """Seven scans of a block, with four landmarks about its centre that move a little from case to case."""
    folder = tmp_path_factory.mktemp("dataset")
    centre_ras = np.array([29.0, 29.0, 29.0])
    for index, name in enumerate(case for cases in SPLIT.values() for case in cases):
        write_scan(folder / "volumes" / f"{name}.nii.gz", seed=index)
        moved = MEAN_SHAPE_MM * (1.0 + 0.02 * index) + centre_ras
        write_markups(LandmarkSet.from_array(LABELS, moved), folder / "landmarks" / f"{name}.mrk.json")
    description = {
        "dimension": 3,
        "landmarks": [{"label": label} for label in LABELS],
        "split": SPLIT,
        "licence": "CC0",
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


class TestCheck:
    def test_a_sound_folder_has_no_problem(self, dataset):
        checked = call("dataset", "check", dataset)
        assert (checked.status, checked.err) == (0, "")
        assert checked.out == f"There is no problem in {dataset}.\n"

    def test_every_problem_is_listed_under_its_case(self, tmp_path):
        write_scan(tmp_path / "a.nrrd")
        write_markups(LandmarkSet({"AC": (0.0, 0.0, 900.0), "PC": None}), tmp_path / "a.mrk.json")
        (tmp_path / "b.nrrd").write_text("Dear colleague")
        write_markups(LandmarkSet({"AC": (1.0, 2.0, 3.0), "PC": (3.0, 2.0, 1.0)}), tmp_path / "b.mrk.json")
        checked = call("dataset", "check", tmp_path)
        assert checked.status == 1
        lines = checked.out.splitlines()
        assert lines.index("a") < lines.index("b")
        assert any(line.startswith("  ") and "AC" in line for line in lines[lines.index("a") : lines.index("b")])
        assert any("not an image" in line for line in lines[lines.index("b") :])

    def test_what_training_will_ask_for_is_noted(self, tmp_path):
        write_scan(tmp_path / "a.nrrd")
        write_markups(LandmarkSet({"AC": (9.0, 9.0, 9.0)}), tmp_path / "a.mrk.json")
        checked = call("dataset", "check", tmp_path)
        assert checked.status == 0
        assert 'no case is named as "train" or "validation" or "test"; train needs' in checked.out

    def test_machines_get_a_list(self, dataset, tmp_path):
        assert json.loads(call("dataset", "check", dataset, "--json").out) == []
        (tmp_path / "b.nrrd").write_text("Dear colleague")
        write_markups(LandmarkSet({"AC": (1.0, 2.0, 3.0)}), tmp_path / "b.mrk.json")
        problems = json.loads(call("dataset", "check", tmp_path, "--json").out)
        assert {"case", "message"} == set(problems[0])


class TestEvaluate:
    def test_prints_the_summary_and_writes_the_report(self, dataset, tmp_path):
        model = write_tiny_bundle(tmp_path)
        done = call("evaluate", "--dataset", dataset, "--model", model, "--output", tmp_path / "out")
        assert done.status == 0, done.err
        report = json.loads((tmp_path / "out" / "report.json").read_text())
        assert (report["cases"], report["landmarks"]) == (2, 4)
        assert f"{report['overall']['mre_mm']:.2f}" in done.out
        assert f"{report['mean_position_baseline']['mre_mm']:.2f}" in done.out
        assert done.out.splitlines()[-1] == f"The whole report: {tmp_path / 'out' / 'index.html'}"

    def test_machines_get_the_report_itself(self, dataset, tmp_path):
        model = write_tiny_bundle(tmp_path)
        done = call("evaluate", "--dataset", dataset, "--model", model, "--output", tmp_path / "out", "--json")
        assert json.loads(done.out) == json.loads((tmp_path / "out" / "report.json").read_text())

    def test_the_results_of_detect_can_be_evaluated(self, dataset, tmp_path):
        model = write_tiny_bundle(tmp_path)
        assert call("detect", "--model", model, "--input", dataset, "--output", tmp_path / "found").status == 0
        errors_mm = []
        for judged in (("--model", model), ("--predictions", tmp_path / "found")):
            done = call("evaluate", "--dataset", dataset, *judged, "--output", tmp_path / "out", "--json")
            assert done.status == 0, done.err
            errors_mm.append(json.loads(done.out)["overall"]["mre_mm"])
        assert errors_mm[0] == pytest.approx(errors_mm[1], abs=1e-6)

    def test_several_models_are_compared(self, dataset, tmp_path):
        models = [write_tiny_bundle(tmp_path, name) for name in ("tiny", "other")]
        both = ("--model", models[0], "--model", models[1])
        done = call("evaluate", "--dataset", dataset, *both, "--output", tmp_path / "out", "--json")
        assert done.status == 0, done.err
        report = json.loads(done.out)
        assert report == json.loads((tmp_path / "out" / "report.json").read_text())
        assert list(report["methods"]) == ["tiny", "other"]
        assert all((tmp_path / "out" / name / "index.html").is_file() for name in ("tiny", "other"))

    def test_a_case_without_a_prediction_gives_status_1(self, dataset, tmp_path):
        (tmp_path / "found").mkdir()
        write_markups(LandmarkSet.from_array(LABELS, MEAN_SHAPE_MM), tmp_path / "found" / "f.mrk.json")
        done = call("evaluate", "--dataset", dataset, "--predictions", tmp_path / "found", "--output", tmp_path / "out")
        assert done.status == 1
        assert "g: " in done.out

    def test_an_unknown_split_is_refused(self, dataset, tmp_path):
        places = ("--dataset", dataset, "--model", write_tiny_bundle(tmp_path), "--output", tmp_path / "out")
        assert "train, validation, test" in sentence_of(call("evaluate", *places, "--split", "exam"))


def test_a_model_is_trained_and_finds_what_it_was_trained_on(dataset, tmp_path):
    (tmp_path / "quick.json").write_text(json.dumps(QUICK))
    settings = ("--preset", "quick", "--config", tmp_path / "quick.json", "--device", "cpu")
    trained = call("train", "--dataset", dataset, "--method", "pin", "--output", tmp_path / "new-model", *settings)
    assert trained.status == 0, trained.err
    assert "\r" not in trained.err  # no bars where no terminal shows them
    assert trained.out.startswith("new-model is trained: ")
    assert trained.out.endswith(f"\nUse it with: detect --model {tmp_path / 'new-model'}\n")
    done = call("detect", "--model", tmp_path / "new-model", "--input", dataset, "--output", tmp_path / "out")
    assert done.status == 0, done.err
    assert done.out.splitlines()[-1].startswith("7 of 7 cases succeeded")
