"""Deep Q-learning: rewards, targets and memory by hand, and agents that come out of a training."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from blob_dataset import blob_case, write_blob_dataset
from blob_training import errors_mm, trained_on_blobs

from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.errors import DetectionCancelled, LandmarkDetectionError
from LandmarkDetectionLib.models.bundle import ModelBundle
from LandmarkDetectionLib.training.drl_learner import bellman_targets
from LandmarkDetectionLib.training.drl_recipe import DRLTraining
from LandmarkDetectionLib.training.drl_samples import Memory, rewards
from LandmarkDetectionLib.training.drl_training import DRL
from LandmarkDetectionLib.training.recipe import load_recipe

RECIPE = {
    "optimisation": {
        "steps": 400,
        "minutes": 2.0,
        "validate_every": 200,
        "learning_rate": 5e-3,
        "batch_size": 32,
        "pool_size": 8,
        "renew_every": 1000,
    },
    "augmentation": {"rotation_deg": 0.0, "scale": 0.0, "stretch": 0.0, "gamma": 0.0, "noise": 0.0},
    "preprocessing": {"spacing_mm": [1.0, 1.0, 1.0], "centre": "content"},
    "network": {"patch_size": 9, "frames": 2, "widths": [8, 16], "hidden": [32], "kernels": [3, 3]},
    "inference": {"starts": 2, "most_steps": 20},
    "method": {
        "first_steps": 20,
        "walkers": 8,
        "explored_share": 1.0,
        "most_steps": 15,
        "discount": 0.5,
        "target_every": 50,
    },
}


def trained(folder: Path, dimension: int, name: str = "model", init_from: Path | None = None, **changes) -> ModelBundle:
    dataset = folder / "blobs"
    if not dataset.exists():
        write_blob_dataset(dataset, dimension, {"case1": ["dim"]})
    return trained_on_blobs("drl", RECIPE, dataset, folder / name, init_from, **changes)


@pytest.fixture(scope="module")
def pictures_model(tmp_path_factory) -> ModelBundle:
    return trained(tmp_path_factory.mktemp("drl"), 2)


def test_the_reward_is_the_decrease_of_the_distance_in_steps():
    # From 3-4-5 to 0-4-4 by a step of 3; away from the landmark by 2; and across the way, where it is no matter.
    before, after = torch.tensor([5.0, 1.0, 2.0]), torch.tensor([4.0, 3.0, 2.0])
    earned = rewards(before, after, torch.tensor([3.0, 2.0, 1.0]), torch.zeros(3, dtype=torch.bool))
    torch.testing.assert_close(earned, torch.tensor([1 / 3, -1.0, 0.0]))


def test_a_step_out_of_the_image_earns_as_little_as_can_be():
    place = torch.tensor([2.0])
    assert rewards(place, place, torch.ones(1), torch.tensor([True])).tolist() == [-1.0]


def test_the_bellman_target_is_the_reward_and_the_discounted_best_value_that_follows():
    targets = bellman_targets(
        torch.tensor([[0.5, -1.0]]), torch.tensor([[2.0, 3.0]]), torch.tensor([[False, True]]), discount=0.9
    )
    torch.testing.assert_close(targets, torch.tensor([[2.3, -1.0]]))


def test_the_memory_forgets_the_oldest_experiences():
    memory = Memory(3)
    for number in range(2):
        memory.keep(torch.tensor([2 * number, 2 * number + 1]), torch.tensor([[0], [1]]))
    assert memory.count == 3
    numbers, parts = memory.drawn(200, torch.Generator().manual_seed(0))
    assert set(numbers.tolist()) == {1, 2, 3}
    assert torch.equal(numbers % 2, parts[:, 0]), "the parts of an experience stay together"


def test_exploration_falls_from_all_to_the_least():
    choices = DRLTraining(least_exploration=0.2, explored_share=0.5)
    assert [choices.exploration(done) for done in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([1.0, 0.6, 0.2, 0.2])


def test_the_paper_preset_is_the_authors_schedule():
    recipe = load_recipe(DRL, "paper")
    assert recipe.network == {}
    assert (recipe.optimisation.batch_size, recipe.optimisation.learning_rate) == (64, 1e-3)
    assert (recipe.method.memory, recipe.method.first_steps, recipe.method.discount) == (100_000, 30_000, 0.9)
    assert (recipe.method.most_steps, recipe.method.least_exploration, recipe.method.start) == (200, 0.1, "anywhere")
    # Of 100,000 walks, 9,000 bring it down by 1e-4 each.
    assert recipe.method.exploration(0.045) == pytest.approx(0.55)


def test_agents_come_closer_than_they_started(pictures_model):
    detector = load_detector(pictures_model, "cpu")
    none = dataclasses.replace(pictures_model.card, inference={"starts": 2, "most_steps": 1})
    unmoved = load_detector(dataclasses.replace(pictures_model, card=none), "cpu")
    assert errors_mm(detector).mean() < 0.6 * errors_mm(unmoved).mean()


def test_what_the_agents_tell_is_whole_and_the_same_again(pictures_model):
    detector = load_detector(pictures_model, "cpu")
    volume = blob_case(20, 2)[0]
    first, second = (detector.detect(volume, seed=4) for _ in range(2))
    assert 2 <= len(first.path_ras) <= 21
    for mark, again in zip(first.landmarks, second.landmarks, strict=True):
        np.testing.assert_array_equal(mark.position_ras, again.position_ras)
        assert 0.0 < mark.presence <= 1.0
        eigenvalues = np.linalg.eigvalsh(mark.covariance_ras)
        assert eigenvalues[0] == pytest.approx(0.0, abs=1e-9), "a picture has no depth"
        assert eigenvalues[1] >= 1.0 / 12.0 - 1e-9, "nothing is known better than the grid tells"


def test_volumes_can_be_learned_from_any_start_and_gone_on_with(tmp_path):
    shortest = {"steps": 2, "validate_every": 2, "batch_size": 2}
    first = trained(tmp_path, 3, optimisation=shortest, method={"start": "anywhere"})
    reach = first.tensors["start_reach_mm"]
    assert not first.tensors["start_mm"].any()
    np.testing.assert_allclose(reach, 0.3 * 24.0)
    after = trained(tmp_path, 3, "next", first.folder, optimisation=shortest)
    assert torch.equal(after.tensors["start_reach_mm"], reach)
    assert len(load_detector(after, "cpu").detect(blob_case(20)[0]).landmarks) == 3


def test_walks_are_cancelled_between_two_steps(pictures_model):
    asked = iter([False, False, True])
    with pytest.raises(DetectionCancelled):
        load_detector(pictures_model, "cpu").detect(blob_case(20, 2)[0], cancelled=lambda: next(asked))


@pytest.mark.parametrize("lost", ["start_mm", "agents.heads.0.weight"])
def test_a_bundle_that_lacks_a_part_is_refused(pictures_model, lost):
    tensors = {name: tensor for name, tensor in pictures_model.tensors.items() if name != lost}
    with pytest.raises(LandmarkDetectionError, match="do not fit its card"):
        load_detector(dataclasses.replace(pictures_model, tensors=tensors), "cpu")
