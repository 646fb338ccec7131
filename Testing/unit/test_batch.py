"""A run over cases whose detector fails in ways nobody foresaw."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
import torch
from command_line import files_below, write_scan
from tiny_detector import write_tiny_bundle

from LandmarkDetectionLib.batch import DetectionRun
from LandmarkDetectionLib.detectors.pin import PINDetector
from LandmarkDetectionLib.errors import DetectionCancelled
from LandmarkDetectionLib.inputs import find_cases
from LandmarkDetectionLib.models.bundle import load_bundle


class FailingDetector(PINDetector):
    """Fails on the case named "second" with a given exception."""

    def __init__(self, model: Path, error: BaseException) -> None:
        super().__init__(load_bundle(model), torch.device("cpu"))
        self._error = error

    def detect(self, volume, **options):
        if volume.name == "second":
            raise self._error
        return super().detect(volume, **options)


def run_with(error: BaseException, folder: Path) -> dict[str, dict[str, str]]:
    """Rows of cases.csv by case, after a run over three scans."""
    for name in ("first", "second", "third"):
        write_scan(folder / "in" / f"{name}.nrrd")
    detector = FailingDetector(write_tiny_bundle(folder), error)
    with DetectionRun(folder / "out", with_planes=True, resume=False, seed=0) as detection_run:
        for case in find_cases(folder / "in"):
            detection_run.process(case, detector)
    with (folder / "out" / "cases.csv").open(newline="", encoding="utf-8") as stream:
        return {row["case"]: row for row in csv.DictReader(stream)}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("shapes (3,)\nand (4,) differ"), "ValueError: shapes (3,) and (4,) differ"),
        (MemoryError(), "memory does not suffice"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "memory does not suffice"),
        (torch.OutOfMemoryError("CUDA out of memory"), "use --device cpu"),
        (ModuleNotFoundError("No module named 'scipy'", name="scipy"), '"scipy" is missing'),
    ],
)
def test_the_others_go_on_and_the_sentence_is_in_the_table(tmp_path, error, words):
    cases = run_with(error, tmp_path)
    assert [row["status"] for row in cases.values()] == ["succeeded", "failed", "succeeded"]
    assert words in cases["second"]["message"]
    assert "\n" not in cases["second"]["message"]
    assert cases["second"]["message"].endswith(".")
    assert words in (tmp_path / "out" / "index.html").read_text(encoding="utf-8").replace("&#34;", '"')


def test_the_traceback_of_a_mistake_is_in_a_log_that_the_sentence_names(tmp_path):
    message = run_with(ValueError("a mistake"), tmp_path)["second"]["message"]
    log = tmp_path / "out" / "second.log"
    assert str(log) in message
    assert "Traceback" in log.read_text()
    assert {name for name in files_below(tmp_path / "out") if "second" in name} == {"second.log"}


def test_the_log_goes_when_the_case_succeeds(tmp_path):
    run_with(ValueError("a mistake"), tmp_path)
    detector = PINDetector(load_bundle(tmp_path / "tiny"), torch.device("cpu"))
    with DetectionRun(tmp_path / "out", with_planes=False, resume=True, seed=0) as detection_run:
        results = [detection_run.process(case, detector) for case in find_cases(tmp_path / "in")]
    assert not any(result.failure for result in results)
    assert not (tmp_path / "out" / "second.log").exists()


def test_a_cancelled_run_stops_and_has_its_page(tmp_path):
    with pytest.raises(DetectionCancelled):
        run_with(DetectionCancelled(), tmp_path)
    assert (tmp_path / "out" / "index.html").read_text(encoding="utf-8").count("<h3>") == 1


def shown(folder: Path) -> list[str]:
    """Names of the cases on the index page that succeeded, in order."""
    return re.findall(r"<h3>(.*)</h3>", (folder / "index.html").read_text(encoding="utf-8"))


def test_the_page_shows_the_cases_of_earlier_runs_too(tmp_path):
    run_with(ValueError("a mistake"), tmp_path)
    scan = write_scan(tmp_path / "later" / "fourth.nrrd")
    other = PINDetector(load_bundle(write_tiny_bundle(tmp_path, "other")), torch.device("cpu"))
    with DetectionRun(tmp_path / "out", with_planes=False, resume=False, seed=0) as detection_run:
        detection_run.process(find_cases(scan)[0], other)
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert set(shown(tmp_path / "out")) == {"first", "third", "fourth"}
    assert "other 1.0, tiny 1.0" in page
    assert "a mistake" in page


def test_an_earlier_case_whose_detection_was_removed_is_told_to_be_done_again(tmp_path):
    run_with(ValueError("a mistake"), tmp_path)
    (tmp_path / "out" / "third.detection.json").unlink()
    with DetectionRun(tmp_path / "out", with_planes=False, resume=False, seed=0):
        pass
    assert shown(tmp_path / "out") == ["first"]
    assert "detect the landmarks of this case again" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
