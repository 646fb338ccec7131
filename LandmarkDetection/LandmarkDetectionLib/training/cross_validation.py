"""Cross-validation: every case is detected by a model that has not seen it, which tells how far to trust the method."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from tqdm import tqdm

from ..detectors.registry import load_detector
from ..errors import LandmarkDetectionError
from ..evaluation.cropping import short_volume
from ..files.atomic import whole_file
from ..files.dataset import Dataset
from ..files.results import DETECTION_SUFFIX, ResultsFolder, read_detection
from ..models.bundle import ModelBundle, load_bundle
from ..models.bundle_files import CARD_FILE
from ..models.card import ModelCard
from ..models.record import parse_record, record_to_json
from .calibration import HeldOut
from .cases import CaseReader, TrainingCase
from .folders import fold_bundle, fold_files
from .folds import Fold, assign_folds
from .log_files import FOLDS_FILE

REPORT_FOLDER = "cross-validation"


@dataclass(frozen=True)
class FoldPlan:
    """How the train and validation cases of a dataset are divided.

    Attributes:
        seed: of the division and detections.
        folds: the cases.
        fingerprint: of what is trained in each of them; empty where it was not kept.
    """

    seed: int
    folds: tuple[Fold, ...]
    fingerprint: str = ""


@dataclass(frozen=True, eq=False)
class FoldResult:
    """What the model of a fold finds in the cases held out from it: in whole volumes, and in volumes cut short."""

    fold: Fold
    card: ModelCard
    whole: tuple[HeldOut, ...]
    short: tuple[HeldOut, ...]


def forget_folds(folder: Path) -> None:
    """Remove what an earlier training left about folds, lest a later resume take it for its own."""
    (folder / FOLDS_FILE).unlink(missing_ok=True)
    for leftover in [*fold_files(folder), *folder.glob(REPORT_FOLDER)]:
        shutil.rmtree(leftover)


def folds_begun(folder: Path) -> int | None:
    """How many folds the training of this folder was begun with; None if with none.

    Raises:
        LandmarkDetectionError: if its division is damaged.
    """
    return len(read_plan(folder).folds) if (folder / FOLDS_FILE).exists() else None


def folds_of(dataset: Dataset, count: int, seed: int) -> tuple[Fold, ...]:
    """The train and validation cases of a dataset in folds, of which as many choose the weights as its own splits say.

    Raises:
        LandmarkDetectionError: as `assign_folds`, or if the dataset lacks one of these splits.
    """
    training, validation = (dataset.split(split) for split in ("train", "validation"))
    subjects = {case.name: case.subject for case in [*training, *validation]}
    return assign_folds(subjects, count, len(validation) / max(len(subjects), 1), seed)


def plan_folds(dataset: Dataset, count: int, folder: Path, seed: int, fingerprint: str = "") -> FoldPlan:
    """Divide the cases, and keep the division in the folder of the training.

    Args:
        dataset: with the splits train and validation.
        count: how many folds.
        folder: for everything about the folds.
        seed: of the division.
        fingerprint: of what is to be trained, see `training_fingerprint`.

    Raises:
        LandmarkDetectionError: if the cases are too few, or the folder holds folds of other cases, or of another
            method, start, settings or points.
    """
    plan = FoldPlan(seed, folds_of(dataset, count, seed), fingerprint)
    file = folder / FOLDS_FILE
    if file.exists():
        begun = read_plan(folder)
        if replace(begun, fingerprint="") != replace(plan, fingerprint=""):
            message = f"{file} divides the cases otherwise; begin this training anew, or choose another name."
            raise LandmarkDetectionError(message)
        if begun.fingerprint not in ("", fingerprint):
            message = (
                f"{folder}: its folds were begun with another method, other settings, another start or other points; "
                "choose what they were begun with, begin this training anew, or choose another name."
            )
            raise LandmarkDetectionError(message)
    with whole_file(file) as path:
        path.write_text(json.dumps(record_to_json(plan), indent=1), encoding="utf-8")
    return plan


def read_plan(folder: Path) -> FoldPlan:
    """The division that was kept in the folder of a training.

    Raises:
        LandmarkDetectionError: if there is none, or it is damaged.
    """
    file = folder / FOLDS_FILE
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"{file} cannot be read ({error}); train with --folds first."
        raise LandmarkDetectionError(message) from error
    return parse_record(FoldPlan, content, str(file))


def run_folds(
    plan: FoldPlan,
    reader: CaseReader,
    folder: Path,
    *,
    device: torch.device,
    train_model: Callable[[Fold, Path], object] | None = None,
) -> list[FoldResult]:
    """Train the models that are not there yet, and detect in their held-out cases what is not detected yet.

    Args:
        plan: the folds.
        reader: of their cases.
        folder: of the training: gets a bundle for each, with the detections beside it.
        device: to detect on.
        train_model: writes the bundle of a fold; None if all of them are there.
    """
    results = []
    for number, fold in enumerate(plan.folds, 1):
        output = fold_bundle(folder, number)
        if train_model is not None and not (output / CARD_FILE).exists():
            train_model(fold, output)
        bundle = load_bundle(output)
        cases = reader.named(fold.held_out)
        whole, short = (
            _detected(bundle, some, output.with_name(f"{output.name}.{kind}"), device=device, seed=plan.seed)
            for kind, some in (("detections", cases), ("short-detections", _cut_short(cases, plan.seed)))
        )
        results.append(FoldResult(fold, bundle.card, whole, short))
    return results


def _cut_short(cases: Sequence[TrainingCase], seed: int) -> list[TrainingCase]:
    rests = [(case, short_volume(case.name, case.volume, case.landmarks, seed)) for case in cases]
    return [TrainingCase(case.name, rest, case.landmarks) for case, rest in rests if rest is not None]


def _detected(
    bundle: ModelBundle, cases: Sequence[TrainingCase], folder: Path, *, device: torch.device, seed: int
) -> tuple[HeldOut, ...]:
    """The detections of cases, kept in a folder; a case in which nothing can be detected is left out."""
    results = ResultsFolder(folder)
    detector = load_detector(bundle, device.type)
    found = []
    for case in tqdm(cases, desc=f"Detecting for {folder.name}", unit="case", leave=False, disable=None):
        if not results.is_complete(case.name, bundle.weights_sha256):
            try:
                results.write_case(case.name, detector.detect(case.volume, seed=seed))
            except LandmarkDetectionError as error:
                results.write_failure(case.name, str(error), str(device))
                continue
        found.append(HeldOut(case, read_detection(folder / f"{case.name}{DETECTION_SUFFIX}")))
    return tuple(found)
