"""The multi-scale Loc-Net finds landmarks from coarse to fine and says how far its noisy passes scatter."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from LandmarkDetectionLib.detectors.locnet_scales import (
    MultiscaleLocNetSettings,
    coarse_sighting,
    refined_sighting,
    scale_images,
)
from LandmarkDetectionLib.detectors.locnet_search import (
    LocNetSearch,
    MultiscaleLocNetInference,
    Sightings,
    together,
)
from LandmarkDetectionLib.detectors.multiscale_locnet import with_members
from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.errors import DetectionCancelled, LandmarkDetectionError
from LandmarkDetectionLib.geometry import apply_affine
from LandmarkDetectionLib.models.bundle import ModelBundle
from LandmarkDetectionLib.models.card import ModelCard
from LandmarkDetectionLib.networks.locnet import initialise_locnet
from LandmarkDetectionLib.training.initial_weights import start_from
from LandmarkDetectionLib.volume import Volume

NETWORK = {"pooling": [4, 2, 1], "crop_size": 12, "widths": [4, 8], "heatmap": "softmax", "noise_mm": 2.0}
BRIGHTNESS_ALONE = {**NETWORK, "widths": [1], "heatmap": "relu"}


def bundle(dimension=3, labels=("A", "B"), network=None, inference=None, seed=0) -> ModelBundle:
    network = network or NETWORK
    content = {
        "format_version": 1,
        "name": "untrained",
        "version": "1.0",
        "method": "multiscale-locnet",
        "modality": "any",
        "anatomy": "any",
        "dimension": dimension,
        "description": "Nobody trained it.",
        "landmarks": [{"label": label} for label in labels],
        "preprocessing": {"orientation": "RAS" if dimension == 3 else "LPS", "spacing_mm": [1.0, 1.0, 1.0]},
        "network": network,
        "inference": inference or {"passes": 6},
        "field_of_view_mm": {"minimum": [20.0, 20.0, 1.0], "maximum": [50.0, 50.0, 50.0]},
        "rotation_range_deg": 0.0,
        "training": {"data": "none", "cases": 0, "licence": "CC0-1.0", "preset": "none"},
        "licence": "CC0-1.0",
        "citation": "nobody",
        "limitations": "Finds nothing.",
    }
    torch.manual_seed(seed)
    networks = settings_of(network).networks(dimension, len(labels))
    for one in networks:
        initialise_locnet(one, 1000)
        if network["widths"] == [1]:
            see_brightness_alone(one)
    return ModelBundle(ModelCard.from_json(content), networks.state_dict(), None, "0" * 64)


def settings_of(network: dict) -> MultiscaleLocNetSettings:
    lists_as_tuples = {name: tuple(value) if isinstance(value, list) else value for name, value in network.items()}
    return MultiscaleLocNetSettings(**lists_as_tuples)


def see_brightness_alone(network: torch.nn.Module) -> None:
    """Make the heatmap the image itself."""
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    middle = network.encoder[0][0].convolution.weight
    middle.data[(..., *[1] * (middle.ndim - 2))] = 1.0
    torch.nn.init.ones_(network.output.weight)


def noise(size=(32, 30, 28), seed=0) -> Volume:
    voxels = np.random.default_rng(seed).integers(0, 100, size[::-1]).astype(np.int16)
    ijk_to_ras = np.eye(4) if size[2] > 1 else np.diag([-1.0, -1.0, 1.0, 1.0])
    return Volume(voxels, ijk_to_ras, "noise")


def spot(centre_ijk, size=(40, 40, 40)) -> Volume:
    """One bright spot in the dark, in bytes."""
    ijk = np.stack(np.indices(size[::-1])[::-1], axis=-1)
    voxels = 200.0 * np.exp(-((ijk - centre_ijk) ** 2).sum(-1) / (2 * 1.5**2))
    ijk_to_ras = np.array([[1.0, 0, 0, -7], [0, 1, 0, 20], [0, 0, 1, 3], [0, 0, 0, 1]])
    return Volume(np.rint(voxels).astype(np.uint8), ijk_to_ras if size[2] > 1 else np.diag([-1.0, -1.0, 1.0, 1.0]))


def positions(detection) -> np.ndarray:
    return np.array([mark.position_ras for mark in detection.landmarks])


def covariances(detection) -> np.ndarray:
    return np.array([mark.covariance_ras for mark in detection.landmarks])


@pytest.mark.parametrize("last_scale", ["separate", "shared"])
@pytest.mark.parametrize("centre", [(19.5, 20.0, 21.0), (12.3, 25.8, 17.1)])
def test_a_network_that_sees_brightness_finds_the_bright_spot(centre, last_scale):
    model = bundle(labels=("spot",), network=BRIGHTNESS_ALONE, inference={"passes": 8, "last_scale": last_scale})
    volume = spot(centre)
    detection = load_detector(model, "cpu").detect(volume)
    np.testing.assert_allclose(positions(detection)[0], apply_affine(volume.ijk_to_ras, centre), atol=0.1)


def test_pictures_are_searched_in_their_plane():
    model = bundle(2, labels=("spot",), network=BRIGHTNESS_ALONE)
    volume = spot((22.4, 17.0, 0.0), (40, 40, 1))
    detection = load_detector(model, "cpu").detect(volume)
    np.testing.assert_allclose(positions(detection)[0], (-22.4, -17.0, 0.0), atol=0.1)
    np.testing.assert_array_equal(covariances(detection)[0, 2], np.zeros(3))


def expected_passes(model: ModelBundle, volume: Volume, shifts: np.ndarray) -> torch.Tensor:
    """What each pass finds, in voxels and array order, one call a crop."""
    settings = settings_of(model.card.network)
    networks = load_detector(model, "cpu")._searches[0].networks
    scaled = (volume.voxels - float(volume.voxels.min()))[None]
    scales = scale_images(scaled.astype(np.uint8), settings.pooling, 3)
    one = torch.tensor([0])

    def refined(index: int, estimates: torch.Tensor) -> torch.Tensor:
        return torch.cat(
            [
                refined_sighting(
                    networks[index], scales[index], one, one + landmark, estimate[None], crop_size=settings.crop_size
                ).positions
                for landmark, estimate in enumerate(estimates)
            ]
        )

    with torch.inference_mode():
        found = refined(1, coarse_sighting(networks[0], scales[0]).positions)
        return torch.stack([refined(2, found + torch.tensor(shift, dtype=torch.float32)) for shift in shifts])


def bytes_over_the_window() -> Volume:
    """Noise whose intensity window is exactly its bytes, so that what a test computes by hand sees the same."""
    voxels = np.random.default_rng(3).choice(np.array([0, 1, 128, 255], np.uint8), (28, 30, 32))
    return Volume(voxels, np.eye(4))


def test_result_is_the_mean_of_the_passes_and_their_covariance():
    model, volume = bundle(), bytes_over_the_window()
    detector = load_detector(model, "cpu")
    detection = detector.detect(volume, seed=3)
    shifts = np.random.default_rng(3).uniform(-2.0, 2.0, (6, 2, 3))
    passes = expected_passes(model, volume, shifts).double().numpy()[..., ::-1]
    np.testing.assert_allclose(positions(detection), passes.mean(0), atol=0.02)
    for index in range(2):
        np.testing.assert_allclose(covariances(detection)[index], np.cov(passes[:, index].T), atol=0.02)
    assert detection.path_ras.shape == (3, 2, 3)
    np.testing.assert_allclose(detection.path_ras[-1], positions(detection))


def test_coarse_scales_are_called_once_for_all_passes():
    detector = load_detector(bundle(inference={"passes": 50}), "cpu")
    crops = [0, 0, 0]

    def count(index: int):
        def hook(_layer, inputs, _output):
            crops[index] += len(inputs[0])

        return hook

    for index, network in enumerate(detector._searches[0].networks):
        network.output.register_forward_hook(count(index))
    detector.detect(noise())
    assert crops == [1, 2, 2 * 50]


def test_without_noise_there_is_one_pass_and_nothing_scatters():
    detection = load_detector(bundle(inference={"passes": 0}), "cpu").detect(noise())
    np.testing.assert_array_equal(covariances(detection), np.zeros((2, 3, 3)))


def test_a_single_scale_finds_the_centre_of_mass_of_the_whole_image_and_its_spread():
    """A spot of 1.5^2 mm^2, and (2^2 - 1^2) / 12 mm^2 more in voxels twice as large; its faintest parts are lost."""
    model = bundle(labels=("spot",), network={**BRIGHTNESS_ALONE, "pooling": [2]})
    detection = load_detector(model, "cpu").detect(spot((12.3, 25.8, 17.1)))
    np.testing.assert_allclose(positions(detection)[0], (12.3 - 7, 25.8 + 20, 17.1 + 3), atol=0.1)
    np.testing.assert_allclose(covariances(detection)[0], 2.5 * np.eye(3), atol=0.25)


def test_a_single_scale_that_sees_nothing_may_be_anywhere():
    """16 x 15 x 14 voxels of 2 mm, evenly spread: 2^2 (n^2 - 1) / 12 mm^2 along each axis."""
    model = bundle(labels=("spot",), network={**BRIGHTNESS_ALONE, "pooling": [2]})
    for tensor in model.tensors.values():
        tensor.zero_()
    detection = load_detector(model, "cpu").detect(noise((32, 30, 28)))
    np.testing.assert_allclose(covariances(detection)[0], np.diag([85.0, 74.667, 65.0]), rtol=1e-3, atol=1e-3)


def test_same_seed_gives_the_same_result_and_another_seed_another():
    detector = load_detector(bundle(), "cpu")
    first, again, other = (detector.detect(noise(), seed=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(positions(first), positions(again))
    np.testing.assert_array_equal(covariances(first), covariances(again))
    assert not np.array_equal(positions(first), positions(other))


def test_passes_that_share_a_heatmap_find_nearly_the_same():
    """The two differ by what a crop's border knows of what lies beyond it."""
    separate, shared = (
        load_detector(bundle(inference={"passes": 20, "last_scale": last_scale}), "cpu").detect(noise())
        for last_scale in ("separate", "shared")
    )
    np.testing.assert_allclose(positions(separate), positions(shared), atol=0.5)


@pytest.mark.parametrize("last_scale", ["separate", "shared"])
def test_softmax_heatmaps_know_whether_a_landmark_is_there(last_scale):
    """Channels of -20 everywhere leave all to "nowhere", those of 20 nothing, at the most doubtful scale."""
    model = bundle(inference={"passes": 3, "last_scale": last_scale})
    detector = load_detector(model, "cpu")
    for network, biases in zip(
        detector._searches[0].networks, ([20.0, 20.0], [20.0, -20.0], [20.0, 20.0]), strict=True
    ):
        torch.nn.init.zeros_(network.output.weight)
        network.output.bias.data = torch.tensor(biases, dtype=network.dtype)
    shown, absent = detector.detect(noise()).landmarks
    assert shown.presence > 0.9
    assert absent.presence < 0.01
    assert absent.evidence == pytest.approx(-20.0 + np.log(12**3), abs=0.1)


def test_rectified_heatmaps_have_no_evidence():
    model = bundle(labels=("spot",), network=BRIGHTNESS_ALONE)
    (mark,) = load_detector(model, "cpu").detect(spot((19.0, 20.0, 21.0))).landmarks
    assert mark.evidence is None
    assert mark.presence == pytest.approx(1.0)


def test_detection_leaves_the_volume_as_it_was():
    for dtype in (np.uint8, np.int16, np.float32):
        volume = Volume(noise().voxels.astype(dtype), np.eye(4))
        before = volume.voxels.copy()
        load_detector(bundle(), "cpu").detect(volume)
        np.testing.assert_array_equal(volume.voxels, before)


def test_progress_rises_and_names_the_scale():
    told = []
    load_detector(bundle(), "cpu").detect(noise(), progress=lambda fraction, text: told.append((fraction, text)))
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    texts = [text for _, text in told]
    assert [text for text in texts if "mm" in text] == [f"Looking at voxels of {side} mm" for side in (4, 2, 1)]


def test_a_cancelled_search_ends_before_the_next_call():
    model = bundle()
    settings = settings_of(model.card.network)
    search = LocNetSearch(load_detector(model, "cpu")._searches[0].networks, settings, MultiscaleLocNetInference())
    scales = scale_images(bytes_over_the_window().voxels[None], settings.pooling, 3)
    asked = []
    calls = []
    for network in search.networks:
        network.output.register_forward_hook(lambda *_: calls.append(1))
    with pytest.raises(DetectionCancelled):
        search.run(
            scales,
            np.ones(3),
            np.random.default_rng(0),
            progress=lambda _fraction, _text: None,
            cancelled=lambda: asked.append(1) or len(asked) == 3,
        )
    assert len(calls) == 2


def test_batch_normalisation_is_folded_into_the_networks():
    """As trained, in evaluation mode, and as detected with."""
    network = {**NETWORK, "is_normalised": True}
    model = bundle(network=network)
    trained = settings_of(network).networks(3, 2)
    for name, value in model.tensors.items():
        if "normalisation" in name and value.is_floating_point():
            model.tensors[name] = torch.rand_like(value) + 0.5
    trained.load_state_dict(model.tensors)
    detector = load_detector(model, "cpu")
    image = torch.rand(1, 1, 16, 16, 16)
    with torch.inference_mode():
        for one, found in zip(trained.eval(), detector._searches[0].networks, strict=True):
            expected = one(image)
            channels = found(image.to(found.dtype)).float()
            torch.testing.assert_close(channels, expected, rtol=0.05, atol=0.05 * expected.abs().max().item())
    assert not any("normalisation" in name for name in detector._searches[0].networks.state_dict())


def test_normalisation_without_its_convolution_is_refused():
    model = bundle(network={**NETWORK, "is_normalised": True})
    del model.tensors["0.encoder.0.0.convolution.weight"]
    with pytest.raises(LandmarkDetectionError, match="do not fit"):
        load_detector(model, "cpu")


def test_weights_of_another_network_are_refused():
    model = bundle()
    other = ModelBundle(model.card, bundle(labels=("A",)).tensors, None, "0" * 64)
    with pytest.raises(LandmarkDetectionError, match="do not fit"):
        load_detector(other, "cpu")


@pytest.mark.parametrize(
    ("inference", "problem"),
    [({"passes": -1}, "passes must not be negative"), ({"last_scale": "guess"}, "'separate' or 'shared'")],
)
def test_impossible_settings_are_refused(inference, problem):
    with pytest.raises(LandmarkDetectionError, match=problem):
        load_detector(bundle(inference=inference), "cpu")


def test_a_prior_needs_a_shape_model():
    with pytest.raises(LandmarkDetectionError, match="it has no shape model"):
        load_detector(bundle(inference={"prior_rounds": 1}), "cpu")


def test_members_look_for_themselves_and_are_taken_together():
    volume = Volume(np.random.default_rng(0).random((24, 28, 32)).astype(np.float32), np.eye(4))
    members = [bundle(inference={"passes": 0}, seed=seed) for seed in range(3)]
    alone = [load_detector(member, "cpu").detect(volume) for member in members]
    told = []
    both = load_detector(with_members(members[0], members[1:]), "cpu").detect(
        volume, progress=lambda done, _text: told.append(done)
    )
    for index, mark in enumerate(both.landmarks):
        positions = np.array([one.landmarks[index].position_ras for one in alone])
        np.testing.assert_allclose(mark.position_ras, positions.mean(0), atol=1e-3)
    assert told == sorted(told), "progress goes on from member to member"


def test_passes_of_members_scatter_as_those_of_one():
    generator = np.random.default_rng(0)
    here, there = (
        Sightings(generator.normal(place, 1.0, (40, 2, 3)), np.full((3, 2, 3), place), np.zeros((3, 2)), None)
        for place in (0.0, 9.0)
    )
    both = together([here, there])
    np.testing.assert_allclose(both.passes.mean((0, 1)), 4.5, atol=0.2)
    np.testing.assert_allclose(both.path, 4.5)
    np.testing.assert_allclose(both.covariances, (here.covariances + there.covariances) / 2, rtol=0.02)


def test_a_training_starts_from_the_first_member():
    first, second = bundle(seed=0), bundle(seed=1)
    networks = settings_of(NETWORK).networks(3, 2)
    start_from(networks, with_members(first, [second]))
    for name, tensor in networks.state_dict().items():
        torch.testing.assert_close(tensor, first.tensors[name])


def test_a_member_that_lacks_weights_is_refused():
    first, second = bundle(seed=0), bundle(seed=1)
    second.tensors.pop(next(iter(second.tensors)))
    with pytest.raises(LandmarkDetectionError, match="do not fit its card"):
        load_detector(with_members(first, [second]), "cpu")
