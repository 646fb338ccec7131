"""Heatmap regression finds the hottest places of a U-Net's heatmaps or of a spatial configuration network's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from LandmarkDetectionLib.detectors.heatmap_regression import HeatmapUNetSettings, SCNSettings
from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.geometry import apply_affine
from LandmarkDetectionLib.models.bundle import ModelBundle
from LandmarkDetectionLib.models.card import ModelCard
from LandmarkDetectionLib.networks.heatmap_regression import HeatmapRegression
from LandmarkDetectionLib.networks.scn import SpatialConfigurationNet
from LandmarkDetectionLib.volume import Volume

SPACING_MM = (1.0, 1.5, 2.0)
SETTINGS = {
    "heatmap-unet": HeatmapUNetSettings(widths=(1,), sigma=2.0),
    "scn": SCNSettings(width=1, levels=1, kernel_size=3, pooling=4, dropout=0.5, sigma=2.0),
}
both_methods = pytest.mark.parametrize("method", SETTINGS)


def bundle(method: str, dimension: int = 3, usual_heat: float = 1.0, allowed: float = 1.0) -> ModelBundle:
    """A model whose heat is the brightness, times what is allowed, by the second component of the one that has two."""
    content = {
        "format_version": 1,
        "name": "made-by-hand",
        "version": "1.0",
        "method": method,
        "modality": "any",
        "anatomy": "any",
        "dimension": dimension,
        "description": "Nobody trained it.",
        "landmarks": [{"label": "spot"}],
        "preprocessing": {
            "orientation": "RAS" if dimension == 3 else "LPS",
            "spacing_mm": list(SPACING_MM),
            "low_percentile": 0.0,
            "high_percentile": 100.0,
        },
        "network": {
            "heatmap-unet": {"widths": [1], "sigma": 2.0},
            "scn": {"width": 1, "levels": 1, "kernel_size": 3, "pooling": 4, "sigma": 2.0},
        }[method],
        "inference": {},
        "field_of_view_mm": {"minimum": [20.0, 20.0, 1.0], "maximum": [50.0, 50.0, 80.0]},
        "rotation_range_deg": 0.0,
        "training": {"data": "none", "cases": 0, "licence": "CC0-1.0", "preset": "none"},
        "licence": "CC0-1.0",
        "citation": "nobody",
        "limitations": "Finds nothing.",
    }
    network = SETTINGS[method].network(dimension, 1)
    see_brightness(network, allowed)
    network.usual_heat[:] = usual_heat
    return ModelBundle(ModelCard.from_json(content), network.state_dict(), None, "0" * 64)


def see_brightness(network: HeatmapRegression, allowed: float) -> None:
    heatmaps = network.heatmaps
    unet = heatmaps.local if isinstance(heatmaps, SpatialConfigurationNet) else heatmaps
    for parameter in heatmaps.parameters():
        torch.nn.init.zeros_(parameter)
    for name, parameter in unet.encoder.named_parameters():
        if name.endswith("weight"):
            parameter.data[(0, 0, *[1] * (parameter.ndim - 2))] = 1.0
    torch.nn.init.constant_(unet.output.weight, allowed if unet is heatmaps else 1.0)
    if unet is not heatmaps:
        torch.nn.init.constant_(heatmaps.spatial[-2].bias, np.arctanh(0.999 * allowed))


def spot(centre_ijk, size=(40, 36, 32), sigma=4.0) -> Volume:
    """One bright spot in the dark, in bytes that fill the intensity window."""
    ijk = np.stack(np.indices(size[::-1])[::-1], axis=-1)
    voxels = 250.0 * np.exp(-((ijk - centre_ijk) ** 2).sum(-1) / (2 * sigma**2)) + 2.0
    voxels.flat[0] = 0.0
    ijk_to_ras = np.diag([*SPACING_MM, 1.0]) if size[2] > 1 else np.diag([-1.0, -1.5, 1.0, 1.0])
    ijk_to_ras[:3, 3] = -7.0, 20.0, 3.0
    return Volume(np.rint(voxels).astype(np.uint8), ijk_to_ras)


def mark(model: ModelBundle, volume: Volume, options=None):
    return load_detector(model, "cpu", options).detect(volume).landmarks[0]


@both_methods
@pytest.mark.parametrize(("dimension", "centre"), [(3, (18.9, 22.1, 14.4)), (2, (18.9, 22.1, 0.0))])
def test_the_landmark_is_the_top_of_the_spot_between_voxels(method, dimension, centre):
    volume = spot(centre) if dimension == 3 else spot(centre, (40, 36, 1))
    found = mark(bundle(method, dimension), volume)
    # Brightness has two or three digits, as networks have that compute with half precision.
    np.testing.assert_allclose(found.position_ras, apply_affine(volume.ijk_to_ras, centre), atol=0.6)
    hottest = mark(bundle(method, dimension), volume, {"decoding": "arg-max"}).position_ras
    ijk = apply_affine(np.linalg.inv(volume.ijk_to_ras), hottest)
    np.testing.assert_allclose(ijk, np.rint(ijk), atol=1e-6)


@both_methods
def test_the_covariance_is_what_explains_that_the_peak_is_lower_than_the_spot(method):
    """Spots of 2 voxels; a quarter of their height says 4^(2/3) = 2.52 times the variance, 1.52 times more."""
    sure, unsure = (mark(bundle(method, allowed=heat), spot((18, 22, 14))) for heat in (1.0, 0.25))
    voxel = np.diag(np.square(SPACING_MM))
    np.testing.assert_allclose(sure.covariance_ras, voxel / 12, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(unsure.covariance_ras, (4.0 ** (2 / 3) - 1.0) * 4.0 * voxel, rtol=0.03, atol=1e-6)


@both_methods
def test_the_evidence_is_the_logit_of_the_share_of_the_usual_heat(method):
    usual, doubtful = (mark(bundle(method, usual_heat=heat), spot((18, 22, 14))) for heat in (1.0, 4.0))
    assert usual.evidence == pytest.approx(np.log(1.0 / 0.01), abs=0.1)
    assert doubtful.evidence == pytest.approx(np.log(0.25 / 0.75), abs=0.05)


def test_a_place_that_the_others_speak_against_has_no_heat():
    """A hundredth of the heat is the least there is."""
    found = mark(bundle("scn", allowed=0.0), spot((18, 22, 14)))
    assert found.evidence == pytest.approx(np.log(0.01 / 0.99))


@both_methods
@pytest.mark.parametrize("dimension", [2, 3])
def test_images_of_any_size_have_heatmaps_of_that_size(method, dimension):
    network = SETTINGS[method].network(dimension, 3)
    sides = (9, 13, 10)[-dimension:]
    assert network(torch.rand(2, 1, *sides)).shape == (2, 3, *sides)


class TestSpatialConfiguration:
    @pytest.fixture
    def network(self) -> SpatialConfigurationNet:
        torch.manual_seed(0)
        settings = SCNSettings(width=4, levels=2, kernel_size=3, pooling=4, dropout=0.0)
        return settings.network(2, 3).heatmaps

    def test_heatmaps_are_the_product_of_appearance_and_configuration(self, network):
        images = torch.rand(2, 1, 10, 13)
        local = network.local(images)
        padded = functional.pad(local, (0, 3, 0, 2))
        means = padded.unflatten(3, (4, 4)).unflatten(2, (3, 4)).mean((3, 5))
        enlarged = functional.interpolate(network.spatial(means), (12, 16), mode="bilinear")[:, :, :10, :13]
        torch.testing.assert_close(network(images), local * enlarged)

    def test_configuration_is_seen_in_all_landmarks_and_bounded(self, network):
        local = torch.rand(1, 3, 8, 8, requires_grad=True)
        configuration = network.configuration(1e3 * local)
        assert configuration.abs().max() <= 1.0
        network.configuration(local)[0, 0].sum().backward()
        assert (local.grad.abs().amax((2, 3)) > 0).all()

    def test_the_second_component_sees_far(self, network):
        """Four kernels of 3 voxels at a quarter of the resolution reach 4 * 4 voxels to each side."""
        local = torch.zeros(1, 3, 64, 64, requires_grad=True)
        network.configuration(local)[0, 0, 32:36, 32:36].sum().backward()
        rows = local.grad.abs().sum((0, 1, 3)).nonzero()[:, 0]
        # Interpolation looks at one more voxel of the coarse image to each side.
        assert (rows.min(), rows.max()) == (32 - 16 - 4, 35 + 16 + 4)


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        (HeatmapUNetSettings, {"widths": ()}),
        (HeatmapUNetSettings, {"widths": (4, 0)}),
        (HeatmapUNetSettings, {"sigma": 0.0}),
        (SCNSettings, {"kernel_size": 4}),
        (SCNSettings, {"pooling": 0}),
        (SCNSettings, {"dropout": 1.0}),
        (SCNSettings, {"sigma": -1.0}),
    ],
)
def test_settings_that_make_no_network_are_refused(settings, changes):
    with pytest.raises(LandmarkDetectionError):
        settings(**changes)


def test_published_settings_are_the_defaults():
    scn = SCNSettings()
    assert (scn.width, scn.levels, scn.kernel_size, scn.pooling, scn.dropout, scn.sigma) == (64, 4, 7, 8, 0.5, 4.0)
    assert HeatmapUNetSettings().sigma == 6.0


@both_methods
def test_weights_of_another_network_are_refused(method):
    model = bundle(method)
    del model.tensors["sigmas"]
    with pytest.raises(LandmarkDetectionError, match="do not fit its card"):
        load_detector(model, "cpu")
