"""Every training sample shows where it was cut and tells exactly how far that is from the truth."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from LandmarkDetectionLib.detectors.pin_search import PINNetworkSettings, displacement_scale_mm
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.preprocessing import Preprocessing
from LandmarkDetectionLib.shape_model import ShapeModel
from LandmarkDetectionLib.training.augmentation import Augmentation, Augmenter
from LandmarkDetectionLib.training.cases import TrainingCase
from LandmarkDetectionLib.training.patch_pool import PatchPool
from LandmarkDetectionLib.training.pin_learner import joint_loss
from LandmarkDetectionLib.training.pin_samples import PINSamples
from LandmarkDetectionLib.volume import Volume

LABELS = ("A", "B", "C")
SIDE = 15
"""Pixels of the pictures below: fewer than 256 in all, so that every pixel can have a byte of its own."""
SPACING_MM = 2.0
NETWORK = PINNetworkSettings(5, (2,), 2)
TRUTH_IJ = {"A": (3.3, 4.6), "B": (11.8, 5.2), "C": (7.1, 11.4)}


def map_case(present="ABC", shift_ij=(0.0, 0.0), first=1) -> TrainingCase:
    """A picture whose pixel at i, j has the value 1 + i + 15 j; it is seen as it is stored."""
    values = np.arange(SIDE * SIDE).reshape(1, SIDE, SIDE) + first
    geometry = np.diag([SPACING_MM, SPACING_MM, 1.0, 1.0])
    positions = {
        label: np.append(np.add(ij, shift_ij) * SPACING_MM, 0.0) if label in present else None
        for label, ij in TRUTH_IJ.items()
    }
    return TrainingCase("map", Volume(values.astype(np.uint8), geometry), LandmarkSet(positions))


def pool_of(cases, size=4, interchangeable=(), augmentation=None):
    preprocessing = Preprocessing("RAS", (SPACING_MM, SPACING_MM, 1.0), 0.0, 100.0, "content")
    augmenter = Augmenter(augmentation or Augmentation(), preprocessing, 2)
    return PatchPool(cases, augmenter, labels=LABELS, interchangeable=interchangeable, size=size, patch_size=5, seed=0)


def three_modes() -> ShapeModel:
    """All landmarks move along x together, along y together, or all apart along x."""
    mean = np.array([[-8.0, -5.0, 0.0], [9.0, -4.0, 0.0], [0.0, 8.0, 0.0]])
    together_x, together_y = np.tile([1.0, 0.0, 0.0], 3), np.tile([0.0, 1.0, 0.0], 3)
    apart = np.array([-1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    modes = np.array([mode / np.linalg.norm(mode) for mode in (together_x, together_y, apart)])
    return ShapeModel(mean.ravel(), modes, [36.0, 16.0, 4.0])


def samples_of(pool, landmarks=(0, 1, 2), model=None, settings=NETWORK, **changes):
    arguments = {"batch_size": 64, "near_share": 0.5, "followed_share": 0.0, "renew_every": 1000, "seed": 0} | changes
    return PINSamples(pool, list(landmarks), model or three_modes(), settings, **arguments)


def cut_mm(batch, pool):
    """Frame positions (batch, n, 3) of the pixels in the middle of the patches, and which batch entries to trust.

    The grid equals the picture, whose first two pixels look alike.
    """
    values = (batch.patches[:, :, 2, 2].float() * 255.0).round().long()
    levels = ((torch.arange(SIDE * SIDE + 1) - 2).clamp(min=0) * (255.0 / (SIDE * SIDE - 2))).round().long()
    pixel = torch.searchsorted(levels[2:], values) + 1
    ij0 = torch.stack([pixel % SIDE, pixel // SIDE, torch.zeros_like(pixel)], dim=-1)
    spacing = torch.tensor([SPACING_MM, SPACING_MM, 1.0])
    return (ij0 - pool.origins_ijk[0]) * spacing, (values > 0).all(1)


def weights_of(model, shapes_mm):
    return torch.tensor(np.array([model.project(shape) for shape in shapes_mm.numpy()])).float()


@pytest.mark.parametrize("scaling", ["none", "half-whitened"])
@pytest.mark.parametrize("near_share", [0.0, 0.5, 1.0])
def test_target_added_to_where_the_patches_were_cut_is_the_truth(scaling, near_share):
    pool, model = pool_of([map_case()]), three_modes()
    settings = PINNetworkSettings(5, (2,), 2, scaling)
    batch = next(iter(samples_of(pool, settings=settings, near_share=near_share)))
    assert batch.patches.shape == (64, 3, 5, 5)
    positions_mm, is_known = cut_mm(batch, pool)
    assert is_known.sum() > 30
    scale = torch.tensor(displacement_scale_mm(model, settings)).float()
    found = weights_of(model, positions_mm) + batch.displacements * scale
    truth = torch.tensor(model.project(pool.truths_mm[0, 0].numpy())).float()
    np.testing.assert_allclose(found[is_known], truth.expand(int(is_known.sum()), -1), atol=1e-3)


def test_target_of_a_single_landmark_is_its_distance_from_the_pixel():
    pool, model = pool_of([map_case()]), ShapeModel.free_point(6.0)
    batch = next(iter(samples_of(pool, [1], model)))
    positions_mm, is_known = cut_mm(batch, pool)
    assert is_known.sum() > 30
    found = positions_mm[:, 0] + batch.displacements
    np.testing.assert_allclose(found[is_known], pool.truths_mm[0, 0, [1]].expand(int(is_known.sum()), -1), atol=1e-3)


def test_direction_is_the_largest_component_and_its_sign():
    batch = next(iter(samples_of(pool_of([map_case()]))))
    for displacement, direction in zip(batch.displacements.tolist(), batch.directions.tolist(), strict=True):
        largest = int(np.argmax(np.abs(displacement)))
        assert direction == (2 * largest if displacement[largest] > 0 else 2 * largest + 1)
    assert len(set(batch.directions.tolist())) == 6


def large_pool():
    """One landmark in a large empty field."""
    voxels = np.zeros((1, 300, 300), np.uint8)
    voxels[0, 150, 150] = voxels[0, 20, 20] = voxels[0, 280, 280] = 255
    case = TrainingCase("far", Volume(voxels, np.eye(4)), LandmarkSet({"A": (150.0, 150.0, 0.0)}))
    augmenter = Augmenter(Augmentation(), Preprocessing("RAS", (1.0, 1.0, 1.0)), 2)
    return PatchPool([case], augmenter, labels="A", interchangeable=(), size=1, patch_size=5, seed=0)


@pytest.mark.parametrize(("near_share", "lowest", "highest"), [(0.0, 0.13, 0.25), (0.5, 0.38, 0.53), (1.0, 0.65, 0.85)])
def test_share_of_starts_near_the_truth(near_share, lowest, highest):
    samples = samples_of(large_pool(), [0], ShapeModel.free_point(40.0), batch_size=2000, near_share=near_share)
    distances = next(iter(samples)).displacements.abs().amax(1)
    share = (distances < 0.3 * 40.0).float().mean().item()
    assert lowest <= share <= highest


def test_other_starts_lie_anywhere_within_three_deviations_of_the_mean():
    samples = samples_of(large_pool(), [0], ShapeModel.free_point(40.0), batch_size=2000, near_share=0.0)
    displacements = next(iter(samples)).displacements[:, :2]
    assert 105.0 < displacements.abs().max() <= 120.5
    assert displacements.mean().abs() < 3.0


def test_followed_samples_go_on_where_the_network_moved_them():
    pool, model = pool_of([map_case(), map_case(shift_ij=(1.0, -1.0))]), three_modes()
    samples = samples_of(pool, followed_share=1.0, near_share=0.0)
    batches = iter(samples)
    first = next(batches)
    samples.follow(first, first.displacements)
    second = next(batches)
    assert torch.equal(second.cases, first.cases)
    # They were led to the truth, so that only the rounding to pixels is left: half a pixel for each coordinate.
    largest_mm = SPACING_MM / 2 * np.abs(model.eigenvectors).sum(1).max()
    assert second.displacements.abs().max() <= largest_mm + 1e-4
    assert first.displacements.abs().max() > 2 * largest_mm


def test_followed_samples_know_what_is_left_to_the_truth():
    pool, model = pool_of([map_case()]), three_modes()
    settings = PINNetworkSettings(5, (2,), 2, "half-whitened")
    samples = samples_of(pool, settings=settings, followed_share=1.0)
    batches = iter(samples)
    first = next(batches)
    samples.follow(first, 0.5 * first.displacements)
    second = next(batches)
    positions_mm, is_known = cut_mm(second, pool)
    found = weights_of(model, positions_mm) + second.displacements * torch.tensor(
        displacement_scale_mm(model, settings)
    )
    truth = torch.tensor(model.project(pool.truths_mm[0, 0].numpy()))
    np.testing.assert_allclose(found[is_known], truth.expand(int(is_known.sum()), -1), atol=1e-3)


def test_followed_samples_that_wander_off_are_brought_back():
    pool, model = large_pool(), ShapeModel.free_point(20.0)
    samples = samples_of(pool, [0], model, followed_share=1.0)
    batches = iter(samples)
    first = next(batches)
    samples.follow(first, torch.full_like(first.displacements, 1e4))
    assert next(batches).displacements[:, :2].abs().max() <= 4 * 20.0 + 1.0


def test_only_the_chosen_share_is_followed():
    pool = large_pool()
    samples = samples_of(pool, [0], ShapeModel.free_point(40.0), followed_share=0.3, near_share=0.0, batch_size=2000)
    batches = iter(samples)
    first = next(batches)
    samples.follow(first, first.displacements)
    is_at_the_truth = next(batches).displacements.abs().amax(1) <= 0.5
    assert 0.25 < is_at_the_truth.float().mean().item() < 0.35


def test_missing_landmarks_never_make_a_target_that_is_no_number():
    pool = pool_of([map_case("AB"), map_case("ABC"), map_case("C")], size=6)
    for batch in itertools.islice(samples_of(pool), 5):
        assert torch.isfinite(batch.displacements).all()
        assert torch.isfinite(batch.patches.float()).all()
        assert batch.directions.min() >= 0


def test_missing_landmark_is_taken_to_lie_where_the_known_ones_suggest():
    pool = pool_of([map_case("AB", shift_ij=(2.0, 0.0))])
    model = three_modes()
    batch = next(iter(samples_of(pool)))
    positions_mm, is_known = cut_mm(batch, pool)
    found = weights_of(model, positions_mm) + batch.displacements
    shape = model.reconstruct(found[is_known][0].double())
    known = pool.truths_mm[0, 0, :2].numpy()
    assert np.linalg.norm(shape[:2] - known, axis=1).max() < 2.0
    assert shape[2, 0] > model.mean[6], "C moves to the right with A and B"


def test_single_landmark_is_learned_only_from_cases_that_have_it():
    far_away = (60.0, 60.0)
    pool = pool_of([map_case("AB"), map_case("C", shift_ij=far_away), map_case("AC")], size=6)
    targets = [next(iter(samples_of(pool, [0], ShapeModel.free_point(6.0), seed=seed))) for seed in range(4)]
    batch = targets[0]
    positions_mm, is_known = cut_mm(batch, pool)
    found = (positions_mm[:, 0] + batch.displacements)[is_known]
    np.testing.assert_allclose(found, pool.truths_mm[0, 0, [0]].expand(len(found), -1), atol=1e-3)


def interchangeable_pool():
    return pool_of([map_case()], interchangeable=[("A", "B")])


def test_target_is_the_nearest_assignment_of_interchangeable_ends():
    pool, model = interchangeable_pool(), three_modes()
    batch = next(iter(samples_of(pool, near_share=0.0, batch_size=300)))
    positions_mm, is_known = cut_mm(batch, pool)
    cut_at = weights_of(model, positions_mm)[is_known]
    truths = weights_of(model, pool.truths_mm[0])
    nearest = truths[torch.cdist(cut_at, truths).argmin(1)]
    np.testing.assert_allclose(cut_at + batch.displacements[is_known], nearest, atol=1e-3)


def test_end_learned_alone_is_always_the_same_one():
    pool = interchangeable_pool()
    batch = next(iter(samples_of(pool, [0], ShapeModel.free_point(10.0), near_share=0.0)))
    positions_mm, is_known = cut_mm(batch, pool)
    found = (positions_mm[:, 0] + batch.displacements)[is_known]
    np.testing.assert_allclose(found, pool.truths_mm[0, 0, [0]].expand(len(found), -1), atol=1e-3)


def test_same_seed_gives_the_same_batches():
    pool = pool_of([map_case()])
    first, again, other = (list(itertools.islice(samples_of(pool, seed=seed), 3)) for seed in (4, 4, 5))
    for one, two in zip(first, again, strict=True):
        assert torch.equal(one.patches, two.patches)
        assert torch.equal(one.displacements, two.displacements)
    assert not torch.equal(first[0].displacements, other[0].displacements)
    assert not torch.equal(first[0].displacements, first[1].displacements)


def test_pool_is_renewed_between_batches():
    pool = pool_of([map_case()], augmentation=Augmentation(centre_shift_mm=3.0))
    before = pool.truths_mm.clone()
    batches = iter(samples_of(pool, renew_every=2))
    for _ in range(3):
        next(batches)
    assert not torch.equal(pool.truths_mm[0], before[0])
    assert torch.equal(pool.truths_mm[1:], before[1:])


def test_joint_loss_is_that_of_the_paper():
    displacements = torch.tensor([[1.0, -2.0], [0.5, 0.0]])
    truth = torch.tensor([[2.0, -2.0], [0.5, 3.0]])
    logits = torch.tensor([[1.0, 0.0, 0.0, -1.0], [0.0, 2.0, 0.0, 0.0]])
    directions = torch.tensor([0, 2])
    # (1 + 0) and (0 + 9) over two outputs and two samples.
    regression = (1.0 + 9.0) / (2 * 2)
    first = math.log(math.e + 1.0 + 1.0 + 1.0 / math.e) - 1.0
    second = math.log(3.0 + math.e**2)
    classification = (first + second) / 2
    for alpha in (0.0, 0.5, 0.8, 1.0):
        loss = joint_loss(displacements, logits, truth, directions, alpha).item()
        assert loss == pytest.approx((1 - alpha) * regression + alpha * classification, rel=1e-6)


@pytest.mark.parametrize(("alpha", "head"), [(0.0, "displacement"), (1.0, "direction")])
def test_with_an_extreme_weight_one_head_learns_alone(alpha, head):
    displacements, logits = torch.randn(4, 3, requires_grad=True), torch.randn(4, 6, requires_grad=True)
    joint_loss(displacements, logits, torch.randn(4, 3), torch.tensor([0, 1, 2, 5]), alpha).backward()
    assert (displacements.grad.abs().sum() > 0) == (head == "displacement")
    assert (logits.grad.abs().sum() > 0) == (head == "direction")


def test_loss_is_computed_in_full_precision():
    displacements, logits = torch.randn(4, 3), torch.randn(4, 6)
    truth, directions = torch.randn(4, 3), torch.tensor([0, 1, 2, 5])
    loss = joint_loss(displacements.bfloat16(), logits.bfloat16(), truth, directions, 0.5)
    assert loss.dtype == torch.float32
    rounded = displacements.bfloat16().float(), logits.bfloat16().float()
    expected = 0.5 * functional.mse_loss(rounded[0], truth) + 0.5 * functional.cross_entropy(rounded[1], directions)
    assert loss.item() == pytest.approx(expected.item())
