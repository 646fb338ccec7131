"""Several methods on the same cases: their tables side by side, the tests between them, and the files."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from knowing_detector import KnowingDetector, write_dataset
from tiny_models import TINY_CARD

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.evaluation.comparison import compared, method_titles
from LandmarkDetectionLib.evaluation.comparison_files import method_folders
from LandmarkDetectionLib.evaluation.comparison_tables import format_comparison
from LandmarkDetectionLib.evaluation.evaluate import evaluate, evaluate_models
from LandmarkDetectionLib.evaluation.predictions import PredictorIdentity
from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.models.card import ModelCard

CARD = replace(ModelCard.from_json(TINY_CARD), shape_model=None, calibration=None)
SHARP = KnowingDetector(replace(CARD, name="sharp"), radius90_mm=3.5)
BLUNT_OFFSETS_MM = {"AC": (5.0, 0.0, 0.0), "PC": (6.0, 0.0, 0.0), "LE": (0.0, 0.0, 4.5)}
BLUNT = KnowingDetector(replace(CARD, name="blunt"), offsets_mm=BLUNT_OFFSETS_MM, refuses=("two",))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    return Dataset.load(write_dataset(tmp_path_factory.mktemp("comparison") / "data"))


@pytest.fixture(scope="module")
def output(dataset, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    evaluate_models(dataset, "test", [SHARP, BLUNT], folder)
    return folder


@pytest.fixture(scope="module")
def report(output) -> dict:
    return json.loads((output / "report.json").read_text(), parse_constant=pytest.fail)


def test_every_method_is_there_with_all_its_numbers(dataset, report):
    assert (report["dataset"], report["split"], report["cases"], report["landmarks"]) == ("tiny", "test", 3, 3)
    assert list(report["methods"]) == ["sharp", "blunt"]
    assert report["methods"]["sharp"] == json.loads(json.dumps(evaluate(dataset, "test", SHARP).report))


def test_methods_are_tested_on_the_cases_that_both_have(report):
    case, point = report["tests"]
    assert (case["first"], case["second"], case["unit"], case["pairs"]) == ("sharp", "blunt", "case", 2)
    assert case["mean_difference_mm"] == pytest.approx((3.0 - 5.0 + 3.0 - 6.0 + 0.5 - 4.5) / 3)
    assert (point["pairs"], point["p"]) == (6, pytest.approx(2 / 2**6))


def test_a_single_report_tests_the_method_against_its_rivals(report):
    pairs = [(test["unit"], test["second"]) for test in report["methods"]["sharp"]["tests"]]
    rivals = ["Mean position (no image)", "Mean shape at the true centroid (oracle)", "Observer ann"]
    assert pairs == [(unit, rival) for unit in ("case", "point") for rival in rivals]


def test_only_landmarks_that_all_methods_know_are_compared(dataset):
    partial = KnowingDetector(
        replace(CARD, name="partial", landmarks=CARD.landmarks[1:], planes=(), measurements=(), interchangeable=())
    )
    evaluations = {"sharp": evaluate(dataset, "test", SHARP), "partial": evaluate(dataset, "test", partial)}
    comparison = compared(evaluations)
    assert comparison.report["labels"] == ["PC", "LE"]
    assert comparison.report["landmarks_not_compared"] == ["AC"]
    assert comparison.report["methods"]["sharp"]["overall"]["points"] == 6
    assert comparison.report["methods"]["sharp"]["overall"]["mre_mm"] == pytest.approx(1.75)


def test_methods_without_a_common_landmark_are_refused(dataset):
    def knowing(label: str) -> KnowingDetector:
        marks = tuple(mark for mark in CARD.landmarks if mark.label == label)
        return KnowingDetector(replace(CARD, landmarks=marks, planes=(), measurements=(), interchangeable=()))

    evaluations = {label: evaluate(dataset, "test", knowing(label)) for label in ("AC", "LE")}
    with pytest.raises(LandmarkDetectionError, match="no landmark in common"):
        compared(evaluations)


def test_models_of_the_same_name_are_numbered_and_every_title_has_its_own_folder():
    titles = method_titles([PredictorIdentity(name) for name in ("pin", "cascade", "pin")])
    assert titles == ["pin (1)", "cascade", "pin (2)"]
    assert method_folders(titles) == {"pin (1)": "pin_1", "cascade": "cascade", "pin (2)": "pin_2"}


def test_titles_that_no_folder_may_have_are_numbered():
    assert method_folders(["..", "A b", "a/b"]) == {"..": "1", "A b": "A_b", "a/b": "a_b_3"}


def test_each_report_lies_in_its_own_folder(output, report):
    files = sorted(path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file())
    own = ["cases.csv", "errors.csv", "index.html", "landmarks.csv", "report.json"]
    together = ["cases.csv", "index.html", "methods.csv", "report.json", "tests.csv"]
    assert files == sorted([*together, *(f"{name}/{file}" for name in ("sharp", "blunt") for file in own)])
    assert json.loads((output / "sharp" / "report.json").read_text()) == report["methods"]["sharp"]


def test_the_tables_for_spreadsheets(output):
    tables = {
        name: list(csv.DictReader((output / f"{name}.csv").read_text().splitlines()))
        for name in ("methods", "cases", "tests")
    }
    assert [row["method"] for row in tables["methods"]] == ["sharp", "blunt"]
    assert float(tables["methods"][1]["mre_mm"]) == pytest.approx(15.5 / 3, abs=1e-4)
    by_case = {row["case"]: row for row in tables["cases"]}
    assert (by_case["two"]["sharp"], by_case["two"]["blunt"]) == ("2.1667", "")
    assert tables["tests"][0]["unit"] == "case"


def test_the_page_links_the_reports_and_needs_no_other_file(output):
    page = (output / "index.html").read_text()
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    links = [address for address in addresses if not address.startswith("data:image/png;base64,")]
    assert links == ["sharp/index.html", "blunt/index.html"]
    assert all((output / link).is_file() for link in links)


def test_the_printed_comparison_has_every_method_and_what_went_wrong(report):
    lines = format_comparison(report).splitlines()
    assert lines[0] == "tiny, split test: 3 cases, 3 landmarks"
    assert any(line.startswith("sharp ") and "2.17 ± 1.25" in line for line in lines)
    assert any(line.startswith("Observer ann") for line in lines)
    assert any(line.startswith("sharp − blunt") and line.endswith("not decided") for line in lines)
    assert lines[-1] == "blunt, two: two: too dark; choose another."


def test_progress_goes_once_from_nothing_to_all(dataset, tmp_path):
    heard = []
    models = [KnowingDetector(replace(CARD, name=name), breaks=("one", "two", "three & four")) for name in "ab"]
    evaluate_models(dataset, "test", models, tmp_path, progress=lambda *news: heard.append(news))
    fractions = [fraction for fraction, _ in heard]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
