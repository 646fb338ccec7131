"""The page a run ends with: every case with a picture, the ones to look at first on top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from .case_result import CaseResult, plane_image_stem
from .detection_text import measured, review_first
from .files.atomic import whole_file
from .files.results import CASES_FILE, DETECTION_SUFFIX, MARKUPS_SUFFIX, PLANES_SUFFIX, RESULTS_FILE
from .landmarks import DetectedLandmark, Doubt
from .models.card import NOT_A_MEDICAL_DEVICE
from .pages import render_page

INDEX_FILE = "index.html"
_THUMBNAILS_FOLDER = "thumbnails"
_DUBIOUS_LANDMARKS = 3


@dataclass(frozen=True)
class Link:
    """A file of the results folder: its words on the page, and its address from there."""

    text: str
    address: str


@dataclass(frozen=True)
class Tile:
    """A case that succeeded, as the page shows it."""

    name: str
    model: str
    picture: str
    """Address of the thumbnail; empty if there is none."""
    least_certain: Sequence[tuple[str, str]]
    """Labels with their spreads."""
    review: Sequence[str]
    """Labels of the landmarks that a person should look at, and why."""
    missing: Sequence[str]
    measurements: Sequence[tuple[str, str, str]]
    notes: Sequence[str]
    links: Sequence[Link]
    planes: Sequence[Link]


def thumbnail_path(folder: Path, case_name: str) -> Path:
    """Where the picture of a case lies."""
    return folder / _THUMBNAILS_FOLDER / f"{case_name}.png"


def write_index_page(folder: Path, results: Sequence[CaseResult]) -> None:
    """Write index.html: failed cases with their sentence, then the others, most uncertain first.

    Cases with landmarks that need review come first, those with missing ones next, before any spread. The pictures and
    files that the page shows must be there already.

    Raises:
        LandmarkDetectionError: if the folder cannot be written.
    """
    failed = [result for result in results if result.detection is None]
    succeeded = sorted((result for result in results if result.detection is not None), key=_doubt, reverse=True)
    models = dict.fromkeys(result.model for result in results if result.model)
    page = render_page(
        "run.html",
        models=list(models),
        failed=failed,
        guessing=list(dict.fromkeys(result.model for result in succeeded if not result.detection.is_calibrated)),
        tiles=[_tile(folder, result) for result in succeeded],
        tables=[Link(file, file) for file in (RESULTS_FILE, CASES_FILE)],
        not_a_medical_device=NOT_A_MEDICAL_DEVICE,
    )
    with whole_file(folder / INDEX_FILE) as path:
        path.write_text(page, encoding="utf-8")


def _doubt(result: CaseResult) -> tuple[int, int, float]:
    """More is more doubtful."""
    marks = result.detection.landmarks
    return sum(mark.needs_review for mark in marks), sum(mark.missing for mark in marks), result.detection.spread_mm


def _tile(folder: Path, result: CaseResult) -> Tile:
    found = [mark for mark in result.detection.landmarks if not mark.missing]
    least_certain = sorted(found, key=lambda mark: mark.spread_mm, reverse=True)[:_DUBIOUS_LANDMARKS]
    thumbnail = thumbnail_path(folder, result.name)
    planes = [(plane.name, f"{plane_image_stem(result.name, plane.name)}.png") for plane in result.planes]
    files = {"landmarks": MARKUPS_SUFFIX, "planes": PLANES_SUFFIX, "detection": DETECTION_SUFFIX}
    links = [(text, f"{result.name}{suffix}") for text, suffix in files.items()]
    return Tile(
        name=result.name,
        model=f"{result.detection.model_name}, {result.detection.seconds:.2f} s on {result.detection.device}",
        picture=quote(f"{_THUMBNAILS_FOLDER}/{thumbnail.name}") if thumbnail.is_file() else "",
        least_certain=[(mark.label, f"{mark.spread_mm:.1f} mm") for mark in least_certain],
        review=[_doubts(mark) for mark in result.detection.landmarks if mark.needs_review],
        missing=[mark.label for mark in result.detection.landmarks if mark.missing],
        measurements=[(one.name, measured(one), review_first(one)) for one in result.measurements],
        notes=result.notes,
        links=_present(folder, links),
        planes=_present(folder, planes),
    )


def _doubts(mark: DetectedLandmark) -> str:
    """A landmark and why to look at it."""
    distance = "" if mark.disagreement_mm is None else f", {mark.disagreement_mm:.1f} mm apart"
    reasons = [doubt.value + distance * (doubt is Doubt.DISAGREEMENT) for doubt in mark.doubts]
    return f"{mark.label} ({'; '.join(reasons)})"


def _present(folder: Path, files: Sequence[tuple[str, str]]) -> list[Link]:
    return [Link(text, quote(name)) for text, name in files if (folder / name).is_file()]
