"""The search moves as the three published rules say, with networks that know the truth in place of trained ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Tensor, nn

from LandmarkDetectionLib.detectors.pin_search import (
    PatchImage,
    PINInference,
    PINNetworkSettings,
    PINSearch,
    displacement_scale_mm,
)
from LandmarkDetectionLib.errors import DetectionCancelled, LandmarkDetectionError
from LandmarkDetectionLib.preprocessing import CanonicalVolume
from LandmarkDetectionLib.shape_model import ShapeModel

SIZE = (8, 8, 4)
"""Voxels along i, j, k of the map below: 256 of them, so that every voxel has a byte of its own."""
VOXEL_MM = 5.0
ORIGIN_IJK = np.array([3.5, 4.0, 1.25])
SETTINGS = PINNetworkSettings(patch_size=5, widths=(4,), hidden=4)
CERTAIN = 50.0

inside_mm = st.tuples(*[st.floats(-0.49, side - 0.51) for side in SIZE]).map(
    lambda ijk: tuple((np.array(ijk) - ORIGIN_IJK) * VOXEL_MM)
)


def map_of_positions() -> PatchImage:
    """An image whose voxel at i, j, k has the value i + 8 j + 64 k."""
    voxels = np.arange(256, dtype=np.uint8).reshape(SIZE[::-1])
    canonical = CanonicalVolume(voxels, np.full(3, VOXEL_MM), ORIGIN_IJK, np.eye(4), (0.0, 255.0))
    return PatchImage(canonical, SETTINGS.patch_size, torch.device("cpu"))


class MapReader(nn.Module):
    """Knows where its patches were cut, from their central pixels, and counts how often it is asked."""

    def __init__(self, model: ShapeModel) -> None:
        super().__init__()
        self._register = nn.Parameter(torch.zeros(1))
        self._model = model
        self.calls = 0

    def cut_at(self, patches: Tensor) -> np.ndarray:
        """Mode weights (batch, modes) of the voxels at the middle of the patches."""
        self.calls += 1
        centre = SETTINGS.patch_size // 2
        values = (patches[:, ::3, centre, centre].float() * 255.0).round().long().numpy()
        ijk = np.stack([values % 8, values // 8 % 8, values // 64], axis=-1)
        return np.array([self._model.project(shape) for shape in (ijk - ORIGIN_IJK) * VOXEL_MM])


class KnowsTheWay(MapReader):
    """Answers with the displacement to the truth, and with logits for one direction or for none in particular."""

    def __init__(self, model: ShapeModel, truth: np.ndarray, certainty: float = CERTAIN) -> None:
        super().__init__(model)
        self._truth = model.project(truth)
        self._certainty = certainty
        self._scale = displacement_scale_mm(model, SETTINGS)

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        displacement = torch.from_numpy(self._truth - self.cut_at(patches)).float()
        likeliest = displacement.abs().argmax(1)
        is_negative = displacement.gather(1, likeliest[:, None])[:, 0] <= 0
        logits = torch.zeros(len(patches), 2 * displacement.shape[1])
        logits[torch.arange(len(patches)), 2 * likeliest + is_negative] = self._certainty
        return displacement, logits


class AlwaysAnswers(MapReader):
    """Gives the same answer wherever it is asked."""

    def __init__(self, model: ShapeModel, displacement: list[float], logits: list[float]) -> None:
        super().__init__(model)
        self._answer = torch.tensor(displacement), torch.tensor(logits)

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        self.cut_at(patches)
        return tuple(answer.expand(len(patches), -1) for answer in self._answer)


def free_point() -> ShapeModel:
    return ShapeModel.free_point(10.0)


def five_free_points() -> ShapeModel:
    """A shape space of fifteen modes: each coordinate of five landmarks by itself."""
    return ShapeModel(np.zeros(15), np.eye(15), np.full(15, 100.0))


def run(network, model, starts, *, settings=SETTINGS, cancelled=bool, progress=lambda _done: None, **inference):
    search = PINSearch(network, model, settings, PINInference(**inference))
    return search.run(
        map_of_positions(), np.atleast_2d(np.asarray(starts, float)), progress=progress, cancelled=cancelled
    )


def nearest_voxel_mm(positions_mm):
    """Positions of the voxels nearest to positions, all inside the map."""
    ijk = np.clip(np.round(np.asarray(positions_mm) / VOXEL_MM + ORIGIN_IJK), 0, np.array(SIZE) - 1)
    return (ijk - ORIGIN_IJK) * VOXEL_MM


@hypothesis_settings(max_examples=25)
@given(start=inside_mm, truth=inside_mm)
def test_rule_b_jumps_to_the_exact_truth_though_patches_are_cut_at_voxels(start, truth):
    network = KnowsTheWay(free_point(), [truth])
    finals, path = run(network, free_point(), start, rule="B")
    np.testing.assert_allclose(finals[0], [truth], atol=1e-4)
    np.testing.assert_allclose(path[0], [start], atol=1e-4)
    np.testing.assert_allclose(path[1], [truth], atol=1e-4)
    assert network.calls <= 2


def test_rule_b_counts_from_the_border_when_the_start_is_outside():
    truth = (2.0, -3.0, 1.0)
    finals, _ = run(KnowsTheWay(free_point(), [truth]), free_point(), (900.0, -900.0, 3.0), rule="B")
    np.testing.assert_allclose(finals[0], [truth], atol=1e-4)


def test_rule_b_follows_displacements_in_units_of_the_modes():
    model = ShapeModel(np.zeros(6), np.eye(6)[:2], [16.0, 4.0])
    half_whitened = PINNetworkSettings(5, (4,), 4, "half-whitened")
    # One unit stands for sqrt(4 * 4) = 4 mm of the first mode and sqrt(2 * 4) mm of the second.
    network = AlwaysAnswers(model, [1.0, -1.0], [0.0] * 4)
    _, path = run(network, model, [0.0, 0.0], settings=half_whitened, rule="B", iterations=1)
    both = nearest_voxel_mm(np.zeros(3))
    expected = [both[0] + 4.0, both[1] - math.sqrt(8.0)]
    np.testing.assert_allclose(path[1][0][:2], expected, atol=1e-5)


def test_rule_a_steps_one_voxel_in_the_likeliest_direction():
    start = nearest_voxel_mm([-10.0, 8.0, 1.0])
    truth = start + VOXEL_MM * np.array([3, -2, 0])
    network = KnowsTheWay(free_point(), [truth])
    _, path = run(network, free_point(), start, rule="A")
    steps = np.diff(path[:, 0], axis=0) / VOXEL_MM
    expected = [[1, 0, 0], [1, 0, 0], [0, -1, 0], [1, 0, 0], [0, -1, 0]]
    np.testing.assert_allclose(steps[:5], expected, atol=1e-5)
    np.testing.assert_allclose(path[5, 0], truth, atol=1e-4)
    np.testing.assert_allclose(np.abs(steps).sum(1), 1.0, atol=1e-5)


@pytest.mark.parametrize("voxel_shift", [0.0, 0.1, 0.3])
def test_rule_a_stops_when_it_goes_back_and_forth_between_two_points(voxel_shift):
    truth = nearest_voxel_mm([5.0, -5.0, 0.0])
    starts = truth + VOXEL_MM * (np.array([[2, 0, 0], [-1, 1, 0], [0, 0, 1]]) + voxel_shift)
    network = KnowsTheWay(free_point(), [truth])
    finals, _ = run(network, free_point(), starts, rule="A")
    assert network.calls < 12
    assert np.all(np.abs(finals[:, 0] - truth) < 1.5 * VOXEL_MM)


def test_rule_a_does_not_stop_where_a_step_is_shorter_than_the_tolerance():
    truth = nearest_voxel_mm([10.0, 0.0, 0.0])
    start = truth - [3 * VOXEL_MM, 0.0, 0.0]
    _, path = run(KnowsTheWay(free_point(), [truth]), free_point(), start, rule="A", tolerance_mm=99.0)
    np.testing.assert_allclose(path[3, 0], truth, atol=1e-4)


@pytest.mark.parametrize(("rule", "iterations"), [("A", 350), ("B", 10), ("C", 10)])
def test_a_search_that_never_settles_ends_after_the_published_number_of_iterations(rule, iterations):
    network = AlwaysAnswers(free_point(), [2.0 * VOXEL_MM, 0.0, 0.0], [CERTAIN, 0.0, 0.0, 0.0, 0.0, 0.0])
    _, path = run(network, free_point(), (-20.0, 0.0, 0.0), rule=rule, tolerance_mm=-1.0)
    assert network.calls == iterations
    assert len(path) == iterations + 1


def test_number_of_iterations_may_be_chosen():
    network = AlwaysAnswers(free_point(), [1.0, 0.0, 0.0], [0.0] * 6)
    _, path = run(network, free_point(), (0.0, 0.0, 0.0), rule="B", iterations=3, tolerance_mm=-1.0)
    assert len(path) == 4


@pytest.mark.parametrize("rule", ["B", "C"])
def test_search_ends_when_no_landmark_of_any_start_moves_farther_than_the_tolerance(rule):
    truth = nearest_voxel_mm([5.0, -5.0, 0.0])
    starts = truth + np.array([[0.0, 0.0, 0.0], [12.0, 0.0, 0.0]])
    network = KnowsTheWay(free_point(), [truth])
    finals, _ = run(network, free_point(), starts, rule=rule)
    assert network.calls < 10
    np.testing.assert_allclose(finals[:, 0], [truth, truth], atol=0.1)


def test_rule_c_with_uniform_probabilities_of_fifteen_modes_moves_a_thirtieth():
    model = five_free_points()
    truth = nearest_voxel_mm(np.linspace(-8.0, 8.0, 15).reshape(5, 3)) + 0.7
    start = np.linspace(8.0, -8.0, 15)
    _, path = run(KnowsTheWay(model, truth, certainty=0.0), model, start, rule="C", iterations=1)
    cut_at = nearest_voxel_mm(start.reshape(5, 3))
    np.testing.assert_allclose(path[1], cut_at + (truth - cut_at) / 30.0, atol=1e-4)


def test_rule_c_weights_each_mode_by_the_larger_probability_of_its_two_directions():
    logits = [1.0, 0.0, -1.0, 0.5, 0.0, 0.0]
    displacement = [4.0, -3.0, 2.0]
    exponentials = np.exp(logits)
    weights = np.array([np.exp(1.0), np.exp(0.5), 1.0]) / exponentials.sum()
    _, path = run(AlwaysAnswers(free_point(), displacement, logits), free_point(), (0, 0, 0), rule="C", iterations=1)
    cut_at = nearest_voxel_mm(np.zeros(3))
    np.testing.assert_allclose(path[1, 0], cut_at + weights * displacement, atol=1e-5)


def test_rule_c_may_weight_each_mode_by_the_likelier_of_its_two_directions_alone():
    logits = [2.0, 0.0, -1.0, 0.5, 0.0, 0.0]
    displacement = [4.0, -3.0, 2.0]
    weights = [1 / (1 + math.exp(-2.0)), 1 / (1 + math.exp(-1.5)), 0.5]
    network = AlwaysAnswers(free_point(), displacement, logits)
    _, path = run(network, free_point(), (0, 0, 0), rule="C", confidence="pairwise", iterations=1)
    cut_at = nearest_voxel_mm(np.zeros(3))
    np.testing.assert_allclose(path[1, 0], cut_at + np.array(weights) * displacement, atol=1e-5)


def test_certain_direction_makes_rule_c_move_that_mode_alone():
    truth = nearest_voxel_mm([5.0, -10.0, 0.0])
    start = nearest_voxel_mm([-5.0, -5.0, 0.0])
    _, path = run(KnowsTheWay(free_point(), [truth]), free_point(), start, rule="C", iterations=1)
    np.testing.assert_allclose(path[1, 0], [truth[0], start[1], start[2]], atol=1e-4)


@hypothesis_settings(max_examples=15)
@given(st.lists(inside_mm, min_size=3, max_size=3), st.integers(0, 1000))
def test_several_landmarks_move_together_in_the_modes(truth, seed):
    random = np.random.default_rng(seed)
    modes = np.linalg.qr(random.normal(size=(9, 4)))[0].T
    model = ShapeModel(random.normal(0.0, 3.0, 9), modes, [9.0, 4.0, 1.0, 0.25])
    starts = random.normal(size=(2, 4)) * model.standard_deviations_mm
    finals, _ = run(KnowsTheWay(model, np.array(truth)), model, starts, rule="B")
    nearest_shape = model.reconstruct(model.project(np.array(truth)))
    np.testing.assert_allclose(finals, [nearest_shape, nearest_shape], atol=1e-3)


def test_path_is_the_mean_over_the_starts():
    network = AlwaysAnswers(free_point(), [1.0, 2.0, 3.0], [0.0] * 6)
    starts = np.array([[-10.0, 0.0, 0.0], [10.0, 5.0, 0.0], [0.0, -5.0, 4.0]])
    finals, path = run(network, free_point(), starts, rule="B", iterations=1)
    np.testing.assert_allclose(finals[:, 0], nearest_voxel_mm(starts) + np.array([1.0, 2.0, 3.0]), atol=1e-5)
    np.testing.assert_allclose(path[:, 0], [starts.mean(0), finals[:, 0].mean(0)], atol=1e-5)


def test_search_averages_matched_ends_not_their_middle():
    model = ShapeModel([-10.0, 0.0, 0.0, 10.0, 0.0, 0.0], np.eye(6)[[0, 3]], [100.0, 100.0])
    stays = AlwaysAnswers(model, [0.0, 0.0], [0.0] * 4)
    search = PINSearch(stays, model, SETTINGS, PINInference(rule="B"), [(0, 1)])
    starts = np.array([[0.0, 0.0], [20.0, -20.0]])
    finals, path = search.run(map_of_positions(), starts, progress=lambda _done: None, cancelled=bool)
    np.testing.assert_allclose(finals[0], finals[1], atol=1e-5)
    np.testing.assert_allclose(path[-1], finals[0], atol=1e-5)


def test_search_is_cancelled_between_two_network_calls():
    network = AlwaysAnswers(free_point(), [1.0, 0.0, 0.0], [0.0] * 6)
    with pytest.raises(DetectionCancelled):
        run(network, free_point(), (0, 0, 0), cancelled=lambda: network.calls == 4, rule="B", tolerance_mm=-1.0)
    assert network.calls == 4


def test_progress_grows_from_nothing_to_less_than_all():
    network = AlwaysAnswers(free_point(), [1.0, 0.0, 0.0], [0.0] * 6)
    fractions: list[float] = []
    run(network, free_point(), (0, 0, 0), progress=fractions.append, rule="B", tolerance_mm=-1.0)
    np.testing.assert_allclose(fractions, np.arange(10) / 10)


def test_units_of_the_displacement():
    model = ShapeModel(np.zeros(9), np.eye(9)[:3], [100.0, 25.0, 4.0])
    np.testing.assert_array_equal(displacement_scale_mm(model, PINNetworkSettings()), [1.0, 1.0, 1.0])
    half_whitened = PINNetworkSettings(displacement_scaling="half-whitened")
    np.testing.assert_allclose(displacement_scale_mm(model, half_whitened), [10.0, math.sqrt(50.0), math.sqrt(20.0)])


@pytest.mark.parametrize("field", ["random_initialisations", "initial_range_sd", "iterations"])
def test_negative_settings_are_refused(field):
    with pytest.raises(LandmarkDetectionError, match=f"{field} must not be negative"):
        PINInference(**{field: -1})
