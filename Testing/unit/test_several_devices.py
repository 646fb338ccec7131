"""Processes that train one model in step: the same weights, the mean of their gradients, one of them writes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from blob_dataset import blob_case, write_blob_dataset, write_recipe
from command_line import call, sentence_of
from rank_of_tests import CPU, train_point, train_points

from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.models.bundle import load_bundle
from LandmarkDetectionLib.training.ranks import Ranks, all_ranks, check_devices
from LandmarkDetectionLib.training.run import train

PRESENT = ["cpu", *(["cuda"] if torch.cuda.device_count() > 1 else [])]
"""The kinds of which there are two."""


OPTIMISATIONS = {
    "steps": {"steps": 12, "minutes": 1e6, "validate_every": 4, "learning_rate": 0.1},
    "minutes": {"steps": 10**7, "minutes": 0.02, "validate_every": 10**7, "learning_rate": 0.1},
}


class Together(NamedTuple):
    """What two processes recorded of their trainings, and how it ended when the second one left."""

    folder: Path
    first: dict[str, dict[str, list]]
    second: dict[str, dict[str, list]]
    end: str


@pytest.fixture(scope="module")
def together(tmp_path_factory) -> Together:
    """Points trained in two processes, each with its half of the targets."""
    folder = tmp_path_factory.mktemp("together")
    first: dict[str, dict[str, list]] = {}

    def train_until_left() -> None:
        asked = {"folder": str(folder), "optimisations": OPTIMISATIONS}
        with all_ranks("rank_of_tests", asked, count=2, device=CPU, folder=folder) as ranks:
            first.update(train_points(ranks, slice(0, 4), folder, OPTIMISATIONS))

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        with pytest.raises(LandmarkDetectionError) as caught:
            train_until_left()
    return Together(folder, first, json.loads((folder / "found.json").read_text()), str(caught.value))


def test_two_processes_take_the_steps_that_one_takes_with_the_batches_of_both(together, tmp_path):
    alone = train_point(Ranks(), slice(0, 8), tmp_path, OPTIMISATIONS["steps"])
    np.testing.assert_allclose(together.first["steps"]["seen"], alone["seen"], atol=1e-5)
    assert together.first["steps"]["seen"] == together.second["steps"]["seen"]


def test_all_processes_know_the_validation_error_of_the_first(together):
    for found in (together.first["steps"], together.second["steps"]):
        assert found["validations_mm"] == [0.0, 1.0, 2.0]
        assert found["kept_mm"] == 0.0


def test_one_process_writes_the_log(together):
    lines = (together.folder / "steps" / "metrics.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["step", "3", "3", "7", "7", "11", "11"]


def test_processes_agree_on_the_time_and_with_it_on_rate_and_end(together):
    assert together.first["minutes"]["seen"] == together.second["minutes"]["seen"]
    assert 1 < len(together.first["minutes"]["seen"]) < 10**7


def test_process_that_ends_early_ends_the_training_with_its_last_words(together):
    log = together.folder / "rank1.log"
    expected = f"Process 1 of the training ended early (This device has fallen off the bus); see {log}."
    assert together.end == expected


def test_process_that_cannot_begin_is_told_of(tmp_path):
    with (
        pytest.raises(LandmarkDetectionError, match=r"Process 1 .* No module named no_such_rank"),
        all_ranks("no_such_rank", {}, count=2, device=CPU, folder=tmp_path),
    ):
        pass


@pytest.mark.parametrize("device", PRESENT)
def test_bundle_trained_on_two_devices_finds_landmarks(tmp_path, device):
    dataset = write_blob_dataset(tmp_path / "blobs")
    config = write_recipe(tmp_path / "two.json", optimisation={"steps": 60, "devices": 2, "validate_every": 30})
    train(dataset, "pin", tmp_path / "model", preset="quick", config=config, device=device)
    work = tmp_path / "model.training"
    assert {path.name for path in work.iterdir()} == {
        *("best.ckpt", "last.ckpt", "plan.json", "metrics.csv", "shape_model.json", "rank1.log")
    }
    assert "Traceback" not in (work / "rank1.log").read_text()
    volume, truth = blob_case(30)
    found = load_detector(load_bundle(tmp_path / "model"), "cpu").detect(volume)
    assert np.linalg.norm(found["bright"].position_ras - truth["bright"]) < 10.0


def test_more_devices_than_there_are_are_refused_before_anything_is_written(tmp_path):
    dataset = write_blob_dataset(tmp_path / "blobs")
    config = write_recipe(tmp_path / "many.json", optimisation={"devices": 1000})
    arguments = ["--dataset", dataset, "--method", "pin", "--config", config, "--output", tmp_path / "model"]
    refused = call("train", *arguments, "--device", "cpu")
    assert f"asks for 1000 devices and here are {os.cpu_count()} CPU cores" in sentence_of(refused)
    assert not (tmp_path / "model.training").exists()


def test_there_is_one_apple_processor():
    check_devices(torch.device("mps"), 1)
    with pytest.raises(LandmarkDetectionError, match="here are 1 devices of the kind mps"):
        check_devices(torch.device("mps"), 2)
