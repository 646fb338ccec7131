"""Presence is the probability that a landmark, as uncertain as it is, lies in the volume, and that it is seen there."""

from __future__ import annotations

import math

import numpy as np
import pytest
from blob_dataset import blob_case, write_blob_dataset, write_recipe

from LandmarkDetectionLib.detectors.calibrated import calibrated
from LandmarkDetectionLib.detectors.presence import probability_inside
from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.evaluation.cropping import short_volume
from LandmarkDetectionLib.geometry import apply_affine, rotation_matrix
from LandmarkDetectionLib.landmarks import DetectedLandmark
from LandmarkDetectionLib.models.bundle import load_bundle
from LandmarkDetectionLib.models.calibration import Calibration
from LandmarkDetectionLib.training.run import train
from LandmarkDetectionLib.volume import Volume

SIZE = (10, 8, 6)
SPACING_MM = np.array([1.0, 2.0, 3.0])


def volume(size=SIZE, turned_deg=0.0):
    ijk_to_ras = np.eye(4)
    ijk_to_ras[:3, :3] = rotation_matrix((1.0, 1.0, 0.3), turned_deg) * SPACING_MM
    ijk_to_ras[:3, 3] = 30.0, -7.0, 4.0
    return Volume(np.zeros(size[::-1], np.uint8), ijk_to_ras)


def inside(shown, ijk, covariance):
    position = apply_affine(shown.ijk_to_ras, ijk)
    return probability_inside(shown, position[None], np.asarray(covariance, dtype=float)[None])[0]


def normal(value):
    return 0.5 * (1.0 + math.erf(value / math.sqrt(2.0)))


def test_half_of_the_positions_about_a_face_lie_inside():
    assert inside(volume(), (-0.5, 4.0, 2.5), np.diag([0.04, 0.01, 0.01])) == pytest.approx(0.5)
    assert inside(volume(), (4.5, 3.5, 5.5), np.diag([0.04, 0.01, 0.25])) == pytest.approx(0.5)


def test_an_eighth_of_the_positions_about_a_corner_lie_inside():
    assert inside(volume(), (-0.5, 7.5, -0.5), 0.01 * np.eye(3)) == pytest.approx(0.125)


def test_the_probability_is_the_product_of_normal_integrals_along_the_axes():
    """At (1, 6, 4) with deviations of 2, 4, 3 mm: 2, 2 and 1 voxels; the faces lie at -0.5 and 9.5, 7.5, 5.5."""
    expected = (
        (normal((9.5 - 1) / 2) - normal((-0.5 - 1) / 2))
        * (normal((7.5 - 6) / 2) - normal((-0.5 - 6) / 2))
        * (normal((5.5 - 4) / 1) - normal((-0.5 - 4) / 1))
    )
    assert inside(volume(), (1.0, 6.0, 4.0), np.diag([4.0, 16.0, 9.0])) == pytest.approx(expected)
    assert expected == pytest.approx(0.77336 * 0.77279 * 0.93319, abs=1e-4), "from a table"


def test_axes_of_the_volume_are_what_counts():
    rotation = rotation_matrix((1.0, 1.0, 0.3), 35.0)
    turned = inside(volume(turned_deg=35.0), (1.0, 6.0, 4.0), rotation @ np.diag([4.0, 16.0, 9.0]) @ rotation.T)
    assert turned == pytest.approx(inside(volume(), (1.0, 6.0, 4.0), np.diag([4.0, 16.0, 9.0])))


def test_what_does_not_scatter_is_inside_or_outside():
    nothing = np.zeros((3, 3))
    assert inside(volume(), (9.4, 0.0, 0.0), nothing) == 1.0
    assert inside(volume(), (9.6, 0.0, 0.0), nothing) == 0.0
    assert inside(volume(), (-0.5, 0.0, 0.0), nothing) == pytest.approx(0.5)


def test_a_picture_has_no_thickness_to_fall_out_of():
    picture = volume((10, 8, 1))
    assert inside(picture, (4.5, 3.5, 40.0), 0.01 * np.eye(3)) == pytest.approx(1.0)
    assert inside(picture, (4.5, 7.5, 0.0), 0.01 * np.eye(3)) == pytest.approx(0.5)


def landmark(ijk, *, deviation_mm=0.1, evidence=None, label="A"):
    position = apply_affine(volume().ijk_to_ras, ijk)
    return DetectedLandmark(label, position, deviation_mm**2 * np.eye(3), evidence=evidence)


def presence(mark, calibration=None):
    (found,) = calibrated([mark], volume(), calibration)
    assert found.missing == (found.presence < 0.5)
    return found.presence


def test_evidence_counts_beside_the_position():
    assert presence(landmark((4, 4, 3))) == pytest.approx(1.0)
    assert presence(landmark((4, 4, 3), evidence=math.log(3.0))) == pytest.approx(0.75)
    assert presence(landmark((9.5, 4, 3), evidence=math.log(3.0))) == pytest.approx(0.375)
    assert presence(landmark((14, 4, 3), evidence=30.0)) == pytest.approx(0.0)


def test_evidence_is_taken_as_it_was_calibrated():
    calibration = Calibration({}, 20, "", presence_weight=0.5, presence_bias=-1.0)
    assert presence(landmark((4, 4, 3), evidence=4.0), calibration) == pytest.approx(normal_logistic(1.0))
    assert presence(landmark((4, 4, 3)), calibration) == pytest.approx(1.0)


def normal_logistic(value):
    return 1.0 / (1.0 + math.exp(-value))


CALIBRATION = Calibration(
    radius90_mm={"A": 5.0, "B": 4.0},
    cases=20,
    method="by hand",
    usual_error_mm={"A": 3.0},
    usual_spread_mm={"A": 4.0},
    variance_scale={"A": 2.0},
)


def test_the_radius_grows_with_the_spread_and_the_usual_error():
    """Spread 0 leaves 3 mm of the 5 mm that stand for a radius of 5; spread 4 mm is usual."""
    at_rest, usual = landmark((4, 4, 3), deviation_mm=0.0), landmark((4, 4, 3), deviation_mm=4.0 / math.sqrt(3.0))
    assert calibrated([at_rest], volume(), CALIBRATION)[0].radius90_mm == pytest.approx(3.0)
    assert calibrated([usual], volume(), CALIBRATION)[0].radius90_mm == pytest.approx(5.0)
    assert calibrated([landmark((4, 4, 3), label="B")], volume(), CALIBRATION)[0].radius90_mm == 4.0
    assert calibrated([landmark((4, 4, 3), label="C")], volume(), CALIBRATION)[0].radius90_mm is None


def test_the_usual_error_joins_the_covariance_in_all_directions():
    (found,) = calibrated([landmark((4, 4, 3), deviation_mm=1.0)], volume(), CALIBRATION)
    np.testing.assert_allclose(found.covariance_ras, 2.0 * (1.0 + 9.0 / 3.0) * np.eye(3), atol=1e-12)
    (unknown,) = calibrated([landmark((4, 4, 3), deviation_mm=1.0, label="B")], volume(), CALIBRATION)
    np.testing.assert_array_equal(unknown.covariance_ras, np.eye(3))


def test_the_error_in_a_picture_lies_in_its_plane():
    flat = DetectedLandmark("A", np.zeros(3), np.diag([1.0, 1.0, 0.0]))
    (found,) = calibrated([flat], volume((10, 8, 1)), CALIBRATION)
    np.testing.assert_allclose(found.covariance_ras, 2.0 * (1.0 + 9.0 / 2.0) * np.diag([1.0, 1.0, 0.0]), atol=1e-12)


def test_uncertainty_as_calibrated_decides_on_presence():
    outside = landmark((10.5, 4, 3), deviation_mm=0.1)
    assert presence(outside) < 1e-9
    assert presence(outside, CALIBRATION) > 0.2


def test_a_model_that_learnt_from_cut_volumes_flags_what_is_cut_off(tmp_path):
    """PIN has no evidence but the place: the blobs that are left tell where the one lay that is not."""
    changes = {"optimisation": {"steps": 300, "minutes": 9.0, "pool_size": 48}, "augmentation": {"cut_short": 0.5}}
    config = write_recipe(tmp_path / "recipe.json", **changes)
    dataset = write_blob_dataset(tmp_path / "blobs")
    train(dataset, "pin", tmp_path / "model", preset="quick", config=config, device="cpu")
    detector = load_detector(load_bundle(tmp_path / "model"), "cpu")
    flags = {True: [], False: []}
    for seed in range(20, 50):
        whole, truth = blob_case(seed)
        rest = short_volume(str(seed), whole, truth, 0)
        for mark, is_shown in zip(detector.detect(rest).landmarks, rest.contains(truth.to_array()), strict=True):
            flags[bool(is_shown)].append(mark.missing)
    assert np.mean(flags[False]) > 0.3, "recall"
    assert np.mean(flags[True]) < 0.1, "false alarms"
