"""Loc-Net looks for the outline of an ellipse where its card says so, and tells the ends of its axes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from LandmarkDetectionLib.detectors.ellipse_outline import EllipseOutline
from LandmarkDetectionLib.detectors.locnet_scales import MultiscaleLocNetSettings
from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.geometry import apply_affine
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.models.bundle import ModelBundle, load_card
from LandmarkDetectionLib.models.record import FieldError
from LandmarkDetectionLib.models.registry import find_model
from LandmarkDetectionLib.networks.locnet import initialise_locnet
from LandmarkDetectionLib.preprocessing import Preprocessing
from LandmarkDetectionLib.training.augmentation import Augmentation, Augmenter
from LandmarkDetectionLib.training.cases import TrainingCase
from LandmarkDetectionLib.training.locnet_samples import LocNetSamples
from LandmarkDetectionLib.training.multiscale_locnet_training import _with_shape_model
from LandmarkDetectionLib.training.pool import CasePool
from LandmarkDetectionLib.volume import Volume

LABELS = ("OFD1", "OFD2", "BPD1", "BPD2", "centre")
PAIRS = (("OFD1", "OFD2"), ("BPD1", "BPD2"))
FRAME = Preprocessing("LPS", (1.0, 1.0, 1.0), centre="content")
NETWORK = {
    "pooling": [2, 1], "crop_size": 12, "widths": [4, 8], "heatmap": "softmax", "noise_mm": 2.0, "outline_points": 8
}  # fmt: skip
SETTINGS = MultiscaleLocNetSettings((2, 1), 12, (4, 8), "softmax", noise_mm=2.0, outline_points=8)


def head(angle_deg: float) -> TrainingCase:
    """A picture of 64 x 60 pixels of 1 mm: a bright skull, and all that is inside."""
    along = np.array([np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))])
    across, centre = np.array([-along[1], along[0]]), np.array([30.0, 28.0])
    j, i = np.indices((60, 64))
    offsets = np.stack([i, j], -1) - centre
    radius = np.hypot(offsets @ along / 20, offsets @ across / 15)
    voxels = np.where(radius < 1, 60, 5) + 180 * np.exp(-(((radius - 1) / 0.08) ** 2))
    ends = [centre - 20 * along, centre + 20 * along, centre - 15 * across, centre + 15 * across, centre]
    ijk_to_ras = np.diag([-1.0, -1.0, 1.0, 1.0])
    positions = apply_affine(ijk_to_ras, np.pad(ends, ((0, 0), (0, 1))))
    return TrainingCase(
        f"head {angle_deg}",
        Volume(np.round(voxels).astype(np.uint8)[None], ijk_to_ras, "head"),
        LandmarkSet.from_array(LABELS, positions),
    )


@pytest.fixture
def card():
    """Of an untrained model for the ellipse of a head."""
    shipped = load_card(find_model("fetal-head-2d"))
    return dataclasses.replace(
        shipped, method="multiscale-locnet", preprocessing=FRAME, network=NETWORK, inference={}, shape_model=None
    )


def pool(*angles_deg: float, **augmentation) -> CasePool:
    augmenter = Augmenter(Augmentation(**augmentation), FRAME, 2)
    cases = [head(angle) for angle in angles_deg]
    return CasePool(cases, augmenter, labels=LABELS, interchangeable=PAIRS, size=6, seed=0)


def test_what_is_learned_lies_on_the_skull_however_the_head_is_turned_and_stretched(card):
    heads = pool(0.0, 50.0, rotation_deg=90.0, stretch=0.2, mirror=True)
    outline = EllipseOutline.of(card, 8)
    samples = LocNetSamples(heads, SETTINGS, batch_size=6, followed=0, renew_every=99, seed=0, outline=outline)
    batch = next(iter(samples))
    assert batch.truths.shape == (6, 1, 8, 2)
    assert batch.is_shown.shape == (6, 1, 8)
    assert batch.is_shown.all()
    for image, points in zip(batch.scales[-1].images, batch.truths[:, 0].round().long(), strict=True):
        assert min(image[tuple(point)] for point in points) > 0.6 * image.max()


def test_an_ellipse_that_is_cut_off_is_not_shown(card):
    heads = pool(0.0, cut_short=1.0)
    outline = EllipseOutline.of(card, 8)
    samples = LocNetSamples(heads, SETTINGS, batch_size=6, followed=0, renew_every=99, seed=0, outline=outline)
    assert not next(iter(samples)).is_shown.any()


def test_a_detection_tells_the_ends_of_the_axes_and_the_centre_of_one_ellipse(card):
    torch.manual_seed(0)
    networks = SETTINGS.networks(2, 8)
    for network in networks:
        initialise_locnet(network, 1000)
    detection = load_detector(ModelBundle(card, networks.state_dict(), None, ""), "cpu").detect(head(20.0).volume)
    first, second, third, fourth, centre = (mark.position_ras for mark in detection.landmarks)
    np.testing.assert_allclose((first + second) / 2, centre, atol=1e-6)
    np.testing.assert_allclose((third + fourth) / 2, centre, atol=1e-6)
    assert np.linalg.norm(second - first) >= np.linalg.norm(fourth - third)
    assert len({mark.evidence for mark in detection.landmarks}) == 1, "an ellipse is there as a whole"


def test_an_outline_has_no_shape_model(card):
    asking = dataclasses.replace(card, inference={"prior_rounds": 3})
    assert _with_shape_model(asking, pool(0.0, 30.0, 60.0)).inference == {"prior_rounds": 0}


def test_an_outline_of_too_few_points_is_refused():
    with pytest.raises(FieldError, match="outline_points must be 0, or at least 6"):
        MultiscaleLocNetSettings(outline_points=5)


def test_an_outline_of_landmarks_that_are_no_ellipse_is_refused(card):
    with pytest.raises(LandmarkDetectionError, match="outline_points is for pictures"):
        load_detector(ModelBundle(dataclasses.replace(card, interchangeable=()), {}, None, ""), "cpu")
