"""The order of the index page's cases, on detections whose uncertainty is known."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from tiny_detector import write_tiny_bundle

from LandmarkDetectionLib.case_result import CaseResult
from LandmarkDetectionLib.index_page import write_index_page
from LandmarkDetectionLib.landmarks import DetectedLandmark, Detection, Doubt
from LandmarkDetectionLib.measurements import MeasurementDefinition
from LandmarkDetectionLib.models.bundle import load_card


def detection(spread_mm: float, missing: tuple[str, ...] = (), review: tuple[str, ...] = ()) -> Detection:
    """Four landmarks, the last as uncertain as said; two models placed each, 7 mm apart."""
    positions = {"AC": (0, 12, 0), "PC": (0, -12, 0), "RE": (15, 15, -8), "LE": (-15, 15, -8)}
    landmarks = tuple(
        DetectedLandmark(
            label,
            np.array(position, dtype=float),
            np.diag([spread_mm**2 if label == "LE" else 0.01, 0.0, 0.0]),
            missing=label in missing,
            disagreement_mm=7.0,
            doubts=(Doubt.DISAGREEMENT,) * (label in review),
        )
        for label, position in positions.items()
    )
    return Detection(landmarks, "tiny", "1.0", "0" * 64, "cpu", 0.5)


def page_of(folder: Path, detections: dict[str, Detection | None]) -> str:
    card = load_card(write_tiny_bundle(folder))
    card = replace(card, measurements=(MeasurementDefinition("AC-PC", "", "distance", ("AC", "PC"), "mm"),))
    results = [
        CaseResult(name, Path(name), card, found, "" if found else f"{name} is damaged.")
        for name, found in detections.items()
    ]
    write_index_page(folder, results)
    return (folder / "index.html").read_text(encoding="utf-8")


def test_the_most_uncertain_case_comes_first(tmp_path):
    page = page_of(tmp_path, {"calm": detection(0.5), "wild": detection(9.0), "middling": detection(2.0)})
    assert re.findall(r"<h3>(.*)</h3>", page) == ["wild", "middling", "calm"]


def test_a_case_with_missing_landmarks_comes_before_any_spread(tmp_path):
    page = page_of(tmp_path, {"wild": detection(9.0), "lacking": detection(0.5, missing=("AC",))})
    assert re.findall(r"<h3>(.*)</h3>", page) == ["lacking", "wild"]
    assert "missing: AC" in page
    assert "needs the missing landmark &#34;AC&#34;" in page


def test_a_case_on_which_models_disagree_comes_before_all(tmp_path):
    cases = {
        "wild": detection(9.0),
        "lacking": detection(0.5, missing=("AC",)),
        "disputed": detection(0.5, review=("AC", "LE")),
    }
    page = page_of(tmp_path, cases)
    assert re.findall(r"<h3>(.*)</h3>", page) == ["disputed", "lacking", "wild"]
    assert page.count("needs review: ") == 1
    assert '<span class="failure">review AC first</span>' in page
    assert "needs review: AC (models disagree, 7.0 mm apart), LE (models disagree, 7.0 mm apart)" in page


def test_a_case_names_its_least_certain_landmarks_and_its_measurements(tmp_path):
    page = page_of(tmp_path, {"wild": detection(9.0)})
    assert 'spread: LE <span class="spread">9.0 mm</span>' in page
    assert 'AC-PC: <span class="spread">24.0 ± 0.0 mm</span>' in page


def test_a_model_that_was_never_calibrated_is_said_to_guess(tmp_path):
    calm = detection(0.5)
    marks = tuple(replace(mark, radius90_mm=2.0) for mark in calm.landmarks)
    assert "a guess of tiny 1.0: not calibrated" in page_of(tmp_path, {"calm": calm})
    assert "not calibrated" not in page_of(tmp_path, {"calm": replace(calm, landmarks=marks)})


def test_a_run_whose_cases_all_failed_has_a_page_too(tmp_path):
    page = page_of(tmp_path, {"cut.nrrd": None})
    assert "cut.nrrd is damaged." in page
    assert "<h3>" not in page


def test_a_page_without_thumbnails_shows_no_broken_pictures(tmp_path):
    page = page_of(tmp_path, {"calm": detection(0.5)})
    assert "<img" not in page
    assert "no picture" in page
