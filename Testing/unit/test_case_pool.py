"""The pool holds variants of every case on one grid, landmarks and voxels together."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from LandmarkDetectionLib.geometry import apply_affine
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.preprocessing import Preprocessing
from LandmarkDetectionLib.training.augmentation import Augmentation, Augmenter
from LandmarkDetectionLib.training.cases import TrainingCase
from LandmarkDetectionLib.training.patch_pool import PatchPool
from LandmarkDetectionLib.training.pool import CasePool, renewing
from LandmarkDetectionLib.volume import Volume

LABELS = ("A", "B")
PATCH = 5
MARGIN = PATCH // 2


def blob_case(name, size, blob_ijk, spacing_mm=(1.0, 1.0, 1.0), *, b_ijk=None) -> TrainingCase:
    """A Gaussian blob at landmark A; B lies where it is told, or is missing."""
    k, j, i = np.indices(size[::-1])
    offsets_mm = (np.stack([i, j, k], axis=-1) - blob_ijk) * spacing_mm
    voxels = np.round(200 * np.exp(-(offsets_mm**2).sum(-1) / (2 * 2.0**2))).astype(np.uint8)
    ijk_to_ras = np.diag([*spacing_mm, 1.0])
    ijk_to_ras[:3, 3] = 7.0, -20.0, 3.0
    b_ras = None if b_ijk is None else apply_affine(ijk_to_ras, b_ijk)
    landmarks = LandmarkSet({"A": apply_affine(ijk_to_ras, blob_ijk), "B": b_ras})
    return TrainingCase(name, Volume(voxels, ijk_to_ras, name), landmarks)


def pool_of(cases, size, augmentation=None, *, dimension=3, interchangeable=(), seed=0, centre="foreground"):
    preprocessing = Preprocessing("RAS", (1.0, 1.0, 1.0), centre=centre)
    augmenter = Augmenter(augmentation or Augmentation(), preprocessing, dimension)
    return PatchPool(
        cases, augmenter, labels=LABELS, interchangeable=interchangeable, size=size, patch_size=PATCH, seed=seed
    )


VOLUMES = [
    blob_case("small", (20, 16, 12), (6, 9, 7), b_ijk=(12, 4, 3)),
    blob_case("long", (14, 30, 18), (4, 22, 8), b_ijk=(9, 8, 9)),
    blob_case("anisotropic", (15, 12, 10), (8, 4, 5), (1.2, 1.5, 2.0), b_ijk=(3, 8, 2)),
]


def voxels_of(pool, slot):
    """The entry's voxels [k, j, i] without margin, from its stack of axial planes."""
    stack = pool.stacks[-1][slot]
    margin_k = 0 if stack.shape[0] == 1 else MARGIN
    depth = stack.shape[0] - 2 * margin_k
    return stack[margin_k : margin_k + depth, MARGIN:-MARGIN, MARGIN:-MARGIN].numpy()


def blob_mm(pool, slot):
    """Frame position of the bright blob, found in the entry's voxels."""
    voxels = voxels_of(pool, slot)
    k, j, i = np.nonzero(voxels > 130)
    centre_ijk = np.average(np.stack([i, j, k], axis=-1), axis=0, weights=voxels[k, j, i])
    return (centre_ijk - pool.origins_ijk[slot].numpy()) * pool.spacing_mm.numpy()


@pytest.mark.parametrize("centre", ["foreground", "content"])
@pytest.mark.parametrize(
    "augmentation",
    [Augmentation(), Augmentation(rotation_deg=20.0, scale=0.1, stretch=0.05, centre_shift_mm=3.0)],
    ids=["plain", "augmented"],
)
def test_true_positions_and_voxels_of_every_entry_agree(centre, augmentation):
    pool = pool_of(VOLUMES, 12, augmentation, centre=centre)
    assert len(pool) == 12
    for slot in range(12):
        np.testing.assert_allclose(blob_mm(pool, slot), pool.truths_mm[slot, 0, 0].numpy(), atol=0.6)


def test_pictures_agree_too_and_stay_one_slice_thick():
    pictures = [blob_case("p", (30, 22, 1), (9, 12, 0)), blob_case("q", (18, 26, 1), (11, 8, 0))]
    pool = pool_of(pictures, 10, Augmentation(rotation_deg=30.0, mirror=True, scale=0.1), dimension=2)
    assert len(pool.stacks) == 1
    assert pool.size_ijk.tolist() == [30, 30, 1]
    for slot in range(10):
        np.testing.assert_allclose(blob_mm(pool, slot), pool.truths_mm[slot, 0, 0].numpy(), atol=0.6)


def test_grid_holds_the_longest_side_of_any_case_in_every_direction():
    pool = pool_of(VOLUMES, 3)
    assert pool.size_ijk.tolist() == [30, 30, 30]
    middle = pool.size_ijk.numpy() / 2
    assert np.all(np.abs(pool.origins_ijk.numpy() - middle) <= 1.0), "the frame begins near the middle"
    for slot, (case, sides) in enumerate(zip(VOLUMES[:2], [(20, 16, 12), (14, 30, 18)], strict=True)):
        assert (voxels_of(pool, slot) > 0).sum() <= np.prod(sides), case.name


def test_all_three_stacks_hold_the_same_voxels():
    pool = pool_of(VOLUMES, 3)
    across_i, across_j, across_k = pool.stacks
    assert torch.equal(across_i.permute(0, 2, 3, 1), across_k)
    assert torch.equal(across_j.permute(0, 2, 1, 3), across_k)


def test_cases_are_taken_in_turn_and_the_oldest_entry_goes_first():
    bright = [blob_case(str(level), (9, 9, 9), (4, 4, 4), b_ijk=(level, 1, 1)) for level in (1, 2, 3)]
    pool = pool_of(bright, 4)
    b_minus_a = (pool.truths_mm[:, 0, 1] - pool.truths_mm[:, 0, 0])[:, 0]
    assert (b_minus_a + 4).round().tolist() == [1, 2, 3, 1]
    pool.renew(3)
    b_minus_a = (pool.truths_mm[:, 0, 1] - pool.truths_mm[:, 0, 0])[:, 0]
    assert (b_minus_a + 4).round().tolist() == [2, 3, 1, 1]


def test_renewed_entries_are_new_variants():
    pool = pool_of(VOLUMES, 3, Augmentation(rotation_deg=20.0, noise=0.1))
    before = pool.truths_mm.clone(), pool.stacks[-1].clone()
    pool.renew(2)
    assert not torch.allclose(pool.truths_mm[:2], before[0][:2])
    assert not torch.equal(pool.stacks[-1][:2], before[1][:2])
    assert torch.equal(pool.truths_mm[2], before[0][2])
    assert torch.equal(pool.stacks[-1][2], before[1][2])


def test_same_seed_gives_the_same_pool():
    look = Augmentation(rotation_deg=20.0, scale=0.1, gamma=0.3, noise=0.1, blur_mm=1.0, bias=0.2)
    first, again, other = (pool_of(VOLUMES, 6, look, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.truths_mm, again.truths_mm)
    assert torch.equal(first.stacks[-1], again.stacks[-1])
    assert not torch.equal(first.stacks[-1], other.stacks[-1])


def test_missing_landmarks_are_no_numbers_and_their_cases_no_shapes():
    pool = pool_of([VOLUMES[0], blob_case("lacks B", (20, 16, 12), (6, 9, 7))], 4)
    assert torch.isnan(pool.truths_mm[1::2, 0, 1]).all()
    assert torch.isfinite(pool.truths_mm[::2]).all()
    assert torch.isfinite(pool.truths_mm[:, 0, 0]).all()
    assert pool.shapes_mm().shape == (2, 2, 3)


def test_interchangeable_ends_come_in_both_orders_the_likelier_first():
    ends = [blob_case("ends", (30, 20, 1), (4, 10, 0), b_ijk=(25, 10, 0))]
    pool = pool_of(ends, 20, Augmentation(mirror=True), dimension=2, interchangeable=[("A", "B")])
    assert pool.truths_mm.shape == (20, 2, 2, 3)
    first, second = pool.truths_mm[:, 0], pool.truths_mm[:, 1]
    np.testing.assert_allclose(first, second.flip(1), atol=1e-5)
    # A was on the left: in a mirror image too, the end on the left is taken for it.
    assert (first[:, 0, 0] < first[:, 1, 0]).all()
    blobs = np.array([blob_mm(pool, slot) for slot in range(20)])
    is_mirrored = blobs[:, 0] > 0
    assert 0 < is_mirrored.sum() < 20
    np.testing.assert_allclose(blobs[is_mirrored], first[is_mirrored, 1].numpy(), atol=0.6)
    np.testing.assert_allclose(blobs[~is_mirrored], first[~is_mirrored, 0].numpy(), atol=0.6)


def test_two_pairs_can_be_swapped_in_four_ways():
    case = blob_case("ends", (30, 20, 1), (4, 10, 0), b_ijk=(25, 10, 0))
    landmarks = LandmarkSet({**case.landmarks, "C": (10.0, -15.0, 3.0), "D": (12.0, -9.0, 3.0)})
    augmenter = Augmenter(Augmentation(), Preprocessing("RAS", (1.0, 1.0, 1.0)), 2)
    pool = PatchPool(
        [TrainingCase("four", case.volume, landmarks)],
        augmenter,
        labels="ABCD",
        interchangeable=[("A", "B"), ("C", "D")],
        size=1,
        patch_size=PATCH,
        seed=0,
    )
    a, b, c, d = pool.truths_mm[0, 0].tolist()
    orders = [[a, b, c, d], [a, b, d, c], [b, a, c, d], [b, a, d, c]]
    assert pool.truths_mm[0, 0].tolist() == orders[0]
    assert sorted(pool.truths_mm[0].tolist()) == sorted(orders)


def whole_images(cases, size, augmentation=None, dimension=3):
    preprocessing = Preprocessing("RAS", (1.0, 1.0, 1.0))
    augmenter = Augmenter(augmentation or Augmentation(), preprocessing, dimension)
    return CasePool(cases, augmenter, labels=LABELS, interchangeable=(), size=size, seed=0)


def test_whole_images_and_plane_stacks_hold_the_same_voxels():
    images, stacks = whole_images(VOLUMES, 3), pool_of(VOLUMES, 3)
    for slot in range(3):
        np.testing.assert_array_equal(images.images[slot].numpy(), voxels_of(stacks, slot))


def test_positions_are_voxels_of_the_image_in_array_order():
    pool = whole_images(VOLUMES, 3)
    cases = torch.tensor([1, 0])
    inputs, positions = pool.inputs(cases), pool.positions(cases)
    assert inputs.shape == (2, 1, 30, 30, 30)
    for image, (blob, _) in zip(inputs[:, 0], positions, strict=True):
        k, j, i = blob.round().long().tolist()
        assert image[k, j, i] == image.max()


def test_more_variants_may_be_made_of_a_case_of_a_rare_size():
    cases = [
        blob_case("large", (20, 20, 20), (4, 10, 10), b_ijk=(16, 10, 10)),
        blob_case("as large", (20, 20, 20), (4, 10, 10), b_ijk=(16, 10, 10)),
        blob_case("small", (20, 20, 20), (8, 10, 10), b_ijk=(11, 10, 10)),
    ]
    pool = whole_images(cases, 4, Augmentation(balance_sizes=True))
    apart_mm = (pool.truths_mm[:, 0, 0] - pool.truths_mm[:, 0, 1]).norm(dim=-1)
    np.testing.assert_allclose(apart_mm, [12.0, 12.0, 3.0, 3.0], atol=1e-4)


def test_pictures_have_positions_and_inputs_of_two_axes():
    picture = blob_case("picture", (12, 10, 1), (5, 3, 0), b_ijk=(2, 2, 0))
    pool = whole_images([picture], 1, dimension=2)
    (image,) = pool.inputs(torch.tensor([0]))[:, 0]
    j, i = pool.positions(torch.tensor([0]))[0, 0].round().long().tolist()
    assert image.ndim == 2
    assert image[j, i] == image.max()


def test_landmark_that_is_cut_off_is_not_inside():
    case = blob_case("cut", (20, 12, 12), (4, 6, 6), b_ijk=(18, 6, 6))
    texture = np.random.default_rng(0).integers(1, 40, case.volume.voxels.shape, dtype=np.uint8)
    case = TrainingCase(case.name, Volume(case.volume.voxels + texture, case.volume.ijk_to_ras, "cut"), case.landmarks)
    pool = whole_images([case], 30, Augmentation(crop_mm=(0.0, 6.0, 0.0, 0.0, 0.0, 0.0)))
    assert pool.is_inside[:, 0].all()
    assert 3 <= (~pool.is_inside[:, 1]).sum() <= 18, "half of the variants are cropped, most of them by more than 2 mm"


def test_black_corners_of_a_turned_volume_show_nothing():
    """What was cut off at its face still lies in the box around the turned voxels, half of the time."""
    case = blob_case("cut", (20, 20, 20), (4, 10, 10), b_ijk=(18, 2, 2))
    texture = np.random.default_rng(0).integers(1, 40, case.volume.voxels.shape, dtype=np.uint8)
    case = TrainingCase(case.name, Volume(case.volume.voxels + texture, case.volume.ijk_to_ras, "cut"), case.landmarks)
    cut = {"crop_mm": (0.0, 6.0, 0.0, 0.0, 0.0, 0.0)}
    still = whole_images([case], 40, Augmentation(**cut))
    turned = whole_images([case], 40, Augmentation(**cut, rotation_deg=40.0))
    assert (~turned.is_inside[:, 1]).sum() >= 0.7 * (~still.is_inside[:, 1]).sum() > 5


def test_one_entry_is_renewed_after_every_few_batches():
    pool = whole_images(VOLUMES, 3, Augmentation(rotation_deg=20.0))
    batches = renewing(pool, pool.truths_mm.clone, renew_every=2)
    first, second, third = next(batches), next(batches), next(batches)
    assert torch.equal(first, second)
    assert [torch.equal(before, after) for before, after in zip(second, third, strict=True)] == [False, True, True]


@pytest.mark.parametrize(("affordable", "held"), [(5.5, 5), (0.5, len(VOLUMES)), (100, 8)])
def test_a_pool_out_of_proportion_holds_fewer_variants_but_every_case(affordable, held, monkeypatch, caplog):
    bytes_each = whole_images(VOLUMES, 1).images.numel()
    monkeypatch.setattr("LandmarkDetectionLib.training.pool._MOST_BYTES", affordable * bytes_each)
    pool = whole_images(VOLUMES, 8)
    assert len(pool) == len(pool.images) == held
    said = [] if held == 8 else [f"Instead of 8 variants, {held} are held: they take 0.0 GB."]
    assert [record.getMessage() for record in caplog.records] == said


def test_plane_stacks_count_for_what_they_take(monkeypatch):
    bytes_each = sum(stack.numel() for stack in pool_of(VOLUMES, 1).stacks)
    monkeypatch.setattr("LandmarkDetectionLib.training.pool._MOST_BYTES", 4.5 * bytes_each)
    assert len(pool_of(VOLUMES, 8)) == 4


def test_making_the_first_variants_is_shown(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    pool = whole_images(VOLUMES, 4)
    shown = capsys.readouterr().err
    assert "Making variants (0.0 GB)" in shown
    assert "0/4" in shown
    pool.renew(1)
    assert capsys.readouterr().err == ""
