"""Ends of axes become points of the outline and come back, also of round, stretched, noisy and impossible ellipses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from LandmarkDetectionLib.detectors.ellipse_outline import EllipseOutline, fitted_ellipse
from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.models.bundle import load_card
from LandmarkDetectionLib.models.registry import find_model

OUTLINE = EllipseOutline(8, (0, 1), (2, 3), (4,))


def ellipse(centre, long_half, short_half, angle_deg):
    """Landmarks (5, 2): ends of the long and the short axis, ordered as a detection orders them, and the centre."""
    cosine, sine = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    along, across = long_half * np.array([sine, cosine]), short_half * np.array([cosine, -sine])
    centre = np.array(centre, dtype=float)
    return np.array([centre - along, centre + along, centre - across, centre + across, centre])


ellipses = st.builds(
    ellipse,
    st.tuples(st.floats(-50, 300), st.floats(-50, 300)),
    st.floats(31, 60),
    st.floats(15, 30),
    st.floats(-85, 85),
)


def test_points_of_a_circle_lie_at_equal_angles_from_the_first_axis():
    points = OUTLINE.points(torch.tensor(ellipse((10, 20), 5, 5, 33)))
    half = 5 * np.sqrt(0.5)
    expected = [(15, 20), (10 + half, 20 + half), (10, 25), (10 - half, 20 + half), (5, 20)]
    np.testing.assert_allclose(points[:5].numpy(), expected, atol=1e-9)


def test_points_of_an_ellipse_lie_where_its_outline_crosses_their_directions():
    points = OUTLINE.points(torch.tensor(ellipse((0, 0), 4, 2, 0)))
    both = np.sqrt(1 / (1 / 2**2 + 1 / 4**2))
    np.testing.assert_allclose(points[:3].numpy(), [(2, 0), (both, both), (0, 4)], atol=1e-12)


@given(ellipses)
def test_landmarks_come_back_from_the_points_of_their_outline(landmarks):
    found = OUTLINE.landmarks(OUTLINE.points(torch.tensor(landmarks)).numpy())
    np.testing.assert_allclose(found, landmarks, atol=1e-5)


def test_a_stretched_ellipse_has_the_outline_of_the_ellipse_that_it_became():
    circle = ellipse((0, 0), 3, 3, 40)
    stretched = OUTLINE.points(torch.tensor(circle * (1.0, 2.0))).numpy()
    np.testing.assert_allclose(OUTLINE.landmarks(stretched), ellipse((0, 0), 6, 3, 0), atol=1e-9)


def test_many_ellipses_are_handled_at_once():
    both = np.stack([ellipse((5, 5), 4, 2, 10), ellipse((50, 30), 20, 15, -70)])
    points = OUTLINE.points(torch.tensor(both))
    assert points.shape == (2, 8, 2)
    np.testing.assert_allclose(OUTLINE.landmarks(points.numpy()), both, atol=1e-6)


def test_errors_of_single_points_are_averaged():
    truth = ellipse((100, 80), 40, 30, 20)
    outline = dataclasses.replace(OUTLINE, count=16)
    noise = np.random.default_rng(0).normal(0, 1.0, (200, 16, 2))
    found = outline.landmarks(outline.points(torch.tensor(truth)).numpy() + noise)
    lengths = np.linalg.norm(found[:, 1] - found[:, 0], axis=1)
    assert abs(lengths.mean() - 80) < 0.3
    assert lengths.std() < 1.2


def test_single_points_that_lie_elsewhere_hardly_count():
    truth = ellipse((100, 80), 40, 30, 20)
    outline = dataclasses.replace(OUTLINE, count=16)
    points = outline.points(torch.tensor(truth)).numpy() + np.random.default_rng(0).normal(0, 0.3, (16, 2))
    points[[2, 9]] += 15.0
    np.testing.assert_allclose(outline.landmarks(points), truth, atol=1.0)


def test_an_end_that_is_missing_leaves_no_outline():
    landmarks = ellipse((0, 0), 4, 2, 0)
    landmarks[3] = np.nan
    assert OUTLINE.points(torch.tensor(landmarks)).isnan().all()


@pytest.mark.parametrize("points", [np.zeros((8, 2)), np.outer(np.arange(8.0), (1.0, 2.0))])
def test_points_without_an_outline_have_an_ellipse_without_extent(points):
    centre, long_axis, short_axis = fitted_ellipse(points)
    np.testing.assert_allclose(centre, points.mean(0))
    assert not long_axis.any()
    assert not short_axis.any()


def test_a_card_without_two_axes_is_refused():
    card = load_card(find_model("fetal-head-2d"))
    assert EllipseOutline.of(card, 8) == OUTLINE
    with pytest.raises(LandmarkDetectionError, match=r"outline_points is for pictures .* set it to 0\.$"):
        EllipseOutline.of(dataclasses.replace(card, interchangeable=card.interchangeable[:1]), 8)
