"""Every training sample shows what its positions say: whole images, and patches cut beside their landmark."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from LandmarkDetectionLib.detectors.cascade import CascadeNetworkSettings, coarse_positions
from LandmarkDetectionLib.detectors.grid import Grid
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.networks.cascade import CascadeNetwork, initialise_cascade
from LandmarkDetectionLib.preprocessing import Preprocessing
from LandmarkDetectionLib.training.augmentation import Augmentation, Augmenter
from LandmarkDetectionLib.training.cascade_learner import CascadeLearner
from LandmarkDetectionLib.training.cascade_samples import CascadeSamples
from LandmarkDetectionLib.training.cases import TrainingCase
from LandmarkDetectionLib.training.heatmaps import heat_at, target_heatmaps, weighted_squared_error
from LandmarkDetectionLib.training.pool import CasePool
from LandmarkDetectionLib.volume import Volume

LABELS = ("A", "B", "C")
SPACING_MM = 2.0
POOLING = 3
SIZE_IJK = {2: (15, 15, 1), 3: (6, 6, 6)}
"""Fewer than 256 voxels, so that every voxel can have a byte of its own."""
TRUTH_IJK = {"A": (3.3, 4.6, 1.2), "B": (4.8, 2.2, 3.9), "C": (1.1, 2.4, 2.5)}
SETTINGS = CascadeNetworkSettings(
    pooling=POOLING, widths=(2, 2, 2, 2), patch_size=16, local_widths=(1, 1, 1, 1), hidden=2
)
NEAR = {"prediction_error": 0.4, "sampling_range": 0.2}


def map_case(dimension=3, present="ABC") -> TrainingCase:
    """An image of the size, with its landmarks."""
    values = np.arange(np.prod(SIZE_IJK[dimension])).reshape(SIZE_IJK[dimension][::-1])
    directions = np.eye(4) if dimension == 3 else np.diag([-1.0, -1.0, 1.0, 1.0])
    ijk_to_ras = directions @ np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
    positions = {
        label: (ijk_to_ras @ [*np.array(ijk) * (1, 1, dimension == 3), 1.0])[:3] if label in present else None
        for label, ijk in TRUTH_IJK.items()
    }
    return TrainingCase("map", Volume(values.astype(np.uint8), ijk_to_ras), LandmarkSet(positions))


def pool_of(dimension=3, cases=None, interchangeable=(), **augmentation) -> CasePool:
    orientation = "RAS" if dimension == 3 else "LPS"
    preprocessing = Preprocessing(orientation, (SPACING_MM,) * 3, 0.0, 100.0, "content")
    augmenter = Augmenter(Augmentation(**augmentation), preprocessing, dimension)
    cases = cases or [map_case(dimension)]
    pool = CasePool(cases, augmenter, labels=LABELS, interchangeable=interchangeable, size=4, seed=0)
    pool.images[:] = torch.arange(1, 1 + pool.images[0].numel()).view_as(pool.images[0])
    return pool


def samples_of(pool, settings=SETTINGS, **changes) -> CascadeSamples:
    arguments = {"batch_size": 5, "patches_per_image": 8, **NEAR, "renew_every": 1000, "seed": 0} | changes
    return CascadeSamples(pool, settings, **arguments)


def batch_of(pool, settings=SETTINGS, **changes):
    return next(iter(samples_of(pool, settings, **changes)))


def cut_at(patches, pool):
    """Voxels (patches, d) in array order in the pool's images at the middle of patches (patches, 1, ...)."""
    middle = patches[(slice(None), 0, *[8] * pool.dimension)]
    index = (middle.float() * 255.0).round().long() - 1
    return torch.stack(torch.unravel_index(index, pool.images.shape[1:]), dim=-1)[:, -pool.dimension :]


@pytest.mark.parametrize("dimension", [2, 3])
def test_displacements_lead_from_the_middle_of_the_patch_to_the_truth(dimension):
    pool = pool_of(dimension)
    batch = batch_of(pool)
    truth = pool.positions(torch.tensor([0]))[0]
    for landmark in range(3):
        voxels = cut_at(batch.patches[landmark], pool)
        torch.testing.assert_close(voxels + batch.displacements[landmark], truth[landmark].expand(40, dimension))


def test_displacements_may_be_counted_from_the_prediction_as_published():
    """Predictions at the truth itself leave nothing to be learned, wherever the patches are cut."""
    settings = dataclasses.replace(SETTINGS, counted_from="prediction")
    pool = pool_of()
    batch = batch_of(pool, settings, prediction_error=0.0, sampling_range=0.5)
    torch.testing.assert_close(batch.displacements, torch.zeros(3, 40, 3))
    assert len(cut_at(batch.patches[0], pool).unique(dim=0)) > 4


def test_predictions_err_as_much_as_told_in_voxels_of_the_first_stage():
    settings = dataclasses.replace(SETTINGS, counted_from="prediction")
    displacements = batch_of(pool_of(), settings, batch_size=400, prediction_error=0.5).displacements
    assert displacements.std().item() == pytest.approx(0.5 * POOLING, rel=0.03)
    assert displacements.mean().item() == pytest.approx(0.0, abs=0.03)


def test_patches_are_cut_no_farther_from_the_prediction_than_told():
    batch = batch_of(pool_of(), batch_size=100, prediction_error=0.0, sampling_range=0.5)
    farthest = 0.5 * POOLING
    # Rounded to whole voxels, and moved into the image.
    assert farthest - 0.5 < batch.displacements.abs().max().item() <= farthest + 0.5


@pytest.mark.parametrize("dimension", [2, 3])
def test_whole_images_are_means_and_their_positions_lie_on_the_pooled_grid(dimension):
    pool = pool_of(dimension)
    batch = batch_of(pool)
    full = pool.inputs(torch.tensor([0]))[0, 0].float() / 255.0
    block = full[(slice(POOLING),) * dimension].mean()
    assert batch.images[(0, 0, *[0] * dimension)].item() == pytest.approx(block.item(), abs=0.01)
    sides = [math.ceil(side / POOLING) for side in full.shape]
    assert list(batch.images.shape) == [5, 1, *sides]
    grid = Grid(pool.spacing_mm.double().numpy(), pool.origins_ijk[0].double().numpy(), dimension)
    truth_mm = pool.truths_mm[0, 0].double().numpy()
    expected = grid.pooled(POOLING).voxels_from_frame(truth_mm)
    np.testing.assert_allclose(batch.positions[0, 0].numpy(), expected, atol=1e-4)


def test_positions_are_pooled_to_the_middle_of_their_voxels():
    """Voxels 0, 1, 2 become one, whose middle is voxel 1."""
    assert coarse_positions(torch.tensor([0.0, 1.0, 4.0]), 3).tolist() == pytest.approx([-1 / 3, 0.0, 1.0])


def test_landmarks_nobody_placed_have_no_displacement_and_no_loss():
    pool = pool_of(cases=[map_case(present="AC")])
    samples = samples_of(pool)
    batch = next(iter(samples))
    assert torch.isnan(batch.displacements[1]).all()
    assert torch.isnan(batch.positions[:, :, 1]).all()
    assert torch.isfinite(batch.displacements[[0, 2]]).all()
    network, loss = learned(samples, batch)
    assert torch.isfinite(loss)
    assert not network.local[1].displacement[-1].bias.grad.any()
    assert network.local[0].displacement[-1].bias.grad.any()
    assert not network.coarse.output.bias.grad[1]
    assert network.coarse.output.bias.grad[0]


def test_landmarks_beyond_the_image_teach_the_first_stage_that_they_are_not_there():
    pool = pool_of()
    pool.is_inside[:, 1] = False
    samples = samples_of(pool)
    batch = next(iter(samples))
    assert batch.is_shown[:, 0].tolist() == [[True, False, True]] * 5
    assert torch.isnan(batch.displacements[1]).all()
    network, _ = learned(samples, batch)
    assert not network.local[1].displacement[-1].bias.grad.any()
    # It begins with no heat anywhere, which is the whole truth about this landmark.
    assert not network.coarse.output.bias.grad[1]
    network.coarse.output.bias.data[1] = 0.5
    learned(samples, batch, network)
    assert network.coarse.output.bias.grad[1] > 0


def learned(samples, batch, network=None):
    """Both networks with the gradient of the loss, and the loss."""
    if network is None:
        network = CascadeNetwork(SETTINGS.coarse_network(3, 3), [SETTINGS.local_network(3) for _ in LABELS])
        initialise_cascade(network)
    network.zero_grad()
    batch = dataclasses.replace(batch, images=batch.images.float(), patches=batch.patches.float())
    learner = CascadeLearner(None, SETTINGS, network, samples, weights_are_constant=True)
    loss = learner.loss(batch, 0.0)
    loss.backward()
    return network, loss


def test_the_loss_is_that_of_the_heat_plus_the_mean_distance_in_millimetres():
    """A new network answers no heat, only background, on all four outputs: the same error 1 + 0.3 + 0.6 + 0.9 times."""
    samples = samples_of(pool_of())
    batch = next(iter(samples))
    network, loss = learned(samples, batch)
    distances = (batch.displacements * SPACING_MM).norm(dim=-1)
    outputs = network.coarse.with_side_paths(batch.images.float())
    target = target_heatmaps(batch.positions[:, 0], batch.is_shown[:, 0], outputs[0].shape[2:], 1.0, 1.0)
    once = weighted_squared_error(outputs[0], target, torch.ones(5, 4, dtype=torch.bool))
    assert loss.item() == pytest.approx(2.8 * once.item() + distances.mean().item(), rel=1e-5)


def test_residuals_are_followed_in_voxels():
    samples = samples_of(pool_of())
    batch = next(iter(samples))
    network, _ = learned(samples, batch)
    errors = -batch.displacements[0]
    expected = 0.99 * torch.eye(3) + 0.01 * (errors.T @ errors) / len(errors)
    torch.testing.assert_close(network.local[0].residual_covariance, expected)


def test_ends_that_cannot_be_told_apart_are_shown_to_the_networks_of_both():
    pool = pool_of(interchangeable=[("A", "B")])
    batch = batch_of(pool, batch_size=40, prediction_error=0.0, sampling_range=0.0)
    assert batch.positions.shape == (40, 2, 3, 3)
    torch.testing.assert_close(batch.positions[:, 0, [1, 0, 2]], batch.positions[:, 1])
    nearest = {tuple(round(value, 3) for value in row) for row in batch.displacements[0].tolist()}
    assert nearest == {tuple(round(value, 3) for value in row) for row in batch.displacements[1].tolist()}
    assert len(nearest) == 2


def test_the_first_stage_learns_the_assignment_where_it_is_hottest():
    """Heat at the places of A for B, and at those of B for A: as much loss as if the labels were swapped."""
    samples = samples_of(pool_of(interchangeable=[("A", "B")]))
    batch = next(iter(samples))
    swapped = dataclasses.replace(batch, positions=batch.positions[:, [1, 0]], is_shown=batch.is_shown[:, [1, 0]])
    network, as_given = learned(samples, batch)
    _, otherwise = learned(samples, swapped)
    truth = target_heatmaps(batch.positions[:1, 1], batch.is_shown[:1, 1], (8, 8, 8), 1.0, 1.0)
    network.coarse.output.forward = lambda features: truth.expand(len(features), -1, -1, -1, -1).contiguous()
    _, right_either_way = learned(samples, batch, network)
    _, again = learned(samples, swapped, network)
    assert right_either_way.item() == pytest.approx(again.item())
    assert right_either_way.item() < min(as_given.item(), otherwise.item())


def test_heat_is_read_in_the_voxels_nearest_to_the_positions():
    heatmaps = torch.arange(2 * 3 * 4 * 5.0).view(2, 3, 4, 5)
    positions = torch.tensor([[[[0.4, 1.6], [3.0, 4.0]]], [[[9.0, -2.0], [math.nan, math.nan]]]])
    heat = heat_at(heatmaps, positions)
    assert heat.shape == (2, 1, 2)
    assert heat[0, 0].tolist() == [heatmaps[0, 0, 0, 2], heatmaps[0, 1, 3, 4]]
    assert heat[1, 0, 0] == heatmaps[1, 0, 3, 0]


def test_a_batch_goes_to_a_device_whole():
    moved = batch_of(pool_of()).to(torch.device("meta"))
    assert {getattr(moved, field.name).device.type for field in dataclasses.fields(moved)} == {"meta"}
