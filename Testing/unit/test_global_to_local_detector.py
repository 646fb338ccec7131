"""Global-to-local finds what its networks see, where they see it, in volumes and pictures of any size."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from LandmarkDetectionLib.detectors.base import Located
from LandmarkDetectionLib.detectors.equalisation import equalised
from LandmarkDetectionLib.detectors.global_to_local import (
    GLOBAL_PREFIX,
    GlobalToLocalNetworkSettings,
    local_prefix,
)
from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.errors import DetectionCancelled, LandmarkDetectionError
from LandmarkDetectionLib.geometry import apply_affine
from LandmarkDetectionLib.models.bundle import ModelBundle
from LandmarkDetectionLib.models.card import ModelCard
from LandmarkDetectionLib.models.record import parse_record
from LandmarkDetectionLib.networks.global_to_local import VotingNetwork
from LandmarkDetectionLib.preprocessing import canonical_volume
from LandmarkDetectionLib.volume import Volume

LABELS = ("A", "B")
SMALL = {
    "first_width": 2,
    "widths": [2, 2],
    "pairs": [1, 2],
    "head_width": 2,
    "local_widths": [2, 2],
    "local_head_width": 2,
}
"""Patches of 8 voxels in both dimensions."""
GAIN = 100.0


def see_brightness(network: VotingNetwork) -> dict[str, torch.Tensor]:
    """Weights with which the logit of a patch is GAIN times what its mean brightness, from 0 to 1, exceeds 1/8.

    No patch is displaced from its own centre.
    """
    for name, parameter in network.named_parameters():
        if "normalisation" not in name:
            nn.init.zeros_(parameter)
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d) and max(layer.kernel_size) == 1 and name.endswith("convolution"):
            layer.weight.data[:, 0] = 1.0
        if isinstance(layer, nn.Conv2d | nn.Conv3d) and max(layer.kernel_size) == 7:
            middle = (slice(None), 0, *[slice(3, 5)] * (layer.weight.ndim - 2))
            layer.weight.data[middle] = 1.0 / 2 ** (layer.weight.ndim - 2)
    if network.classification is not None:
        network.classification[-1].weight.data[:, 0] = GAIN
        network.classification[-1].bias.data.fill_(-GAIN / 8)
    return network.state_dict()


def bundle(dimension=3, inference=None, displaced=None, spacing_mm=1.0, **network) -> ModelBundle:
    """A model that finds the brightest spot under both labels; `displaced` is added by the local network of B."""
    chosen = {**SMALL, **network}
    settings = parse_record(GlobalToLocalNetworkSettings, chosen, "test")
    tensors = see_brightness(settings.global_network(dimension, len(LABELS), is_normalised=True))
    tensors = {f"{GLOBAL_PREFIX}{name}": value for name, value in tensors.items()}
    for index in range(len(LABELS)):
        local = see_brightness(settings.local_network(dimension, 1, is_normalised=True))
        if displaced is not None and index == 1:
            local["regression.4.bias"] = torch.tensor(displaced)
        tensors |= {f"{local_prefix(index)}{name}": value for name, value in local.items()}
    tensors = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
    return ModelBundle(card(dimension, chosen, inference or {}, spacing_mm), tensors, None, "0" * 64)


def card(dimension, network, inference, spacing_mm) -> ModelCard:
    content = {
        "format_version": 1,
        "name": "brightest",
        "version": "1.0",
        "method": "global-to-local",
        "modality": "any",
        "anatomy": "any",
        "dimension": dimension,
        "description": "Finds the brightest spot.",
        "landmarks": [{"label": label} for label in LABELS],
        "preprocessing": {
            "orientation": "RAS" if dimension == 3 else "LPS",
            "spacing_mm": [spacing_mm] * 3,
            "low_percentile": 0.0,
            "high_percentile": 100.0,
        },
        "network": network,
        "inference": inference,
        "field_of_view_mm": {"minimum": [20.0, 20.0, 1.0], "maximum": [60.0, 60.0, 60.0]},
        "rotation_range_deg": 0.0,
        "training": {"data": "none", "cases": 0, "licence": "CC0-1.0", "preset": "none"},
        "licence": "CC0-1.0",
        "citation": "nobody",
        "limitations": "Finds nothing else.",
    }
    return ModelCard.from_json(content)


def image(*spots_ijk, size=(45, 38, 33), dtype=np.float32, spacing_mm=1.0) -> Volume:
    """A dim image with cubes of 4 voxels (squares in 2D) whose first voxels are given; nothing at its faces is 0."""
    voxels = np.ones(size[::-1], dtype)
    for i, j, k in spots_ijk:
        voxels[k : k + 4, j : j + 4, i : i + 4] = 201
    ijk_to_ras = np.diag([spacing_mm] * 3 + [1.0]) if size[2] > 1 else np.diag([-spacing_mm, -spacing_mm, 1.0, 1.0])
    # Neither flat nor, but for one voxel, 0: the intensity window goes from just above the least voxel to the largest.
    voxels[-1, -1, -1] = 0
    return Volume(voxels, ijk_to_ras, "spots")


def picture(*spots_ij, size=(45, 38), **settings) -> Volume:
    return image(*((i, j, 0) for i, j in spots_ij), size=(*size, 1), **settings)


def ijk_of(detection, volume):
    """Found positions (n, 3) as voxel indices."""
    found = np.array([mark.position_ras for mark in detection.landmarks])
    return apply_affine(np.linalg.inv(volume.ijk_to_ras), found)


@pytest.mark.parametrize("spot", [(20, 12, 8), (21, 13, 9), (0, 0, 0), (40, 33, 28), (5, 30, 17)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_spot_in_a_volume_is_found_in_its_middle(spot, dtype):
    volume = image(spot, dtype=dtype)
    before = volume.voxels.copy()
    detection = load_detector(bundle(), "cpu").detect(volume)
    np.testing.assert_allclose(ijk_of(detection, volume), [np.add(spot, 1.5)] * 2, atol=0.6)
    np.testing.assert_array_equal(volume.voxels, before)


@pytest.mark.parametrize("spot", [(20, 12), (21, 13), (0, 0), (40, 33), (5, 30)])
def test_spot_in_a_picture_is_found_in_its_middle(spot):
    volume = picture(spot)
    detection = load_detector(bundle(2), "cpu").detect(volume)
    np.testing.assert_allclose(ijk_of(detection, volume), [(*np.add(spot, 1.5), 0.0)] * 2, atol=0.6)


def test_global_network_alone_finds_the_patch():
    """The spot lies in the second, third and fourth patch along i, j and k: 8 to 15, 16 to 23 and 24 to 31."""
    volume = image((10, 18, 26))
    detection = load_detector(bundle(inference={"local_passes": 0}), "cpu").detect(volume)
    np.testing.assert_allclose(ijk_of(detection, volume), [[11.5, 19.5, 27.5]] * 2, atol=0.05)
    assert detection.path_ras.shape == (1, 2, 3)


def test_path_leads_from_the_global_to_the_local_estimate():
    volume = image((9, 17, 28))
    whole = load_detector(bundle(), "cpu").detect(volume)
    rough = load_detector(bundle(inference={"local_passes": 0}), "cpu").detect(volume)
    assert whole.path_ras.shape == (2, 2, 3)
    np.testing.assert_array_equal(whole.path_ras[0], rough.path_ras[0])
    np.testing.assert_array_equal(whole.path_ras[1], [mark.position_ras for mark in whole.landmarks])
    assert np.linalg.norm(whole.path_ras[1] - whole.path_ras[0], axis=1).min() > 1.0


def test_a_second_pass_begins_where_the_first_ended():
    """The local network of B goes 5 voxels on along i each time, and no farther than the image."""
    volume = image((20, 12, 8))
    displaced = [0.0, 0.0, 5.0]
    model = bundle(heads="R+C", displaced=displaced, inference={"local_passes": 2}, local_size=8)
    path = load_detector(model, "cpu").detect(volume).path_ras
    assert path.shape == (3, 2, 3)
    np.testing.assert_allclose(path[1:, 0], [path[1, 0]] * 2, atol=0.6)
    once = load_detector(bundle(heads="R+C", displaced=displaced, local_size=8), "cpu").detect(volume)
    np.testing.assert_array_equal(path[:2], once.path_ras)
    assert path[2, 1, 0] > path[1, 1, 0] + 1.0


def test_each_landmark_follows_its_own_local_network():
    """That of B adds (k, j, i) = (1, 0, -2) voxels of 2 mm, given as logarithms."""
    volume = image((20, 12, 8), spacing_mm=2.0)
    displaced = [math.log(2.0), 0.0, -math.log(3.0)]
    detection = load_detector(bundle(displaced=displaced, spacing_mm=2.0), "cpu").detect(volume)
    first, second = (mark.position_ras for mark in detection.landmarks)
    np.testing.assert_allclose(second - first, [-4.0, 0.0, 2.0], atol=0.05)


def test_displacements_without_logarithm_are_taken_as_they_are():
    volume = image((20, 12, 8))
    detection = load_detector(bundle(displaced=[1.0, 0.0, -2.0], heads="R+C"), "cpu").detect(volume)
    first, second = ijk_of(detection, volume)
    np.testing.assert_allclose(second - first, [-2.0, 0.0, 1.0], atol=0.05)


def test_covariance_is_the_scatter_of_the_votes_in_square_millimetres():
    """Two spots 24 voxels of 2 mm apart along j, each half of the votes: a variance of 24 mm squared."""
    volume = image((18, 2, 10), (18, 26, 10), spacing_mm=2.0)
    detection = load_detector(bundle(inference={"local_passes": 0}, spacing_mm=2.0), "cpu").detect(volume)
    for mark in detection.landmarks:
        np.testing.assert_allclose(mark.covariance_ras, np.diag([0.0, 24.0**2, 0.0]), atol=1.0)


def located(model: ModelBundle, volume: Volume) -> Located:
    detector = load_detector(model, "cpu")
    canonical = canonical_volume(volume, model.card.preprocessing)
    return detector._locate(canonical, lambda *_: None, lambda: False, np.random.default_rng(0))


def test_evidence_of_presence_is_that_of_the_patches_that_hold_the_spot():
    """The spot fills an eighth of a patch of the volume, a quarter of one of the picture."""
    np.testing.assert_allclose(located(bundle(), image((9, 9, 9))).presence_logits, [0.0, 0.0], atol=1.0)
    np.testing.assert_allclose(located(bundle(2), picture((9, 9))).presence_logits, [12.5, 12.5], atol=1.5)
    assert located(bundle(2), picture((14, 14))).presence_logits.max() < -4.0, "a sixteenth of each of four patches"


def test_regression_alone_has_no_evidence_of_presence_and_averages_all_patches():
    volume = image((9, 9, 9), size=(40, 40, 32))
    assert located(bundle(heads="R_log"), volume).presence_logits is None
    detection = load_detector(bundle(heads="R_log", inference={"local_passes": 0}), "cpu").detect(volume)
    np.testing.assert_allclose(ijk_of(detection, volume), [[19.5, 19.5, 15.5]] * 2, atol=0.01)


def test_classification_alone_averages_the_centres_of_patches():
    volume = image((10, 18, 26))
    detection = load_detector(bundle(heads="C", inference={"local_passes": 0}), "cpu").detect(volume)
    np.testing.assert_allclose(ijk_of(detection, volume), [[11.5, 19.5, 27.5]] * 2, atol=0.05)


def test_equalised_values_are_their_ranks_and_zero_stays():
    images = torch.tensor([[0, 0, 1, 1, 5, 9], [0, 0, 0, 0, 0, 0]], dtype=torch.uint8)
    assert equalised(images).tolist() == [[0, 0, 128, 128, 191, 255], [0] * 6]


def test_margins_do_not_change_what_is_equalised():
    values = torch.randint(0, 256, (1, 9, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    wider = torch.zeros(1, 15, 15, dtype=torch.uint8)
    wider[:, 3:12, 3:12] = values
    assert torch.equal(equalised(wider)[:, 3:12, 3:12], equalised(values))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_equalisation_makes_contrast_indifferent(dtype):
    random = np.random.default_rng(0).integers(1, 200, (1, 40, 40))
    detector = load_detector(bundle(2, histogram_equalisation=True), "cpu")
    as_it_is, brighter = (
        detector.detect(Volume(values.astype(dtype), np.diag([-1.0, -1.0, 1.0, 1.0])))
        for values in (random, random + 55)
    )
    for one, other in zip(as_it_is.landmarks, brighter.landmarks, strict=True):
        np.testing.assert_allclose(one.position_ras, other.position_ras, atol=0.2)


def test_detection_can_be_cancelled_between_the_two_networks():
    answers = iter([False, True])
    with pytest.raises(DetectionCancelled):
        load_detector(bundle(), "cpu").detect(image((9, 9, 9)), cancelled=lambda: next(answers))
    assert next(answers, None) is None


def test_progress_tells_of_both_looks():
    told = []
    load_detector(bundle(), "cpu").detect(image((9, 9, 9)), progress=lambda done, text: told.append((done, text)))
    assert [text for _, text in told] == [
        "Preparing the volume",
        "Looking at the whole image",
        "Looking closely at each landmark",
        "Done",
    ]
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def without(prefix: str) -> ModelBundle:
    model = bundle()
    kept = {name: value for name, value in model.tensors.items() if not name.startswith(prefix)}
    return ModelBundle(model.card, kept, None, model.weights_sha256)


@pytest.mark.parametrize(
    "prefix",
    ["global.", "local.1.", "local.0.trunk.0.first.", "global.trunk.0.normalisation.running_var", "global.regression"],
)
def test_weights_that_are_not_all_there_are_refused(prefix):
    with pytest.raises(LandmarkDetectionError, match="do not fit its card"):
        load_detector(without(prefix), "cpu")


def test_weights_of_another_size_are_refused():
    model = bundle()
    model.tensors["local.1.regression.4.bias"] = torch.zeros(5)
    with pytest.raises(LandmarkDetectionError, match="do not fit its card"):
        load_detector(model, "cpu")


def test_passes_cannot_be_fewer_than_none():
    with pytest.raises(LandmarkDetectionError, match="local_passes must not be negative"):
        load_detector(bundle(inference={"local_passes": -1}), "cpu")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"heads": "L"}, "heads must be 'R' or 'R_log'"),
        ({"widths": []}, "Every layer of the networks needs a channel"),
        ({"pairs": [1]}, "as many pairs"),
        ({"first_width": 0}, "needs a channel"),
        ({"poolings": 3}, "poolings must lie between 0 and the number of blocks"),
        ({"local_size": 15}, "local_size must be an even number"),
        ({"local_size": 0}, "local_size must be an even number"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong, sentence):
    with pytest.raises(LandmarkDetectionError, match=sentence):
        parse_record(GlobalToLocalNetworkSettings, {**SMALL, **wrong}, "card")


def test_pictures_have_two_more_poolings_as_published():
    settings = GlobalToLocalNetworkSettings()
    assert (settings.patch_size(3), settings.patch_size(2)) == (8, 32)
    assert GlobalToLocalNetworkSettings(poolings=1).patch_size(2) == 4
