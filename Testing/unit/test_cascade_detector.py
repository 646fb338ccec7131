"""The cascade finds the hottest place at low resolution and corrects it at full one, in volumes and pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from LandmarkDetectionLib.detectors.cascade import CascadeDetector, CascadeNetworkSettings
from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.errors import DetectionCancelled, LandmarkDetectionError
from LandmarkDetectionLib.geometry import apply_affine
from LandmarkDetectionLib.models.bundle import ModelBundle
from LandmarkDetectionLib.models.card import ModelCard
from LandmarkDetectionLib.networks.cascade import CascadeNetwork
from LandmarkDetectionLib.volume import Volume

POOLING = 2
SPACING_MM = (1.0, 1.5, 2.0)
NETWORK = {
    "pooling": POOLING,
    "widths": [1, 1, 1, 1],
    "sigma": 1.5,
    "patch_size": 16,
    "local_widths": [1, 1, 1, 1],
    "hidden": 2,
}


def bundle(dimension=3, labels=("spot", "hole"), network=None, inference=None, moves=None) -> ModelBundle:
    """A model whose first stage sees heat where the image is bright ("hole": where it is dark), and whose second stage
    moves every landmark by the same voxels, `moves` (i, j, k), whatever it sees."""
    network = NETWORK | (network or {})
    content = {
        "format_version": 1,
        "name": "made-by-hand",
        "version": "1.0",
        "method": "cascade",
        "modality": "any",
        "anatomy": "any",
        "dimension": dimension,
        "description": "Nobody trained it.",
        "landmarks": [{"label": label} for label in labels],
        "preprocessing": {
            "orientation": "RAS" if dimension == 3 else "LPS",
            "spacing_mm": list(SPACING_MM),
            "low_percentile": 0.0,
            "high_percentile": 100.0,
        },
        "network": network,
        "inference": inference or {},
        "field_of_view_mm": {"minimum": [20.0, 20.0, 1.0], "maximum": [50.0, 50.0, 50.0]},
        "rotation_range_deg": 0.0,
        "training": {"data": "none", "cases": 0, "licence": "CC0-1.0", "preset": "none"},
        "licence": "CC0-1.0",
        "citation": "nobody",
        "limitations": "Finds nothing.",
    }
    networks = networks_of(network, dimension, len(labels))
    for parameter in networks.parameters():
        torch.nn.init.zeros_(parameter)
    see_brightness(networks.coarse)
    for index, local in enumerate(networks.local):
        local.displacement[-1].bias.data = torch.tensor([*(moves or (0.0, 0.0, 0.0))][:dimension][::-1])
        local.residual_covariance *= index + 1.0
    networks.coarse.usual_heat[:] = 1.0
    return ModelBundle(ModelCard.from_json(content), networks.state_dict(), None, "0" * 64)


def networks_of(network: dict, dimension: int, landmarks: int) -> CascadeNetwork:
    settings = CascadeNetworkSettings(**{k: tuple(v) if isinstance(v, list) else v for k, v in network.items()})
    local = [settings.local_network(dimension) for _ in range(landmarks)]
    return CascadeNetwork(settings.coarse_network(dimension, landmarks), local)


def see_brightness(coarse: torch.nn.Module) -> None:
    """Heat of the first landmark: the brightness; that of the second and the background: what it lacks of 1."""
    middle = (0, 0, *[1] * (coarse.output.weight.ndim - 2))
    for block in (coarse.encoders[0], coarse.decoders[-1]):
        for unit in (block[0], block[2]):
            unit.convolution.weight.data[middle] = 1.0
    coarse.output.weight.data[:, 0] = torch.tensor([1.0, -1.0, -1.0]).view(3, *[1] * (len(middle) - 2))
    coarse.output.bias.data[:] = torch.tensor([0.0, 1.0, 1.0])


def spot(centre_ijk, size=(40, 36, 32), sigma=4.0, offset_mm=(-7.0, 20.0, 3.0)) -> Volume:
    """One bright spot in the dark, in bytes that fill the intensity window."""
    ijk = np.stack(np.indices(size[::-1])[::-1], axis=-1)
    voxels = 250.0 * np.exp(-((ijk - centre_ijk) ** 2).sum(-1) / (2 * sigma**2)) + 2.0
    voxels.flat[0] = 0.0
    ijk_to_ras = np.diag([*SPACING_MM, 1.0]) if size[2] > 1 else np.diag([-1.0, -1.5, 1.0, 1.0])
    ijk_to_ras[:3, 3] = offset_mm
    return Volume(np.rint(voxels).astype(np.uint8), ijk_to_ras)


def found(model: ModelBundle, volume: Volume) -> np.ndarray:
    """Voxel indices ijk (n, 3) of the volume."""
    marks = load_detector(model, "cpu").detect(volume).landmarks
    return apply_affine(np.linalg.inv(volume.ijk_to_ras), np.array([mark.position_ras for mark in marks]))


def test_the_hottest_voxel_of_the_first_stage_is_the_middle_of_its_voxels():
    """Voxels 18 and 19, 22 and 23, 14 and 15 are one to the first stage."""
    model = bundle(inference={"refinements": 0})
    np.testing.assert_allclose(found(model, spot((18.7, 22.6, 14.4)))[0], (18.5, 22.5, 14.5), atol=1e-4)


def test_sub_voxel_decoding_finds_the_place_between():
    model = bundle(inference={"refinements": 0, "decoding": "sub-voxel"})
    centre = (18.9, 22.1, 14.4)
    np.testing.assert_allclose(found(model, spot(centre))[0], centre, atol=0.15)


def test_displacements_are_voxels_counted_from_the_middle_of_the_patch():
    """The hottest voxel (18.5, 22.5, 14.5) rounds to (18, 22, 14), ties to even."""
    model = bundle(moves=(1.25, -2.0, 3.5))
    np.testing.assert_allclose(found(model, spot((18.7, 22.6, 14.4)))[0], (19.25, 20.0, 17.5), atol=1e-4)


def test_displacements_may_be_counted_from_the_prediction_as_published():
    model = bundle(moves=(1.25, -2.0, 3.5), network={"counted_from": "prediction"})
    np.testing.assert_allclose(found(model, spot((18.7, 22.6, 14.4)))[0], (19.75, 20.5, 18.0), atol=1e-4)


def test_refinements_follow_each_other_and_leave_their_path():
    model = bundle(moves=(1.0, -2.0, 3.0), inference={"refinements": 3})
    volume = spot((18.7, 22.6, 14.4))
    detection = load_detector(model, "cpu").detect(volume)
    path = apply_affine(np.linalg.inv(volume.ijk_to_ras), detection.path_ras[:, 0])
    expected = [(18.5, 22.5, 14.5), (19.0, 20.0, 17.0), (20.0, 18.0, 20.0), (21.0, 16.0, 23.0)]
    np.testing.assert_allclose(path, expected, atol=1e-4)
    np.testing.assert_allclose(detection.landmarks[0].position_ras, detection.path_ras[-1, 0])


def test_pictures_are_searched_in_their_plane():
    model = bundle(2, moves=(1.0, -2.0, 0.0))
    volume = spot((18.7, 22.6, 0.0), (40, 36, 1))
    detection = load_detector(model, "cpu").detect(volume)
    ijk = apply_affine(np.linalg.inv(volume.ijk_to_ras), detection.landmarks[0].position_ras)
    np.testing.assert_allclose(ijk, (19.0, 20.0, 0.0), atol=1e-4)
    np.testing.assert_array_equal(detection.landmarks[0].covariance_ras[2], np.zeros(3))


def test_each_network_sees_its_own_patch():
    """A network that only passes on the voxel in its patch's middle, through the poolings, tells what it was shown."""
    model = bundle(network={"hidden": 1})
    detector = load_detector(model, "cpu")
    seen = []
    for local in detector.local:
        local.features[0].register_forward_pre_hook(lambda _layer, inputs: seen.append(inputs[0][0, 0, 8, 8, 8].item()))
    detector.detect(spot((18.7, 22.6, 14.4)))
    bright, dark = seen
    assert bright > 0.95
    assert dark == 0.0


def with_usual_heat(*heat: float) -> ModelBundle:
    model = bundle()
    model.tensors["coarse.usual_heat"] = torch.tensor(heat)
    return model


def marks_of(model: ModelBundle):
    """In an image whose peaks both have a heat of 1."""
    return load_detector(model, "cpu").detect(spot((18.5, 22.5, 14.5))).landmarks


def test_evidence_is_the_logit_of_the_share_of_the_usual_heat():
    """All of it counts as 99 %."""
    there, doubtful = marks_of(with_usual_heat(0.5, 4.0))
    assert there.evidence == pytest.approx(np.log(2.0 / 0.01), abs=0.02)
    assert doubtful.evidence == pytest.approx(np.log(0.25 / 0.75), abs=0.02)
    assert there.presence > 0.99
    assert doubtful.presence < 0.3


def test_covariance_is_that_of_the_residuals_scaled_by_the_lack_of_heat():
    """Residuals are 1 and 2 square voxels; a quarter of the usual heat says 4^(2/3) = 2.52 times the variance."""
    first, second = (mark.covariance_ras for mark in marks_of(with_usual_heat(1.0, 1.0)))
    np.testing.assert_allclose(first, np.diag(np.square(SPACING_MM)), rtol=0.02, atol=1e-6)
    np.testing.assert_allclose(second, 2.0 * np.diag(np.square(SPACING_MM)), rtol=0.02, atol=1e-6)
    uncertain = marks_of(with_usual_heat(4.0, 1.0))[0].covariance_ras
    np.testing.assert_allclose(uncertain, 4.0 ** (2 / 3) * np.diag(np.square(SPACING_MM)), rtol=0.02, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_detection_leaves_the_volume_as_it_was(dtype):
    volume = Volume(spot((18.7, 22.6, 14.4)).voxels.astype(dtype), np.diag([*SPACING_MM, 1.0]))
    before = volume.voxels.copy()
    load_detector(bundle(), "cpu").detect(volume)
    np.testing.assert_array_equal(volume.voxels, before)


def test_progress_rises_and_names_the_landmarks():
    told = []
    detector = load_detector(bundle(inference={"refinements": 2}), "cpu")
    detector.detect(spot((18.0, 20.0, 15.0)), progress=lambda fraction, text: told.append((fraction, text)))
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    texts = [text for _, text in told]
    assert "Looking at the whole image" in texts
    assert [text for text in texts if "Refining" in text] == ["Refining spot", "Refining hole"] * 2


def test_a_cancelled_detection_ends_before_the_next_network():
    detector = load_detector(bundle(), "cpu")
    calls, asked = [], []
    for local in detector.local:
        local.register_forward_hook(lambda *_: calls.append(1))
    with pytest.raises(DetectionCancelled):
        # Asked after the preparation, then before each network.
        detector.detect(spot((18.0, 20.0, 15.0)), cancelled=lambda: asked.append(1) or len(asked) == 3)
    assert len(calls) == 1


def test_batch_normalisation_is_folded_into_the_networks():
    network = {"is_normalised": True}
    model = bundle(network=network)
    trained = networks_of(NETWORK | network, 3, 2)
    torch.manual_seed(0)
    for name, value in model.tensors.items():
        if value.is_floating_point() and "residual" not in name:
            model.tensors[name] = torch.rand_like(value) + 0.5
    trained.load_state_dict(model.tensors)
    detector = load_detector(model, "cpu")
    assert isinstance(detector, CascadeDetector)
    image, patch = torch.rand(1, 1, 16, 16, 16), torch.rand(1, 1, 16, 16, 16)
    with torch.inference_mode():
        trained.eval()
        pairs = [(trained.coarse(image), detector.coarse, image), (trained.local[1](patch), detector.local[1], patch)]
        for expected, network, shown in pairs:
            answer = network(shown.to(next(network.parameters()).dtype)).float()
            torch.testing.assert_close(answer, expected, rtol=0.05, atol=0.05 * expected.abs().max().item())
    assert not any("normalisation" in name for name in detector.coarse.state_dict())


def test_weights_that_do_not_fit_are_refused():
    for name in ("coarse.output.weight", "local.1.displacement.0.weight"):
        model = bundle()
        del model.tensors[name]
        with pytest.raises(LandmarkDetectionError, match="do not fit"):
            load_detector(model, "cpu")
    normalised = bundle(network={"is_normalised": True})
    del normalised.tensors["coarse.encoders.0.0.convolution.weight"]
    with pytest.raises(LandmarkDetectionError, match="do not fit"):
        load_detector(normalised, "cpu")


@pytest.mark.parametrize(
    ("part", "change", "problem"),
    [
        ("network", {"widths": [4, 4, 4]}, "need 4 levels"),
        ("network", {"local_widths": [4, 0, 4, 4]}, "a channel in every layer"),
        ("network", {"pooling": 17}, "pooling must be from 1 to 16"),
        ("network", {"patch_size": 15}, "patch_size must be at least 16"),
        ("network", {"sigma": 0.0}, "sigma must be above zero"),
        ("network", {"height": 1.5}, "height must be above zero and at most 1"),
        ("network", {"counted_from": "nowhere"}, "'patch' or 'prediction'"),
        ("inference", {"refinements": -1}, "refinements must not be below zero"),
        ("inference", {"decoding": "guess"}, "'arg-max' or 'sub-voxel'"),
    ],
)
def test_impossible_settings_are_refused(part, change, problem):
    model = bundle()
    getattr(model.card, part).update(change)
    with pytest.raises(LandmarkDetectionError, match=problem):
        load_detector(model, "cpu")
