"""Training turns a dataset folder into a bundle that finds its landmarks, whatever interrupts it."""

from __future__ import annotations

import dataclasses
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from blob_dataset import LABELS, blob_case, write_blob_dataset, write_description, write_recipe

from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.models.bundle import load_bundle, save_bundle
from LandmarkDetectionLib.training.cases import CaseReader
from LandmarkDetectionLib.training.job import mean_error_mm
from LandmarkDetectionLib.training.lock import training_lock
from LandmarkDetectionLib.training.pin_training import PIN
from LandmarkDetectionLib.training.recipe import load_recipe
from LandmarkDetectionLib.training.run import draft_card, train

STEPS = {"pin": 300, "pin-single": 600}


@pytest.fixture(scope="module")
def datasets(tmp_path_factory) -> dict[int, Path]:
    """The blobs as volumes (3) and as pictures (2)."""
    folder = tmp_path_factory.mktemp("datasets")
    return {dimension: write_blob_dataset(folder / str(dimension), dimension) for dimension in (2, 3)}


@pytest.fixture(scope="module")
def trained(datasets, tmp_path_factory) -> dict[tuple[str, int], Path]:
    """A bundle of each method for each dimension."""
    folder = tmp_path_factory.mktemp("trained")
    bundles = {}
    for method, steps in STEPS.items():
        config = write_recipe(folder / f"{method}.json", optimisation={"steps": steps})
        for dimension, dataset in datasets.items():
            bundles[method, dimension] = folder / f"{method}-{dimension}d"
            train(dataset, method, bundles[method, dimension], preset="quick", config=config, device="cpu")
    return bundles


@pytest.fixture
def run(datasets, tmp_path):
    """A few steps of training in 3D, with entries of the recipe changed; returns the folder of the bundle."""

    def run_training(name="model", *, dataset=datasets[3], method="pin", steps=2, changes=None, **arguments) -> Path:
        changes = {"optimisation": {"steps": steps, "pool_size": 8}} | (changes or {})
        config = write_recipe(tmp_path / f"{name}.json", **changes)
        train(dataset, method, tmp_path / name, preset="quick", config=config, device="cpu", **arguments)
        return tmp_path / name

    return run_training


def mean_position_error_mm(dimension):
    """Of the mean training position of each landmark, on the cases nobody trained on."""
    mean = np.mean([blob_case(seed, dimension)[1].to_array() for seed in range(8)], axis=0)
    return np.mean([np.linalg.norm(blob_case(seed, dimension)[1].to_array() - mean, axis=1) for seed in range(8, 20)])


def error_mm(detector, dimension):
    errors = []
    for seed in range(8, 20):
        volume, truth = blob_case(seed, dimension)
        found = np.array([mark.position_ras for mark in detector.detect(volume).landmarks])
        errors.append(np.linalg.norm(found - truth.to_array(LABELS), axis=1))
    return np.mean(errors)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("method", STEPS)
def test_trained_bundle_finds_the_landmarks_of_new_cases(trained, method, dimension):
    bundle = load_bundle(trained[method, dimension])
    detector = load_detector(bundle, "cpu")
    assert error_mm(detector, dimension) < 0.5 * mean_position_error_mm(dimension)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("method", STEPS)
def test_bundle_tells_the_validation_error_of_the_very_weights_it_holds(trained, datasets, method, dimension):
    bundle = load_bundle(trained[method, dimension])
    validation = CaseReader(Dataset.load(datasets[dimension])).split("validation")
    noted, of_mean_position = map(float, re.findall(r"([\d.]+) mm", bundle.card.training.notes))
    assert mean_error_mm(bundle, validation, "cpu") == pytest.approx(noted, rel=0.1)
    learnt_from = CaseReader(Dataset.load(datasets[dimension])).split("train")
    positions, truths = (
        np.array([case.landmarks.to_array(LABELS) for case in cases]) for cases in (learnt_from, validation)
    )
    errors_mm = np.linalg.norm(truths - positions.mean(axis=0), axis=-1)
    assert of_mean_position == pytest.approx(errors_mm.mean(), abs=0.01)
    assert "3 validation cases" in bundle.card.training.notes


@pytest.mark.parametrize("method", STEPS)
def test_weights_are_kept_in_half_precision(trained, method):
    bundle = load_bundle(trained[method, 3])
    assert {tensor.dtype for tensor in bundle.tensors.values()} == {torch.float16}


def test_card_says_what_was_trained_on_what(trained, datasets):
    card = load_bundle(trained["pin", 3]).card
    assert (card.name, card.method, card.dimension, card.labels) == ("pin-3d", "pin", 3, LABELS)
    assert (card.modality, card.licence, card.citation) == ("simulated", "CC0-1.0", "none")
    assert (card.training.cases, card.training.preset, card.training.data) == (8, "quick", "made for tests")
    assert card.preprocessing.spacing_mm == (2.0, 2.0, 2.0)
    assert card.field_of_view_mm.minimum == card.field_of_view_mm.maximum == (24.0, 24.0, 24.0)
    assert card.shape_model.landmarks == 3
    assert load_bundle(trained["pin-single", 3]).card.shape_model is None
    assert load_bundle(trained["pin", 2]).card.preprocessing.orientation == "LPS"


def test_training_leaves_nothing_beside_the_bundle_but_its_own_folder(trained):
    folder = trained["pin", 3].parent
    assert {entry.name for entry in trained["pin", 3].iterdir()} == {"model.json", "weights.safetensors"}
    others = {entry.name for entry in folder.iterdir() if "pin-3d" in entry.name}
    assert others == {"pin-3d", "pin-3d.training"}


def test_same_seed_gives_the_same_model(run):
    first, again, other = (load_bundle(run(name, steps=4, seed=seed)) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    for name, weights in first.tensors.items():
        assert torch.equal(weights, again.tensors[name])
    assert any(not torch.equal(weights, other.tensors[name]) for name, weights in first.tensors.items())


def kill_after_first_checkpoint(dataset: Path, output: Path, config: Path) -> int:
    """Train in another process, kill it with SIGKILL, and return the step its last checkpoint holds."""
    program = (
        "import sys; from LandmarkDetectionLib.training.run import train; "
        "train(sys.argv[1], 'pin', sys.argv[2], config=sys.argv[3], device='cpu', preset='quick')"
    )
    arguments = [sys.executable, "-c", program, dataset, output, config]
    last = output.with_name(output.name + ".training") / "last.ckpt"
    with (output.parent / "training.log").open("w") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=log)
    while not last.exists() and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert process.returncode == -signal.SIGKILL, (output.parent / "training.log").read_text()
    return torch.load(last, weights_only=True)["global_step"]


def logged_steps(output: Path) -> list[int]:
    lines = (output.with_name(output.name + ".training") / "metrics.csv").read_text().splitlines()
    column = lines[0].split(",").index("step")
    return [int(line.split(",")[column]) for line in lines[1:]]


def test_killed_training_goes_on_where_its_last_checkpoint_ends(datasets, tmp_path):
    output = tmp_path / "killed"
    endless = write_recipe(tmp_path / "endless.json", optimisation={"steps": 100_000, "validate_every": 20})
    step = kill_after_first_checkpoint(datasets[3], output, endless)
    assert step >= 20
    assert step % 20 == 0
    assert not output.exists()
    assert not list(tmp_path.glob(".killed*"))
    finite = write_recipe(tmp_path / "finite.json", optimisation={"steps": step + 20, "validate_every": 20})
    train(datasets[3], "pin", output, preset="quick", config=finite, device="cpu", resume=True)
    steps = logged_steps(output)
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (19, step + 19)
    load_detector(load_bundle(output), "cpu").detect(blob_case(0)[0])


def test_resuming_what_never_began_begins(run):
    load_bundle(run(steps=2, resume=True))


def test_resuming_what_has_ended_gives_the_same_model(run):
    first = load_bundle(run(steps=4)).tensors
    again = load_bundle(run(steps=4, resume=True)).tensors
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_checkpoint_of_another_network_is_refused(run):
    run(steps=2)
    with pytest.raises(LandmarkDetectionError, match="another network or dataset"):
        run(steps=4, resume=True, changes={"network": {"hidden": 16}})


def test_training_goes_on_from_the_weights_of_another_model(run, trained):
    start = load_bundle(trained["pin", 3])
    end = load_bundle(run("further", init_from=trained["pin", 3], steps=1))
    for name, weights in start.tensors.items():
        np.testing.assert_allclose(end.tensors[name].float(), weights.float(), atol=2e-3)
    np.testing.assert_array_equal(end.card.shape_model.mean, start.card.shape_model.mean)
    assert end.card.network == start.card.network
    assert end.card.name == "further"
    assert end.card.training.cases == 16
    assert end.card.accuracy == ()


def test_single_landmarks_go_on_from_their_own_networks(run, trained):
    start = load_bundle(trained["pin-single", 3])
    end = load_bundle(run("further", method="pin-single", init_from=trained["pin-single", 3], steps=3))
    assert set(end.tensors) == set(start.tensors)
    for name, weights in start.tensors.items():
        np.testing.assert_allclose(end.tensors[name].float(), weights.float(), atol=2e-3)


def test_model_of_another_method_or_other_landmarks_is_no_start(run, trained, datasets, tmp_path):
    with pytest.raises(LandmarkDetectionError, match="choose a model of the same method and landmarks"):
        run(method="pin-single", init_from=trained["pin", 3])
    bundle = load_bundle(trained["pin", 3])
    renamed = tuple(dataclasses.replace(mark, label=f"other {mark.label}") for mark in bundle.card.landmarks)
    save_bundle(tmp_path / "renamed", dataclasses.replace(bundle.card, landmarks=renamed), bundle.tensors)
    with pytest.raises(LandmarkDetectionError, match="choose a model of the same method and landmarks"):
        run(init_from=tmp_path / "renamed")


@pytest.mark.parametrize("method", STEPS)
def test_cases_that_lack_landmarks_are_used_for_what_they_have(run, tmp_path, method):
    missing = {"case0": ["dim"], "case3": ["bright", "middle"], "case9": ["bright"]}
    dataset = write_blob_dataset(tmp_path / "gaps", missing=missing)
    bundle = load_bundle(run(dataset=dataset, method=method, steps=6))
    assert all(torch.isfinite(tensor).all() for tensor in bundle.tensors.values())
    assert "nan" not in bundle.card.training.notes


@pytest.mark.parametrize(("split", "wanting"), [({}, "train"), ({"train": ["case0"]}, "validation")])
def test_a_dataset_that_is_not_divided_is_refused_before_it_is_read(run, tmp_path, split, wanting):
    dataset = write_blob_dataset(tmp_path / "undivided")
    write_description(dataset, split=split)
    (dataset / "volumes" / "case0.nii.gz").write_bytes(b"no image")
    with pytest.raises(LandmarkDetectionError, match=f'as "{wanting}" under "split"'):
        run(dataset=dataset)


def test_label_that_a_split_lacks_altogether_is_refused(run, tmp_path):
    missing = {f"case{seed}": ["dim"] for seed in (8, 9, 10)}
    dataset = write_blob_dataset(tmp_path / "gaps", missing=missing)
    with pytest.raises(LandmarkDetectionError, match='no case of its split "validation" has the landmark "dim"'):
        run(dataset=dataset)


def without_images(folder: Path) -> Path:
    """A dataset of which nothing can be read, so that a refusal must have come before."""
    write_blob_dataset(folder)
    for image in (folder / "volumes").iterdir():
        image.unlink()
    return folder


def test_output_that_cannot_be_written_is_refused_before_anything_is_read(tmp_path):
    dataset = without_images(tmp_path / "dataset")
    (tmp_path / "file").write_text("")
    with pytest.raises(LandmarkDetectionError, match="choose another output"):
        train(dataset, "pin", tmp_path / "file" / "model", preset="quick", device="cpu")


def test_output_that_holds_something_else_is_refused_before_anything_is_read(tmp_path):
    dataset = without_images(tmp_path / "dataset")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("")
    with pytest.raises(LandmarkDetectionError, match=r"chapter1\.tex, which is no part of a model bundle"):
        train(dataset, "pin", tmp_path / "thesis", preset="quick", device="cpu")
    assert not (tmp_path / "thesis.training").exists()


def test_wrong_configuration_and_missing_start_are_refused_before_anything_is_read(run, tmp_path):
    dataset = without_images(tmp_path / "dataset")
    with pytest.raises(LandmarkDetectionError, match="inference: iteratons is not a known field"):
        run(dataset=dataset, changes={"inference": {"iteratons": 3}})
    with pytest.raises(LandmarkDetectionError, match="nowhere"):
        run(dataset=dataset, init_from=tmp_path / "nowhere")


def test_method_without_a_training_is_refused(datasets, tmp_path):
    with pytest.raises(
        LandmarkDetectionError, match='no training for the method "atlas-of-clouds"; choose one of: pin'
    ):
        train(datasets[3], "atlas-of-clouds", tmp_path / "model")


@pytest.mark.parametrize("checkpoint", ["last.ckpt", "0/last.ckpt", "fold-1.training/last.ckpt"])
def test_interrupted_training_is_not_overwritten_by_a_new_one(run, tmp_path, checkpoint):
    kept = tmp_path / "model.training" / checkpoint
    kept.parent.mkdir(parents=True)
    kept.write_text("hours of work")
    with pytest.raises(LandmarkDetectionError, match=r"model\.training holds a training .* --resume, or forget"):
        run(dataset=without_images(tmp_path / "dataset"))
    assert kept.read_text() == "hours of work"


def test_interrupted_training_is_forgotten_only_once_a_new_one_proves_usable(run, tmp_path):
    kept = tmp_path / "model.training" / "fold-1.training" / "last.ckpt"
    kept.parent.mkdir(parents=True)
    kept.write_text("hours of work")
    with pytest.raises(LandmarkDetectionError, match="nowhere"):
        run(init_from=tmp_path / "nowhere", anew=True)
    assert kept.read_text() == "hours of work"
    load_bundle(run(steps=2, anew=True))
    assert not kept.exists()


@pytest.mark.parametrize("choice", [{}, {"resume": True}, {"anew": True}])
def test_what_another_program_trains_is_left_alone(run, tmp_path, choice):
    work = tmp_path / "model.training"
    work.mkdir()
    (work / "last.ckpt").write_text("hours of work")
    with training_lock(work), pytest.raises(LandmarkDetectionError, match="Another program is training in"):
        run(**choice)
    assert (work / "last.ckpt").read_text() == "hours of work"


def test_finished_training_is_replaced_by_a_new_one(run):
    first = load_bundle(run(steps=2, seed=1)).weights_sha256
    assert load_bundle(run(steps=2, seed=2)).weights_sha256 != first


def test_name_that_no_model_may_have_is_refused_and_leaves_nothing(run, tmp_path):
    with pytest.raises(LandmarkDetectionError, match="name must be like brain-t1"):
        run("My Model")
    assert {path.name for path in tmp_path.iterdir()} == {"My Model.json"}


def read(dataset_folder):
    dataset = Dataset.load(dataset_folder)
    return dataset, CaseReader(dataset).split("train")


def draft(dataset, cases):
    return draft_card(dataset, cases, load_recipe(PIN, "quick"), method="pin", name="draft", preset="quick")


def test_voxel_size_lets_a_patch_span_what_the_landmarks_span(datasets):
    dataset, cases = read(datasets[3])
    span_mm = np.mean([np.ptp(case.landmarks.to_array(), axis=0).max() for case in cases])
    spacing_mm = draft(dataset, cases).preprocessing.spacing_mm
    np.testing.assert_allclose(spacing_mm, span_mm / 49, rtol=0.05)


def test_voxel_size_shows_a_quarter_of_the_image_around_a_lone_landmark(datasets):
    dataset, cases = read(datasets[3])
    alone = [dataclasses.replace(case, landmarks=LandmarkSet({"dim": case.landmarks["dim"]})) for case in cases]
    np.testing.assert_allclose(draft(dataset, alone).preprocessing.spacing_mm, 24.0 / 4 / 49, rtol=0.05)


def test_voxel_size_does_not_mind_cases_without_landmarks(datasets):
    dataset, cases = read(datasets[3])
    nothing = dataclasses.replace(cases[0], landmarks=LandmarkSet(dict.fromkeys(LABELS)))
    assert draft(dataset, [nothing, *cases[1:]]).preprocessing.spacing_mm[0] > 0.1


def test_field_of_view_is_measured_along_the_axes_of_the_model(datasets):
    dataset, cases = read(datasets[3])
    slabs = [
        dataclasses.replace(case, volume=dataclasses.replace(case.volume, voxels=case.volume.voxels[:10]))
        for case in cases
    ]
    turned = [dataclasses.replace(case, volume=case.volume.reoriented("SPL")) for case in slabs]
    for stored in (slabs, turned):
        assert draft(dataset, stored).field_of_view_mm.minimum == (24.0, 24.0, 10.0)
