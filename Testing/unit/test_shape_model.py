"""Shapes are described by their principal modes, as published, and gaps in them are filled with what is likely."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.shape_model import ShapeModel, modes_for_variance

CASES, LANDMARKS = 12, 5
COORDINATES = 3 * LANDMARKS

seeds = st.integers(0, 2**32 - 1)


def random_shapes(seed=0, cases=CASES):
    """Shapes (cases, n, 3) around one mean, with correlated coordinates."""
    random = np.random.default_rng(seed)
    mixing = random.normal(0.0, 3.0, (COORDINATES, COORDINATES))
    shapes = random.normal(0.0, 20.0, COORDINATES) + random.normal(size=(cases, COORDINATES)) @ mixing
    return shapes.reshape(cases, LANDMARKS, 3)


def two_points_that_move_together():
    """Both landmarks move along x by the same amount, with a variance of 4 mm^2 in the only mode."""
    along_x = np.array([[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]]) / np.sqrt(2)
    return ShapeModel(mean=np.arange(6.0), eigenvectors=along_x, eigenvalues=[4.0])


def published_model(shared_data):
    data = json.loads((shared_data / "fetal_head_shape" / "shape_model.json").read_text())
    return ShapeModel(data["mean"], data["eigenvectors"], data["eigenvalues"])


def test_published_fetal_head_needs_15_modes_for_99_5_percent(shared_data):
    model = published_model(shared_data)
    assert model.landmarks == 10
    assert model.modes == 30
    assert modes_for_variance(model.eigenvalues, 0.995) == 15


def test_published_fetal_head_model_is_orthonormal_and_reproduces_any_shape_with_all_modes(shared_data):
    model = published_model(shared_data)
    np.testing.assert_allclose(model.eigenvectors @ model.eigenvectors.T, np.eye(30), atol=1e-6)
    shape = model.mean.reshape(10, 3) + np.random.default_rng(0).normal(0.0, 5.0, (10, 3))
    np.testing.assert_allclose(model.reconstruct(model.project(shape)), shape, atol=1e-3)


@pytest.mark.parametrize(
    ("share", "modes"), [(0.5, 1), (0.89, 1), (0.9, 2), (0.95, 2), (0.98, 2), (0.995, 3), (1.0, 3)]
)
def test_fewest_modes_whose_variance_exceeds_the_share_are_kept(share, modes):
    assert modes_for_variance([90.0, 9.0, 1.0], share) == modes


@settings(max_examples=20)
@given(seeds)
def test_fit_equals_the_singular_value_decomposition(seed):
    shapes = random_shapes(seed)
    model = ShapeModel.fit(shapes, explained_variance=0.97)
    flat = shapes.reshape(CASES, -1)
    _, singular, right = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    variances = singular**2 / (CASES - 1)
    np.testing.assert_allclose(model.mean, flat.mean(0))
    np.testing.assert_allclose(model.eigenvalues, variances[: model.modes])
    agreement = np.abs(np.sum(model.eigenvectors * right[: model.modes], axis=1))
    np.testing.assert_allclose(agreement, 1.0, atol=1e-6)
    kept, one_less = variances[: model.modes].sum(), variances[: model.modes - 1].sum()
    assert one_less <= 0.97 * variances.sum() < kept


@given(seeds, st.integers(1, CASES - 1))
def test_weights_survive_reconstruction_and_projection(seed, modes):
    fitted = ShapeModel.fit(random_shapes(seed), explained_variance=1.0)
    model = ShapeModel(fitted.mean, fitted.eigenvectors[:modes], fitted.eigenvalues[:modes])
    weights = np.random.default_rng(seed).normal(size=modes) * model.standard_deviations_mm
    np.testing.assert_allclose(model.project(model.reconstruct(weights)), weights, atol=1e-8)


@given(seeds)
def test_projection_gives_the_nearest_shape_of_the_space(seed):
    model = ShapeModel.fit(random_shapes(), explained_variance=0.9)
    assert model.modes < CASES - 1
    shape = random_shapes(seed, cases=1)[0]
    rest = (shape - model.reconstruct(model.project(shape))).ravel()
    np.testing.assert_allclose(model.eigenvectors @ rest, 0.0, atol=1e-8)


def test_all_modes_reproduce_the_cases_they_were_fitted_to():
    shapes = random_shapes()
    model = ShapeModel.fit(shapes, explained_variance=1.0)
    for shape in shapes:
        np.testing.assert_allclose(model.reconstruct(model.project(shape)), shape, atol=1e-8)


def test_gap_is_filled_by_what_is_known_held_back_by_the_variance():
    model = two_points_that_move_together()
    shape = model.mean.reshape(2, 3) + np.array([[3.0, 0.0, 0.0], [np.nan, np.nan, np.nan]])
    # One mode, basis 1/sqrt(2) for the known x: b = (3 / sqrt(2)) / (1/2 + 1/4), both move by b / sqrt(2) = 2.
    np.testing.assert_allclose(model.project(shape), [2.0 * np.sqrt(2.0)])
    np.testing.assert_allclose(model.reconstruct(model.project(shape))[:, 0], [2.0, 5.0])


def test_nothing_known_gives_the_mean_shape():
    model = two_points_that_move_together()
    np.testing.assert_array_equal(model.project(np.full((2, 3), np.nan)), [0.0])


def test_missing_landmark_is_placed_better_by_the_others_than_by_the_mean():
    shapes = random_shapes(cases=60)
    model = ShapeModel.fit(shapes[:50], explained_variance=0.999)
    filled_mm, mean_mm = [], []
    for shape in shapes[50:]:
        gapped = shape.copy()
        gapped[2] = np.nan
        filled_mm.append(np.linalg.norm(model.reconstruct(model.project(gapped))[2] - shape[2]))
        mean_mm.append(np.linalg.norm(model.mean.reshape(-1, 3)[2] - shape[2]))
    assert np.mean(filled_mm) < 0.7 * np.mean(mean_mm)


def test_free_point_has_its_position_as_weights():
    model = ShapeModel.free_point(7.0)
    assert (model.landmarks, model.modes) == (1, 3)
    np.testing.assert_array_equal(model.project([[1.0, -2.0, 3.0]]), [1.0, -2.0, 3.0])
    np.testing.assert_array_equal(model.reconstruct([1.0, -2.0, 3.0]), [[1.0, -2.0, 3.0]])
    np.testing.assert_array_equal(model.standard_deviations_mm, [7.0, 7.0, 7.0])


def test_pictures_get_no_mode_across_their_plane():
    shapes = random_shapes(cases=40)
    shapes[..., 2] = 0.0
    model = ShapeModel.fit(shapes, explained_variance=1.0)
    assert model.modes == 2 * LANDMARKS
    assert model.standard_deviations_mm.min() > 1e-3


def test_two_cases_are_too_few():
    with pytest.raises(LandmarkDetectionError, match="at least 3 cases with every landmark, but there are 2"):
        ShapeModel.fit(random_shapes(cases=2))


def test_cases_that_do_not_differ_are_refused():
    with pytest.raises(LandmarkDetectionError, match="same places in every case"):
        ShapeModel.fit(np.repeat(random_shapes(cases=1), 5, axis=0))
