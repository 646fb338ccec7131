"""The multi-scale Loc-Net learns by the published schedule, from what its images show."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from blob_dataset import LABELS, blob_case
from hypothesis import given, settings
from hypothesis import strategies as st

from LandmarkDetectionLib.detectors.locnet_scales import MultiscaleLocNetSettings
from LandmarkDetectionLib.networks.locnet import centre_of_mass
from LandmarkDetectionLib.preprocessing import Preprocessing
from LandmarkDetectionLib.training.augmentation import Augmentation, Augmenter
from LandmarkDetectionLib.training.cases import TrainingCase
from LandmarkDetectionLib.training.locnet_learner import (
    MultiscaleLocNetLearner,
    cross_entropies,
    squared_errors_mm2,
)
from LandmarkDetectionLib.training.locnet_recipe import MultiscaleLocNetTraining
from LandmarkDetectionLib.training.locnet_samples import LocNetSamples
from LandmarkDetectionLib.training.locnet_schedule import scale_weights
from LandmarkDetectionLib.training.multiscale_locnet_training import MULTISCALE_LOCNET, spacing_mm
from LandmarkDetectionLib.training.pool import CasePool
from LandmarkDetectionLib.training.recipe import load_recipe
from LandmarkDetectionLib.volume import Volume

SETTINGS = MultiscaleLocNetSettings(pooling=(2, 1), crop_size=8, widths=(4, 8), heatmap="softmax", noise_mm=2.0)


class TestSchedule:
    @pytest.mark.parametrize(
        ("epoch", "expected"),
        [
            (0, (1.0, 0.0, 0.0, 0.0)),
            (125, (0.75, 0.25, 0.25, 0.25)),
            (250, (0.5, 0.5, 0.5, 0.5)),
            (375, (0.25, 0.25, 0.25, 0.75)),
            (500, (0.0, 0.0, 0.0, 1.0)),
        ],
    )
    def test_published_weights_of_four_scales_by_epoch(self, epoch, expected):
        assert scale_weights(epoch / 500, 4, middle_peak=0.5) == pytest.approx(expected)

    def test_the_peak_of_the_middle_scales_is_a_choice(self):
        assert scale_weights(0.5, 3, middle_peak=0.8) == pytest.approx((0.5, 0.8, 0.5))

    def test_no_weight_falls_below_the_least(self):
        assert scale_weights(1.0, 4, middle_peak=0.5, least=0.2) == pytest.approx((0.2, 0.2, 0.2, 1.0))
        assert scale_weights(0.1, 4, middle_peak=0.5, least=0.2) == pytest.approx((0.9, 0.2, 0.2, 0.2))

    def test_two_scales_share_the_weight_and_one_has_it_all(self):
        assert scale_weights(0.3, 2, middle_peak=0.5) == pytest.approx((0.7, 0.3))
        assert scale_weights(0.0, 1, middle_peak=0.5) == (1.0,)

    @given(done=st.floats(0.0, 1.0), scales=st.integers(1, 6))
    @settings(max_examples=50)
    def test_some_scale_always_counts_and_none_against(self, done, scales):
        weights = scale_weights(done, scales, middle_peak=0.5)
        assert len(weights) == scales
        assert min(weights) >= 0
        assert max(weights) >= 0.4


class TestLoss:
    def test_squared_distance_in_millimetres_by_hand(self):
        """Off by (1, 2) and (0, 1) voxels of 2 x 3 mm: 4 + 36 and 9 mm^2."""
        positions = torch.tensor([[1.0, 2.0], [5.0, 6.0]])
        truths = torch.tensor([[[2.0, 4.0]], [[5.0, 5.0]]])
        squares = squared_errors_mm2(positions, truths, torch.ones(2, 1, dtype=torch.bool), torch.tensor([2.0, 3.0]))
        torch.testing.assert_close(squares, torch.tensor([[40.0], [9.0]]))

    def test_missing_landmarks_neither_count_nor_teach(self):
        positions = torch.tensor([[1.0, 2.0], [5.0, 6.0]], requires_grad=True)
        truths = torch.tensor([[[torch.nan] * 2], [[5.0, 5.0]]])
        squares = squared_errors_mm2(positions, truths, torch.tensor([[False], [True]]), torch.ones(2))
        torch.testing.assert_close(squares.detach(), torch.tensor([[0.0], [1.0]]))
        squares.sum().backward()
        torch.testing.assert_close(positions.grad, torch.tensor([[0.0, 0.0], [0.0, 2.0]]))

    def test_cross_entropy_by_hand(self):
        """Channels 0, ln 2, ln 4 along a line and 0 for "nowhere": shares 1/8, 2/8, 4/8 and 1/8."""
        channels = torch.tensor([[0.0, np.log(2.0), np.log(4.0)]], dtype=torch.float32)
        positions = torch.tensor([[[1.0], [1.25], [-7.0], [torch.nan], [2.5]]])
        is_shown = torch.tensor([[True, True, True, False, True]])
        at = -np.log([1 / 8, 2 / 8, 4 / 8, 1 / 8])
        # At a voxel; between two; outside; nobody knows where; half of it beyond the last voxel.
        expected = [at[1], 0.75 * at[1] + 0.25 * at[2], at[3], at[3], 0.5 * at[2] + 0.5 * at[3]]
        found = cross_entropies(channels, positions, is_shown)
        torch.testing.assert_close(found, torch.tensor([expected], dtype=torch.float32))

    def test_cross_entropy_is_least_where_the_centre_of_mass_is_right(self):
        positions = torch.tensor([[[3.3, 4.6]]])
        channels = torch.zeros(1, 8, 8, requires_grad=True)
        optimiser = torch.optim.Adam([channels], 0.3)
        for _ in range(300):
            optimiser.zero_grad()
            cross_entropies(channels, positions, torch.ones(1, 1, dtype=torch.bool)).sum().backward()
            optimiser.step()
        weights = channels.detach().exp()[None]
        torch.testing.assert_close(centre_of_mass(weights)[0, 0], positions[0, 0], atol=0.02, rtol=0)


def pool(dimension: int, augmentation: Augmentation | None = None, **changes) -> CasePool:
    cases = [TrainingCase(volume.name, volume, truth) for volume, truth in (blob_case(s, dimension) for s in range(3))]
    frame = Preprocessing("RAS" if dimension == 3 else "LPS", (1.0, 1.0, 1.0), centre="content")
    augmenter = Augmenter(augmentation or Augmentation(), frame, dimension)
    return CasePool(cases, augmenter, **{"labels": LABELS, "interchangeable": (), "size": 4, "seed": 0, **changes})


def samples(case_pool: CasePool, **changes) -> LocNetSamples:
    return LocNetSamples(
        case_pool, SETTINGS, **{"batch_size": 2, "followed": 0, "renew_every": 100, "seed": 0, **changes}
    )


def learner(case_pool: CasePool, *, is_end_to_end: bool = True, **changes) -> MultiscaleLocNetLearner:
    torch.manual_seed(0)
    networks = SETTINGS.networks(case_pool.dimension, len(LABELS))
    drawn = samples(case_pool, **changes)
    choices = MultiscaleLocNetTraining(is_end_to_end=is_end_to_end)
    return MultiscaleLocNetLearner(None, SETTINGS, networks, drawn, choices)


@pytest.mark.parametrize("dimension", [2, 3])
def test_the_blobs_are_where_the_samples_say(dimension):
    batch = next(iter(samples(pool(dimension))))
    assert batch.truths.shape == (2, 1, 3, dimension)
    finest = batch.scales[-1].images
    for image, positions in zip(finest, batch.truths[:, 0].round().long(), strict=True):
        bright, middle, dim = (int(image[tuple(position)]) for position in positions)
        assert bright >= middle >= dim > 60


def test_images_end_anywhere_around_their_content():
    drawn = iter(samples(pool(3), batch_size=1))
    batches = [next(drawn) for _ in range(24)]
    sides = {tuple(batch.scales[-1].images.shape[1:]) for batch in batches}
    positions = torch.cat([batch.truths[:, 0, 0] for batch in batches])
    assert 5 < len(sides) < 20
    assert max(max(side) for side in sides) <= 24 + 8 * SETTINGS.pooling[0]
    assert torch.all(positions.amax(0) - positions.amin(0) > 8)


def test_shifts_are_uniform_within_the_noise_on_both_sides():
    drawn = iter(samples(pool(3), batch_size=64))
    shifts = torch.cat([next(drawn).shifts for _ in range(4)]).flatten()
    assert shifts.min() >= -2.0
    assert shifts.max() <= 2.0
    assert shifts.mean().abs() < 0.15
    assert shifts.std().item() == pytest.approx(4.0 / 12**0.5, rel=0.05)


def test_landmarks_out_of_view_are_known_not_to_be_shown():
    cut = Augmentation(crop_mm=(12.0,) * 6)
    drawn = iter(samples(pool(3, cut, size=16), batch_size=32))
    batches = [next(drawn) for _ in range(4)]
    is_shown = torch.cat([batch.is_shown for batch in batches])[:, 0]
    assert is_shown.any(1).all()
    assert not is_shown.all()
    assert all(torch.isfinite(batch.truths).all() for batch in batches)


def test_unknown_landmarks_are_neither_asked_for_nor_said_to_be_absent():
    case_pool = pool(3)
    case_pool.truths_mm[:, :, 1] = torch.nan
    case_pool.is_inside[:, 1] = False
    taught = learner(case_pool)
    loss = taught.loss(next(iter(taught.samples)), 0.5)
    loss.backward()
    for network in taught.network:
        silent, others = network.output.weight.grad[1], network.output.weight.grad[[0, 2]]
        assert torch.isfinite(network.output.weight.grad).all()
        assert not silent.any()
        assert others.abs().max() > 0


def test_some_landmarks_of_a_batch_are_followed_to_the_finer_scales():
    case_pool = pool(3)
    taught = learner(case_pool, followed=4)
    drawn = iter(taught.samples)
    first, second = next(drawn), next(drawn)
    assert len(first.followed.unique()) == 4
    assert first.shifts.shape == (4, 3)
    assert sorted(first.followed.tolist()) != sorted(second.followed.tolist())
    coarse, fine = taught._sightings(first)
    assert len(coarse.positions) == 2 * 3
    assert fine.landmarks.tolist() == (first.followed % 3).tolist()
    assert fine.cases.tolist() == (first.followed // 3).tolist()


def test_interchangeable_ends_may_be_found_either_way():
    case_pool = pool(3, interchangeable=(("bright", "dim"),))
    batch = next(iter(samples(case_pool)))
    assert batch.truths.shape == (2, 2, 3, 3)
    torch.testing.assert_close(batch.truths[:, 1], batch.truths[:, 0][:, [2, 1, 0]])
    swapped = dataclasses.replace(batch, truths=batch.truths.flip(1), is_shown=batch.is_shown.flip(1))
    taught = learner(case_pool)
    torch.testing.assert_close(taught.loss(batch, 0.5), taught.loss(swapped, 0.5))


def test_the_last_scale_alone_counts_in_its_turn():
    """Its loss is that at the end of an end-to-end training, when the coarsest counts no more."""
    case_pool = pool(3)
    together, in_turn = (learner(case_pool, is_end_to_end=chosen) for chosen in (True, False))
    batch = next(iter(together.samples))
    torch.testing.assert_close(in_turn.loss(batch, 0.0), together.loss(batch, 1.0))


@pytest.mark.parametrize("dimension", [2, 3])
def test_the_loss_falls(dimension):
    taught = learner(pool(dimension))
    optimiser = torch.optim.Adam(taught.network.parameters(), 5e-3)
    losses = []
    for step, batch in zip(range(40), taught.samples, strict=False):
        loss = taught.loss(batch, step / 40)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:3])


def test_voxels_are_not_finer_than_the_images():
    volume, truth = blob_case(0)
    assert spacing_mm([TrainingCase("case", volume, truth)], {"pooling": [4, 2, 1]}) == 1.0


def test_the_coarsest_scale_sees_the_whole_image_in_few_voxels():
    volume, truth = blob_case(0)
    ijk_to_ras = np.diag([10.0, 10.0, 10.0, 1.0])
    large = TrainingCase("large", Volume(np.tile(volume.voxels, (2, 2, 10)), ijk_to_ras), truth)
    # 2400 mm in 30 voxels of the coarsest scale, which are 4 of the model's.
    assert spacing_mm([large], {"pooling": [4, 2, 1]}) == 2400 / 30 / 4


@pytest.mark.parametrize("preset", ["quick", "standard", "paper"])
def test_presets_are_complete(preset):
    recipe = load_recipe(MULTISCALE_LOCNET, preset)
    assert recipe.optimisation.batch_size == 1
    assert recipe.method.middle_peak == 0.5


def test_the_paper_preset_is_the_paper():
    recipe = load_recipe(MULTISCALE_LOCNET, "paper")
    assert MultiscaleLocNetSettings(**recipe.network) == MultiscaleLocNetSettings()
    assert recipe.optimisation.learning_rate == 5e-4
    assert recipe.optimisation.constant_rate
    # 500 epochs of the paper's 167 cases.
    assert recipe.optimisation.steps == 500 * 167
