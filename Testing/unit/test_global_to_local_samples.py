"""Training samples show what their positions say: parts of images, and small images that hold their landmark."""

from __future__ import annotations

import pytest
import torch
from blob_dataset import LABELS, blob_case

from LandmarkDetectionLib.detectors.equalisation import equalised
from LandmarkDetectionLib.detectors.global_to_local import GlobalToLocalNetworkSettings
from LandmarkDetectionLib.detectors.windowed_image import as_network_input
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.preprocessing import Preprocessing
from LandmarkDetectionLib.training.augmentation import Augmentation, Augmenter
from LandmarkDetectionLib.training.cases import TrainingCase
from LandmarkDetectionLib.training.global_to_local_samples import GlobalToLocalBatch, GlobalToLocalSamples
from LandmarkDetectionLib.training.pool import CasePool

LOCAL_SIZE, PART_SIZE = 8, 14
POOL_SIZE = 6
every_axis = pytest.mark.parametrize(("dimension", "axis"), [(2, 0), (2, 1), (3, 0), (3, 1), (3, 2)])
"""In array order."""


def pool(dimension=3, absent=None, interchangeable=(), crop_mm=()) -> CasePool:
    cases = []
    for seed in range(3):
        volume, truth = blob_case(seed, dimension)
        cases.append(TrainingCase(volume.name, volume, LandmarkSet({**truth, **(absent or {})})))
    preprocessing = Preprocessing("RAS" if dimension == 3 else "LPS", (1.0, 1.0, 1.0), centre="content")
    augmenter = Augmenter(Augmentation(crop_mm=crop_mm), preprocessing, dimension)
    return CasePool(cases, augmenter, labels=LABELS, interchangeable=interchangeable, size=POOL_SIZE, seed=0)


def batches(
    source: CasePool, count=8, *, equalise=False, part_size=PART_SIZE, reach=LOCAL_SIZE // 2, seed=0
) -> list[GlobalToLocalBatch]:
    """As many as asked for; no case is replaced meanwhile."""
    settings = GlobalToLocalNetworkSettings(local_size=LOCAL_SIZE, histogram_equalisation=equalise)
    sizes = {"batch_size": 4, "local_batch_size": 3, "local_reach": reach, "part_size": part_size}
    samples = iter(GlobalToLocalSamples(source, settings, **sizes, renew_every=1000, seed=seed))
    return [next(samples) for _ in range(count)]


def put_ruler(source: CasePool, axis: int) -> None:
    """Let every image show 5 (1 + the voxel's own index along an axis in array order), so that parts say where from."""
    side = source.images.shape[axis - source.dimension]
    marks = 5 * torch.arange(1, side + 1)
    source.images[:] = marks.reshape(-1, *[1] * (source.dimension - 1 - axis)).to(torch.uint8)


def index_on_ruler(shown: torch.Tensor) -> torch.Tensor:
    return (shown.float() * 255.0 / 5.0).round() - 1.0


def shown_at(images, positions):
    """What images (batch, *sides) show at the voxels nearest to positions (batch, d), and how far off these are."""
    voxels = positions.round().long()
    return images[(torch.arange(len(images)), *voxels.unbind(-1))], positions - voxels


def true_positions(source: CasePool) -> torch.Tensor:
    return source.positions(torch.arange(POOL_SIZE))


def are_among(found, true):
    """Whether each row (count, n) is one of the true rows (cases, n)."""
    return (found[:, None] - true).abs().amax(-1).amin(1) < 1e-3


@every_axis
def test_parts_show_the_landmarks_at_their_positions(dimension, axis):
    source = pool(dimension)
    put_ruler(source, axis)
    for batch in batches(source):
        assert batch.images.shape == (4, 1, *[PART_SIZE] * dimension)
        first = index_on_ruler(batch.images.flatten(1)[:, 0])
        assert are_among(batch.positions[:, 0, :, axis] + first[:, None], true_positions(source)[..., axis]).all()


def test_parts_begin_anywhere_in_the_image():
    source = pool()
    put_ruler(source, 1)
    firsts = index_on_ruler(torch.cat([batch.images.flatten(1)[:, 0] for batch in batches(source, 40)]))
    side = source.images.shape[2]
    assert firsts.unique().tolist() == list(range(side - PART_SIZE + 1))


def test_an_image_that_is_smaller_than_a_part_is_taken_whole():
    source = pool()
    (batch,) = batches(source, 1, part_size=500)
    assert batch.images.shape[2:] == source.images.shape[1:]


@every_axis
def test_small_images_always_hold_their_landmark_and_show_it_where_they_say(dimension, axis):
    source = pool(dimension)
    put_ruler(source, axis)
    for batch in batches(source, 20):
        assert batch.local_images.shape == (3, len(LABELS), *[LOCAL_SIZE] * dimension)
        assert (batch.local_positions >= -0.5).all()
        assert (batch.local_positions <= LOCAL_SIZE - 0.5).all()
        for landmark, true in enumerate(true_positions(source)[..., axis].T):
            shown, rest = shown_at(batch.local_images[:, landmark], batch.local_positions[:, landmark])
            assert are_among((index_on_ruler(shown) + rest[:, axis])[:, None], true[:, None]).all()


def test_landmarks_lie_anywhere_in_their_small_images():
    positions = torch.cat([batch.local_positions.flatten(0, 1) for batch in batches(pool(), 60)])
    counts = torch.stack([(positions.round() == voxel).float().mean(0) for voxel in range(LOCAL_SIZE)])
    assert counts.min() > 0.5 / LOCAL_SIZE


def test_landmarks_lie_within_reach_of_the_middle_of_their_small_images():
    """Voxels 2 to 5 of 8 lie within 2 voxels of the middle, which is at 3.5."""
    positions = torch.cat([batch.local_positions.flatten(0, 1) for batch in batches(pool(), 20, reach=2)])
    assert positions.round().unique().tolist() == [2.0, 3.0, 4.0, 5.0]


def test_missing_landmarks_have_no_position_but_a_small_image():
    for batch in batches(pool(absent={"middle": None})):
        assert batch.positions[:, 0, 1].isnan().all()
        assert batch.local_positions[:, 1].isnan().all()
        assert batch.local_images.isfinite().all()
        assert batch.local_positions[:, [0, 2]].isfinite().all()


def test_landmarks_outside_the_field_of_view_keep_their_place_but_are_not_shown():
    source = pool(crop_mm=(0.0, 18.0, 0.0, 0.0, 0.0, 0.0))
    assert not source.is_inside.all()
    put_ruler(source, 2)
    hidden = 0
    for batch in batches(source, 30):
        assert batch.positions.isfinite().all()
        hidden += int((~batch.is_shown).sum())
        for landmark, true in enumerate(true_positions(source)[..., 2].T):
            is_known = batch.local_positions[:, landmark].isfinite().all(-1)
            shown, rest = shown_at(batch.local_images[is_known, landmark], batch.local_positions[is_known, landmark])
            visible = true[source.is_inside[:, landmark]]
            assert are_among((index_on_ruler(shown) + rest[:, 2])[:, None], visible[:, None]).all()
    assert 0 < hidden < 30 * 4 * len(LABELS)


def test_interchangeable_labels_come_in_every_assignment():
    source = pool(interchangeable=[("bright", "dim")])
    put_ruler(source, 2)
    ends = []
    for batch in batches(source, 20):
        assert batch.positions.shape == (4, 2, 3, 3)
        torch.testing.assert_close(batch.positions[:, 1], batch.positions[:, 0, [2, 1, 0]])
        assert batch.is_shown.all()
        shown, rest = shown_at(batch.local_images[:, 0], batch.local_positions[:, 0])
        ends.append(are_among((index_on_ruler(shown) + rest[:, 2])[:, None], true_positions(source)[:, [0], 2]))
    share = torch.cat(ends).float().mean()
    assert 0.25 < share < 0.75, "the local network of either label sees both ends"


def test_visibility_follows_the_landmark_when_labels_are_swapped():
    source = pool(interchangeable=[("bright", "dim")])
    source.is_inside[:] = torch.tensor([True, True, False])
    (batch,) = batches(source, 1)
    assert batch.is_shown[:, 0].tolist() == [[True, True, False]] * 4
    assert batch.is_shown[:, 1].tolist() == [[False, True, True]] * 4


def test_images_are_equalised_as_in_detection():
    source = pool(2)
    (batch,) = batches(source, 1, equalise=True, part_size=500)
    whole = as_network_input(equalised(source.inputs(torch.arange(POOL_SIZE))))
    assert are_among(batch.images.flatten(1), whole.flatten(1)).all()
    assert not torch.equal(whole, as_network_input(source.inputs(torch.arange(POOL_SIZE))))


def test_the_same_seed_gives_the_same_batches():
    one, same, other = (batches(pool(), 3, seed=seed)[-1] for seed in (1, 1, 2))
    assert torch.equal(one.images, same.images)
    assert torch.equal(one.local_images, same.local_images)
    assert not torch.equal(one.local_images, other.local_images)


def test_a_batch_moves_to_a_device_whole():
    (batch,) = batches(pool(), 1)
    moved = batch.to(torch.device("meta"))
    assert {value.device.type for value in vars(moved).values()} == {"meta"}
    assert {name: value.shape for name, value in vars(moved).items()} == {
        name: value.shape for name, value in vars(batch).items()
    }


def test_positions_keep_their_precision_beside_reduced_images():
    (batch,) = batches(pool(), 1)
    assert batch.positions.dtype == batch.local_positions.dtype == torch.float32
