"""Cross-validation judges a method on cases its models have not seen, calibrates by them, and survives a kill."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from blob_dataset import COUNTS, LABELS, blob_case, write_blob_dataset, write_description, write_recipe

from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.files.markups import read_markups, write_markups
from LandmarkDetectionLib.files.results import read_detection
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.models.bundle import load_bundle
from LandmarkDetectionLib.training.cross_validation import plan_folds
from LandmarkDetectionLib.training.run import train

HELD_OUT = COUNTS["train"] + COUNTS["validation"]
FOLDS = 3


def recipe(folder: Path, steps: int) -> Path:
    return write_recipe(folder / f"{steps}.json", optimisation={"steps": steps, "validate_every": steps})


def train_folds(dataset: Path, output: Path, config: Path, **arguments):
    return train(dataset, "pin", output, preset="quick", config=config, device="cpu", folds=FOLDS, **arguments)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return write_blob_dataset(tmp_path_factory.mktemp("data") / "blobs")


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory) -> Path:
    """The folder of a model trained with three folds."""
    folder = tmp_path_factory.mktemp("trained")
    train_folds(dataset, folder / "model", recipe(folder, 40))
    return folder / "model"


def work_of(output: Path) -> Path:
    return output.with_name(f"{output.name}.training")


def plan_of(output: Path) -> list[dict[str, list[str]]]:
    return json.loads((work_of(output) / "folds.json").read_text())["folds"]


def test_every_fold_has_a_model_of_its_own_that_detected_what_was_held_out(trained):
    folds = plan_of(trained)
    assert sorted(case for fold in folds for case in fold["held_out"]) == sorted(f"case{n}" for n in range(HELD_OUT))
    for number, fold in enumerate(folds, 1):
        bundle = load_bundle(work_of(trained) / f"fold-{number}")
        assert bundle.card.calibration is None
        assert bundle.card.training.cases == len(fold["training"])
        assert f"{len(fold['choosing'])} validation cases" in bundle.card.training.notes
        for kind in ("detections", "short-detections"):
            found = sorted((work_of(trained) / f"fold-{number}.{kind}").glob("*.detection.json"))
            assert [file.name.removesuffix(".detection.json") for file in found] == sorted(fold["held_out"])
            assert {read_detection(file).weights_sha256 for file in found} == {bundle.weights_sha256}


def test_the_final_model_learns_from_the_splits_of_the_dataset(trained):
    card = load_bundle(trained).card
    assert (card.name, card.training.cases) == ("model", COUNTS["train"])
    assert f"{COUNTS['validation']} validation cases" in card.training.notes


def test_the_card_tells_how_far_the_models_erred(trained):
    calibration = load_bundle(trained).card.calibration
    assert calibration.cases == HELD_OUT
    assert set(calibration.radius90_mm) == set(LABELS)
    assert calibration.method.startswith("normalised split conformal prediction, 3 folds over train and validation")
    errors_mm = {label: [] for label in LABELS}
    for number, fold in enumerate(plan_of(trained), 1):
        for name in fold["held_out"]:
            detection = read_detection(work_of(trained) / f"fold-{number}.detections" / f"{name}.detection.json")
            truth = blob_case(int(name.removeprefix("case")))[1]
            for mark in detection.landmarks:
                errors_mm[mark.label].append(np.linalg.norm(mark.position_ras - truth[mark.label]))
    for label, errors in errors_mm.items():
        assert calibration.usual_error_mm[label] == pytest.approx(np.median(errors), rel=1e-3)


def test_radii_and_ellipsoids_of_the_final_model_come_from_the_card(trained):
    volume, _ = blob_case(70)
    bundle = load_bundle(trained)
    as_calibrated = load_detector(bundle, "cpu").detect(volume)
    bare = dataclasses.replace(bundle, card=dataclasses.replace(bundle.card, calibration=None))
    as_found = load_detector(bare, "cpu").detect(volume)
    for mark, raw in zip(as_calibrated.landmarks, as_found.landmarks, strict=True):
        assert raw.radius90_mm is None
        assert mark.radius90_mm == bundle.card.calibration.radius90_of(mark.label, raw.spread_mm)
        assert mark.spread_mm != raw.spread_mm


def test_reports_judge_whole_and_cut_volumes_by_the_other_folds(trained):
    folder = work_of(trained) / "cross-validation"
    whole, short = (json.loads((folder / part / "report.json").read_text()) for part in ("", "cut-short"))
    assert (whole["model"]["name"], whole["split"], whole["cases"]) == ("model", "3 folds", HELD_OUT)
    assert whole["uncertainty"]["radius90"]["points"] == HELD_OUT * len(LABELS)
    assert 0.6 < whole["uncertainty"]["radius90"]["coverage"] <= 1.0
    assert (short["split"], short["cases"]) == ("3 folds, cut short", HELD_OUT)
    assert short["absence"]["absent"] == HELD_OUT
    assert (folder / "index.html").exists()


def test_killed_folds_go_on_where_they_were(tmp_path):
    dataset = write_blob_dataset(tmp_path / "pictures", dimension=2)
    output, config = tmp_path / "killed", recipe(tmp_path, 20)
    program = (
        "import sys; from LandmarkDetectionLib.training.run import train; "
        "train(sys.argv[1], 'pin', sys.argv[2], config=sys.argv[3], device='cpu', preset='quick', folds=3)"
    )
    with (tmp_path / "training.log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-c", program, dataset, output, config], stdout=log, stderr=log)
    first, second = (work_of(output) / f"fold-{number}" for number in (1, 2))
    while not (first / "model.json").exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert process.returncode == -signal.SIGKILL, (tmp_path / "training.log").read_text()
    assert not second.exists()
    trained_at = (first / "model.json").stat().st_mtime_ns
    card = train_folds(dataset, output, config, resume=True)
    assert (first / "model.json").stat().st_mtime_ns == trained_at
    assert card.calibration.cases == HELD_OUT


def test_a_training_that_goes_on_keeps_its_folds_and_calibration(dataset, trained, tmp_path):
    before = load_bundle(trained).card
    config = recipe(tmp_path, 40)
    after = train(dataset, "pin", trained, preset="quick", config=config, device="cpu", resume=True)
    assert after.calibration.radius90_mm == before.calibration.radius90_mm
    assert after.calibration.method == before.calibration.method


@pytest.fixture
def begun(dataset, tmp_path):
    """A model whose cases have been divided, and one fold trained, or so it seems."""
    work = work_of(tmp_path / "model")
    plan_folds(Dataset.load(dataset), FOLDS, work, seed=0)
    (work / "fold-1").mkdir()
    (work / "cross-validation").mkdir()
    return tmp_path / "model"


def test_a_new_training_forgets_the_folds_of_an_old_one(begun, dataset, tmp_path):
    train(dataset, "pin", begun, preset="quick", config=recipe(tmp_path, 2), device="cpu")
    assert not [*work_of(begun).glob("fold*"), *work_of(begun).glob("cross*")]


def test_folds_that_were_divided_otherwise_are_not_resumed(begun, dataset, tmp_path):
    with pytest.raises(LandmarkDetectionError, match="divides the cases otherwise; begin this training anew"):
        train_folds(dataset, begun, recipe(tmp_path, 2), resume=True, seed=1)


def moved(dataset: Path, folder: Path) -> Path:
    """The same cases, their points 5 mm elsewhere."""
    shutil.copytree(dataset, folder)
    for file in (folder / "landmarks").iterdir():
        landmarks = read_markups(file)
        write_markups(LandmarkSet.from_array(tuple(landmarks), landmarks.to_array() + 5.0), file)
    return folder


def test_folds_of_several_methods_settings_or_points_are_never_mixed(dataset, trained, tmp_path):
    refused = pytest.raises(LandmarkDetectionError, match="begun with another method, other settings, another start or")
    config = recipe(tmp_path, 2)
    with refused:
        train(dataset, "pin-single", trained, preset="quick", config=config, device="cpu", resume=True)
    with refused:
        train_folds(moved(dataset, tmp_path / "moved"), trained, config, resume=True)
    other = json.loads(config.read_text())
    other["augmentation"] = {"noise": 0.01}
    config.write_text(json.dumps(other))
    with refused:
        train_folds(dataset, trained, config, resume=True)


def without_images(folder: Path) -> Path:
    dataset = write_blob_dataset(folder)
    for image in (dataset / "volumes").iterdir():
        image.unlink()
    return dataset


@pytest.mark.parametrize(
    ("folds", "sentence"),
    [
        (1, "Cross-validation needs at least 2 folds, not 1; choose 2 or more"),
        (12, "11 cases of 11 subjects are too few for 12 folds; choose fewer"),
    ],
)
def test_folds_that_cannot_be_are_refused_before_anything_is_read(tmp_path, folds, sentence):
    dataset = without_images(tmp_path / "data")
    with pytest.raises(LandmarkDetectionError, match=sentence):
        train(dataset, "pin", tmp_path / "model", preset="quick", device="cpu", folds=folds)
    assert not work_of(tmp_path / "model").exists()


def test_a_model_that_has_seen_the_cases_is_no_start_for_folds(trained, dataset, tmp_path):
    with pytest.raises(LandmarkDetectionError, match="trained on these data, so that no fold could be held out"):
        train_folds(dataset, tmp_path / "model", recipe(tmp_path, 2), init_from=trained)


def test_images_of_one_subject_stay_together(tmp_path):
    dataset = write_blob_dataset(tmp_path / "data")
    write_description(dataset, subjects={f"case{number}": str(number // 2) for number in range(HELD_OUT)})
    for fold in plan_folds(Dataset.load(dataset), FOLDS, tmp_path, seed=0).folds:
        parts = [{int(case.removeprefix("case")) // 2 for case in part} for part in vars(fold).values()]
        assert sum(map(len, parts)) == len(set.union(*parts))
