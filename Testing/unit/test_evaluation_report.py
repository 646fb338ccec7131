"""A whole evaluation on a small dataset folder, with a detector whose errors are known exactly."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from knowing_detector import TRUTHS, KnowingDetector, moved, write_dataset
from tiny_models import TINY_CARD

from LandmarkDetectionLib.errors import DetectionCancelled, LandmarkDetectionError
from LandmarkDetectionLib.evaluation.evaluate import evaluate, evaluate_model
from LandmarkDetectionLib.evaluation.report import format_summary
from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.files.markups import write_markups
from LandmarkDetectionLib.files.results import ResultsFolder
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.models.card import ModelCard


@pytest.fixture(scope="module")
def truths() -> dict[str, LandmarkSet]:
    return TRUTHS


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return replace(ModelCard.from_json(TINY_CARD), shape_model=None, calibration=None)


@pytest.fixture
def folder(tmp_path, truths) -> Path:
    return write_dataset(tmp_path / "data", truths)


@pytest.fixture(scope="module")
def output(tmp_path_factory, card, truths) -> Path:
    """The files of an evaluation with one failed case and one landmark flagged missing."""
    place = tmp_path_factory.mktemp("evaluation")
    dataset = Dataset.load(write_dataset(place / "data", truths))
    detector = KnowingDetector(card, truths, missing=("LE",), refuses=("two",))
    evaluate_model(dataset, "test", detector, place / "out")
    return place / "out"


def report_of(folder, model, **settings) -> dict:
    """The numbers alone: nothing is drawn or written."""
    return dict(evaluate(Dataset.load(folder), "test", model, **settings).report)


class TestNumbers:
    def test_overall_and_by_landmark(self, folder, card, truths):
        report = report_of(folder, KnowingDetector(card, truths))
        overall = report["overall"]
        assert (report["cases"], report["landmarks"]) == (3, 3)
        assert (overall["points"], overall["failed"], overall["missing"]) == (9, 0, 0)
        assert overall["mre_mm"] == pytest.approx((3 + 3 + 0.5) / 3)
        assert overall["median_mm"] == pytest.approx(3.0)
        assert overall["sdr"] == {
            "2.0": pytest.approx(1 / 3),
            "2.5": pytest.approx(1 / 3),
            "3.0": pytest.approx(1.0),
            "4.0": pytest.approx(1.0),
        }
        assert overall["seconds_per_case"] == pytest.approx(0.25)
        assert report["per_landmark"]["LE"]["mre_mm"] == pytest.approx(0.5)
        assert report["model"] == {"name": "tiny-brain", "version": "1.0.0", "weights_sha256": "ab" * 32}
        assert (report["dataset"], report["split"], report["failed"]) == ("tiny", "test", [])

    def test_baselines_and_observers_stand_beside_it(self, folder, card, truths):
        report = report_of(folder, KnowingDetector(card, truths))
        assert report["mean_position_baseline"]["mre_mm"] == pytest.approx((3 + 5 + 1) / 3)
        assert report["translated_mean_shape_oracle"]["mre_mm"] == pytest.approx(0.0, abs=1e-6)
        assert report["observers"]["ann"]["mre_mm"] == pytest.approx(1.0)
        assert report["observers"]["ann"]["points"] == 3

    def test_observers_are_compared_with_each_other_too(self, folder, card, truths):
        description = json.loads((folder / "dataset.json").read_text())
        (folder / "dataset.json").write_text(json.dumps({**description, "observers": ["ann", "bob"]}))
        reading = LandmarkSet({**moved(truths["one"], 0, 3, 1), "LE": None})
        write_markups(reading, folder / "landmarks" / "one.bob.mrk.json")
        report = report_of(folder, KnowingDetector(card, truths))
        assert report["observers"]["bob"]["mre_mm"] == pytest.approx(10**0.5, abs=1e-4)
        between = report["between_observers"]["ann and bob"]
        assert (between["points"], between["mre_mm"]) == (2, pytest.approx(3.0))

    def test_planes_and_measurements_of_the_card(self, folder, card, truths):
        report = report_of(folder, KnowingDetector(card, truths))
        assert report["planes"]["axial"]["cases"] == 3
        assert report["planes"]["axial"]["normal_angle_deg"]["mean"] > 0
        length = report["measurements"]["AC-PC"]
        assert length["mean_true"] == pytest.approx(20.0)
        assert length["mean_absolute_error"] == pytest.approx(0.0, abs=1e-6)

    def test_measurements_and_planes_agree_with_the_truth(self, folder, card, truths):
        report = report_of(folder, KnowingDetector(card, truths))
        assert report["agreement"]["measurements"]["AC-PC"]["bias"] == pytest.approx(0.0, abs=1e-6)
        assert report["agreement"]["axes"]["right"]["bias"] == pytest.approx(2.0)
        assert 0.0 < report["planes"]["axial"]["ssim"]["mean"] <= 1.0

    def test_a_radius_holds_what_it_reaches(self, folder, card, truths):
        radius = report_of(folder, KnowingDetector(card, truths, radius90_mm=2.9))["uncertainty"]["radius90"]
        assert (radius["coverage"], radius["per_landmark"]["LE"]) == (pytest.approx(1 / 3), 1.0)

    def test_the_error_of_the_shape_space_alone(self, folder, card, truths):
        detector = KnowingDetector(card, truths, shape_space_mm=np.array([0.5, np.nan, 1.0]))
        assert report_of(folder, detector)["shape_space_mm"] == pytest.approx(0.75)

    def test_flagging_landmarks_as_missing_improves_nothing(self, folder, card, truths):
        plain = report_of(folder, KnowingDetector(card, truths))["overall"]
        flagged = report_of(folder, KnowingDetector(card, truths, missing=("AC",)))["overall"]
        assert flagged == {**plain, "missing": 3}

    def test_truth_outside_the_volume_is_not_counted(self, folder, card, truths):
        write_markups(moved(truths["one"], 0, 12, 0), folder / "landmarks" / "one.mrk.json")
        overall = report_of(folder, KnowingDetector(card, truths))["overall"]
        assert overall["points"] == 8

    def test_a_case_nobody_annotated_counts_for_nothing(self, folder, card, truths):
        (folder / "landmarks" / "two.mrk.json").unlink()
        overall = report_of(folder, KnowingDetector(card, truths))["overall"]
        assert (overall["points"], overall["failed"]) == (6, 0)

    def test_landmarks_the_model_does_not_know_are_named_and_not_counted(self, folder, card, truths):
        partial = replace(card, landmarks=card.landmarks[:2], planes=())
        report = report_of(folder, KnowingDetector(partial, truths))
        assert (report["landmarks"], report["landmarks_unknown_to_model"]) == (2, ["LE"])

    def test_without_training_cases_there_are_no_baselines(self, folder, tmp_path, card, truths):
        description = json.loads((folder / "dataset.json").read_text())
        description["split"] = {"test": ["one"]}
        (folder / "dataset.json").write_text(json.dumps(description))
        report = evaluate_model(Dataset.load(folder), "test", KnowingDetector(card, truths), tmp_path / "out")
        assert report["mean_position_baseline"] is None
        assert "Mean position" not in (tmp_path / "out" / "index.html").read_text()

    def test_every_detection_gets_the_seed(self, folder, card, truths):
        detector = KnowingDetector(card, truths)
        report_of(folder, detector, seed=7)
        assert detector.seeds == [7, 7, 7]


class TestCasesThatGoWrong:
    def test_one_bad_case_never_stops_the_others(self, folder, card, truths):
        (folder / "volumes" / "three & four.nii.gz").write_bytes(b"not an image")
        report = report_of(folder, KnowingDetector(card, truths, refuses=("one",)))
        overall = report["overall"]
        assert [one["case"] for one in report["failed"]] == ["one", "three & four"]
        assert report["failed"][0]["message"] == "one: too dark; choose another."
        assert (overall["points"], overall["failed"]) == (9, 6)
        assert overall["sdr"]["4.0"] == pytest.approx(1 / 3)
        assert overall["mre_mm"] == pytest.approx((3 + 3 + 0.5) / 3)

    def test_an_unexpected_error_is_one_sentence(self, folder, card, truths):
        report = report_of(folder, KnowingDetector(card, truths, breaks=("two",)))
        (failure,) = report["failed"]
        assert failure["case"] == "two"
        assert failure["message"].startswith("An unexpected failure (RuntimeError: out of memory): please report it")

    def test_a_report_can_be_written_when_every_case_failed(self, folder, tmp_path, card, truths):
        detector = KnowingDetector(card, truths, breaks=tuple(truths))
        report = evaluate_model(Dataset.load(folder), "test", detector, tmp_path / "out")
        assert report["overall"]["mre_mm"] is None
        assert report["overall"]["sdr"]["4.0"] == 0.0
        assert (tmp_path / "out" / "index.html").is_file()

    def test_cancelling_stops_at_once(self, folder, tmp_path, card, truths):
        class CancelledDetector(KnowingDetector):
            def detect(self, _volume, **_):
                raise DetectionCancelled

        with pytest.raises(DetectionCancelled):
            evaluate_model(Dataset.load(folder), "test", CancelledDetector(card, truths), tmp_path / "out")
        assert not (tmp_path / "out" / "report.json").exists()


class TestRefusals:
    def test_a_model_for_other_landmarks(self, folder, card, truths):
        vertebra = (replace(card.landmarks[0], label="L1"),)
        other = replace(card, landmarks=vertebra, interchangeable=(), planes=(), measurements=())
        with pytest.raises(LandmarkDetectionError, match="tiny-brain finds none of the landmarks of tiny"):
            report_of(folder, KnowingDetector(other, truths))

    def test_a_split_without_truth(self, folder, card, truths):
        for name in ("one", "two", "three & four"):
            (folder / "landmarks" / f"{name}.mrk.json").unlink()
        with pytest.raises(LandmarkDetectionError, match='The split "test" of tiny has no landmarks'):
            report_of(folder, KnowingDetector(card, truths))

    def test_an_output_that_cannot_be_written_is_found_out_before_the_work(self, folder, tmp_path, card, truths):
        (tmp_path / "file").write_text("in the way")
        detector = KnowingDetector(card, truths)
        with pytest.raises(LandmarkDetectionError, match="cannot be written to"):
            evaluate_model(Dataset.load(folder), "test", detector, tmp_path / "file")
        assert detector.seeds == []

    def test_a_folder_of_predictions_that_is_not_there(self, folder, tmp_path):
        with pytest.raises(LandmarkDetectionError, match="There is no folder of predictions"):
            report_of(folder, tmp_path / "nowhere")


class TestPredictionFolders:
    def test_markups_are_compared_and_absent_cases_fail(self, folder, tmp_path, truths):
        predictions = tmp_path / "mine"
        write_markups(moved(truths["one"], 0, 1, 0), predictions / "one.mrk.json")
        write_markups(moved(truths["two"], 0, 2, 0), predictions / "two.fcsv")
        report = report_of(folder, predictions)
        assert report["model"]["name"] == "mine"
        assert (report["overall"]["points"], report["overall"]["failed"]) == (9, 3)
        assert report["overall"]["mre_mm"] == pytest.approx(1.5, abs=1e-3)
        assert [one["case"] for one in report["failed"]] == ["three & four"]

    def test_a_missing_landmark_without_a_position_fails(self, folder, tmp_path, truths):
        predictions = tmp_path / "mine"
        for name in ("one", "two", "three & four"):
            write_markups(LandmarkSet({**truths[name], "LE": None}), predictions / f"{name}.mrk.json")
        overall = report_of(folder, predictions)["overall"]
        assert (overall["missing"], overall["failed"]) == (3, 3)
        assert overall["sdr"]["4.0"] == pytest.approx(2 / 3)

    def test_saved_detections_count_with_their_best_estimates(self, folder, tmp_path, card, truths):
        detector = KnowingDetector(card, truths, missing=("AC",))
        live = report_of(folder, detector)
        results = ResultsFolder(tmp_path / "results")
        for case in Dataset.load(folder).split("test"):
            results.write_case(case.name, detector.detect(case.read_volume()))
        saved = report_of(folder, results.folder)
        for key in ("model", "per_landmark", "overall"):
            assert saved[key] == live[key]


class TestFiles:
    def test_nothing_else_is_left_behind(self, output):
        assert sorted(path.name for path in output.iterdir()) == [
            "cases.csv",
            "errors.csv",
            "index.html",
            "landmarks.csv",
            "report.json",
        ]

    def test_the_report_is_strict_json_with_the_agreed_keys(self, output):
        report = json.loads((output / "report.json").read_text(), parse_constant=pytest.fail)
        assert {"cases", "landmarks", "overall", "per_landmark", "observers", "failed", "model"} <= set(report)
        summary = {"mre_mm", "sd_mm", "median_mm", "iqr_mm", "p95_mm", "max_mm", "sdr", "missing", "seconds_per_case"}
        for part in ("overall", "mean_position_baseline", "translated_mean_shape_oracle"):
            assert summary <= set(report[part])
        assert all(summary <= set(one) for one in report["per_landmark"].values())

    def test_every_counted_point_has_a_row(self, output):
        rows = list(csv.DictReader((output / "errors.csv").read_text().splitlines()))
        by_point = {(row["case"], row["label"]): row for row in rows}
        assert len(rows) == len(by_point) == 9
        assert by_point["one", "LE"]["status"] == "missing"
        assert by_point["two", "AC"]["status"] == "failed"
        assert by_point["two", "AC"]["error_mm"] == by_point["two", "AC"]["l"] == ""
        found = by_point["one", "AC"]
        assert float(found["error_mm"]) == 3.0
        assert [float(found[axis]) for axis in ("l", "p", "s")] == [-27.0, -30.0, 20.0]
        assert [float(found[axis]) for axis in ("true_l", "true_p", "true_s")] == [-24.0, -30.0, 20.0]

    def test_absent_landmarks_have_a_row_too_and_every_row_its_doubts(self, folder, tmp_path, card, truths):
        write_markups(LandmarkSet({**truths["one"], "LE": None}), folder / "landmarks" / "one.mrk.json")
        evaluate_model(Dataset.load(folder), "test", KnowingDetector(card, radius90_mm=3.5), tmp_path)
        rows = list(csv.DictReader((tmp_path / "errors.csv").read_text().splitlines()))
        by_point = {(row["case"], row["label"]): row for row in rows}
        absent, there = by_point["one", "LE"], by_point["two", "LE"]
        assert (absent["truth"], absent["status"], absent["error_mm"]) == ("absent", "detected", "")
        assert (there["truth"], there["nearest_truth"], there["presence"]) == ("present", "LE", "1.0000")
        assert (there["spread_mm"], there["radius90_mm"]) == ("1.7321", "3.5000")
        page = (tmp_path / "index.html").read_text()
        assert "Absent landmarks flagged (recall)" in page
        assert "Calibrated radius of 90 %" in page

    def test_every_case_and_landmark_has_a_row(self, output):
        cases, landmarks = (
            list(csv.DictReader((output / f"{name}.csv").read_text().splitlines())) for name in ("cases", "landmarks")
        )
        by_case = {row["case"]: row for row in cases}
        assert (by_case["one"]["mean_mm"], by_case["one"]["worst_landmark"]) == ("2.1667", "AC")
        assert (by_case["two"]["failed"], by_case["two"]["message"]) == ("3", "two: too dark; choose another.")
        assert [row["label"] for row in landmarks] == ["AC", "PC", "LE"]
        assert (landmarks[0]["bias_right_mm"], landmarks[0]["right_level_rate"]) == ("3.0000", "0.6667")

    def test_the_page_needs_no_other_file_and_escapes_names(self, output):
        page = (output / "index.html").read_text()
        sources = re.findall(r'(?:src|href)="([^"]*)"', page)
        assert len(sources) == 7, "five figures and the two cases that have a picture"
        assert all(source.startswith("data:image/png;base64,") for source in sources)
        assert "three &amp; four" in page
        assert "three & four" not in page

    def test_the_page_says_what_went_wrong(self, output):
        assert "two: too dark; choose another." in (output / "index.html").read_text()


def test_progress_goes_from_nothing_to_all(folder, card, truths):
    heard = []
    report_of(folder, KnowingDetector(card, truths), progress=lambda *news: heard.append(news))
    assert [fraction for fraction, _ in heard] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert [text for _, text in heard[:2]] == ["one", "two"]


def test_the_printed_summary_has_the_baselines_beside_the_model(folder, card, truths):
    report = report_of(folder, KnowingDetector(card, truths, refuses=("two",)))
    lines = format_summary(report).splitlines()
    assert lines[0] == "tiny-brain 1.0.0 on tiny, split test: 3 cases, 3 landmarks, 9 points"
    rows = {line.split("  ")[0]: line for line in lines}
    assert "2.17 ± 1.29" in rows["tiny-brain"]
    assert "3.00 ± " in rows["Mean position (no image)"]
    assert "1.00 ± 0.00" in rows["Observer ann"]
    assert "two: two: too dark; choose another." in lines[-1]
    assert "Right level: 66.7 % of the points, 2 of 3 cases in full" in lines
    assert any(line.startswith("Regions of the covariance hold the truth in: 90 %: ") for line in lines)
