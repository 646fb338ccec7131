"""The planes and measurements of our anatomies, against the authors' frame and real landmarks."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from LandmarkDetectionLib.geometry import FloatArray, angle_between_deg, rotation_matrix
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.measurements import MeasurementDefinition, measure_landmarks
from LandmarkDetectionLib.models.record import parse_record, record_to_json
from LandmarkDetectionLib.planes import PlaneDefinition, standard_plane
from LandmarkDetectionLib.standard_definitions import (
    BRAIN_MEASUREMENTS,
    BRAIN_PLANES,
    FETAL_HEAD_2D_MEASUREMENTS,
    FETAL_HEAD_MEASUREMENTS,
    FETAL_HEAD_PLANES,
)

TV, TC = FETAL_HEAD_PLANES
MID_SAGITTAL, AXIAL = BRAIN_PLANES

FRAME_TO_RAS = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
"""The frame of PIN's authors: x grows from front to back (P), y from left to right (R), z from base to top (S)."""

SAMPLES = ("landmarks_data1_ps", "test_data1_ps", "test_data2_ps", "train_data3_ps", "train_data4_ps")

UPRIGHT_HEAD = {
    "centerHead": (0.0, 0.0, 0.0),
    "frontHead": (-50.0, 0.0, 0.0),
    "backHead": (50.0, 0.0, 0.0),
    "rightHead": (0.0, 40.0, 0.0),
    "leftHead": (0.0, -40.0, 0.0),
    "rightVentInner": (15.0, 10.0, 0.0),
    "rightVentOuter": (15.0, 17.0, 0.0),
    "rightCerebellar": (25.0, 12.0, -18.0),
    "leftCerebellar": (25.0, -12.0, -18.0),
    "CSP": (-20.0, 0.0, 0.0),
}
"""In the authors' frame, millimetres."""


def head_in_ras(positions) -> LandmarkSet:
    return LandmarkSet({label: FRAME_TO_RAS @ np.array(position) for label, position in positions.items()})


def sample_positions(folder: Path, sample: str) -> dict[str, FloatArray]:
    landmarks = json.loads((folder / "fetal_head_shape" / "samples" / f"{sample}.json").read_text())["landmarks"]
    return {label: np.array(position) for label, position in landmarks.items()}


def transventricular_frame(positions) -> FloatArray:
    """METHODS A1 in the authors' frame, by eigenvectors instead of an SVD: columns x, y, z and origin."""
    midline = np.array([positions[label] for label in ("centerHead", "frontHead", "backHead", "CSP")])
    sides = ("rightHead", "leftHead", "rightVentInner", "rightVentOuter")
    points = np.concatenate((midline, [positions[label] for label in sides]))
    z = np.linalg.eigh(np.cov(points.T))[1][:, 0]
    z = z if z[2] >= 0 else -z
    projected = midline - np.outer((midline - points.mean(axis=0)) @ z, z)
    x = np.linalg.eigh(np.cov(projected.T))[1][:, 2]
    x = x if x[0] >= 0 else -x
    return np.column_stack((x, np.cross(z, x), z, projected[0]))


def transcerebellar_frame(positions) -> FloatArray:
    """METHODS A1 in the authors' frame: columns x, y, z and origin."""
    right, left, csp = (positions[label] for label in ("rightCerebellar", "leftCerebellar", "CSP"))
    z = np.cross(left - csp, right - csp)
    x = (right + left) / 2 - csp
    z, x = z / np.linalg.norm(z), x / np.linalg.norm(x)
    return np.column_stack((x, np.cross(z, x), z, (right + left) / 4 + csp / 2))


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize(
    ("definition", "frame_of"), [(TV, transventricular_frame), (TC, transcerebellar_frame)], ids=("TV", "TC")
)
def test_published_landmarks_give_the_authors_planes(shared_data, sample, definition, frame_of):
    positions = sample_positions(shared_data, sample)
    plane = standard_plane(definition, head_in_ras(positions))
    np.testing.assert_allclose(plane.plane_to_ras[:3], FRAME_TO_RAS @ frame_of(positions), atol=1e-9)
    assert plane.normal[2] > 0.8


def test_tv_of_the_dummy_sample_as_computed_by_hand(shared_data):
    """All its TV points have z = 147.88; the midline makes the angle t with x: tan 2t = 2 Sxy / (Sxx - Syy), where
    Sxy = 15.7283 and Sxx - Syy = 15019.11, so t = 0.0010472."""
    plane = standard_plane(TV, head_in_ras(sample_positions(shared_data, "landmarks_data1_ps")))
    np.testing.assert_allclose(plane.normal, (0.0, 0.0, 1.0), atol=1e-12)
    np.testing.assert_allclose(plane.origin_ras, (106.1314024375, -155.8876028828, 147.8834845442), atol=1e-9)
    np.testing.assert_allclose(plane.x_axis, (0.0010472, -0.9999995, 0.0), atol=1e-7)


def test_an_upright_head_gives_planes_computed_by_hand():
    tv, tc = (standard_plane(definition, head_in_ras(UPRIGHT_HEAD)) for definition in FETAL_HEAD_PLANES)
    np.testing.assert_allclose(tv.plane_to_ras[:3], [[0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0]], atol=1e-12)
    slope = np.hypot(45, 18)
    np.testing.assert_allclose(tc.x_axis, (0, -45 / slope, -18 / slope), atol=1e-12)
    np.testing.assert_allclose(tc.y_axis, (1, 0, 0), atol=1e-12)
    np.testing.assert_allclose(tc.normal, (0, -18 / slope, 45 / slope), atol=1e-12)
    np.testing.assert_allclose(tc.origin_ras, (0, -2.5, -9), atol=1e-12)


@given(st.sampled_from(FETAL_HEAD_PLANES), st.floats(-25.0, 25.0), st.tuples(*[st.floats(-1.0, 1.0)] * 3))
def test_fetal_planes_move_with_a_tilted_head(definition, angle_deg, axis):
    motion = np.eye(4)
    motion[:3, :3] = rotation_matrix(np.add(axis, (0.0, 0.0, 1.5)), angle_deg)
    motion[:3, 3] = (7.0, -3.0, 12.0)
    head = head_in_ras(UPRIGHT_HEAD)
    moved = standard_plane(definition, head.transformed(motion)).plane_to_ras
    np.testing.assert_allclose(moved, motion @ standard_plane(definition, head).plane_to_ras, atol=1e-9)


def brain_landmarks(folder: Path) -> list[LandmarkSet]:
    files = sorted((folder / "brain" / "landmarks").glob("*.mrk.json"))[:20]
    markups = [json.loads(file.read_text())["markups"][0]["controlPoints"] for file in files]
    lps_to_ras = np.array([-1.0, -1.0, 1.0])
    return [LandmarkSet({p["label"]: lps_to_ras * p["position"] for p in points}) for points in markups]


def test_brain_planes_lie_as_their_names_say(shared_data):
    for landmarks in brain_landmarks(shared_data):
        mid_sagittal, axial = (standard_plane(definition, landmarks) for definition in BRAIN_PLANES)
        assert angle_between_deg(mid_sagittal.normal, (1, 0, 0)) < 10.0
        assert mid_sagittal.x_axis[1] < -0.7
        assert mid_sagittal.y_axis[2] < -0.7
        assert axial.normal[2] > 0.7
        assert axial.x_axis[0] < -0.9
        assert axial.y_axis[1] < -0.7
        assert angle_between_deg(mid_sagittal.normal, axial.normal) == pytest.approx(90.0, abs=8.0)


def test_the_mid_sagittal_plane_has_left_and_right_on_its_sides(shared_data):
    for landmarks in brain_landmarks(shared_data):
        plane = standard_plane(MID_SAGITTAL, landmarks)
        for label in landmarks.present:
            side_mm = (landmarks[label] - plane.origin_ras) @ plane.normal
            expected = {"Left": -1.0, "Right": 1.0}.get(label.split()[0], 0.0)
            assert np.sign(side_mm) == expected or (expected == 0.0 and abs(side_mm) < 4.0)


@pytest.mark.parametrize(
    ("dataset", "definitions"),
    [("brain", (*BRAIN_PLANES, *BRAIN_MEASUREMENTS)), ("fetal_hc18", FETAL_HEAD_2D_MEASUREMENTS)],
)
def test_definitions_name_landmarks_of_the_dataset(shared_data, dataset, definitions):
    landmarks = json.loads((shared_data / dataset / "dataset.json").read_text())["landmarks"]
    assert {label for definition in definitions for label in definition.labels} <= {
        landmark["label"] for landmark in landmarks
    }


@pytest.mark.parametrize("definition", [*FETAL_HEAD_PLANES, *BRAIN_PLANES], ids=lambda definition: definition.name)
def test_plane_definitions_survive_the_model_card(definition):
    written = json.dumps(record_to_json(definition))
    assert parse_record(PlaneDefinition, json.loads(written), "card") == definition


@pytest.mark.parametrize(
    "definition",
    [*FETAL_HEAD_MEASUREMENTS, *FETAL_HEAD_2D_MEASUREMENTS, *BRAIN_MEASUREMENTS],
    ids=lambda definition: f"{definition.name} {definition.labels[0]}",
)
def test_measurement_definitions_survive_the_model_card(definition):
    written = json.dumps(record_to_json(definition))
    assert parse_record(MeasurementDefinition, json.loads(written), "card") == definition


def test_names_within_a_card_are_unique():
    cards = (
        (*FETAL_HEAD_PLANES, *FETAL_HEAD_MEASUREMENTS),
        FETAL_HEAD_2D_MEASUREMENTS,
        (*BRAIN_PLANES, *BRAIN_MEASUREMENTS),
    )
    for card in cards:
        assert all(first.name != second.name for first, second in combinations(card, 2))


def test_biometry_of_an_upright_head():
    values = {d.name: measure_landmarks(d, head_in_ras(UPRIGHT_HEAD), {}).value for d in FETAL_HEAD_MEASUREMENTS}
    assert values == pytest.approx({"BPD": 80.0, "OFD": 100.0, "HC": 283.6167, "TCD": 24.0}, rel=1e-6)
