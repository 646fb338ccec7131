"""Heatmap regression learns spots of given widths, and the spatial configuration network the widths too [Payer 2019].

Pictures are one pixel high; spots lie in the middle of five pixels, 0, 1 and 2 away from them.
"""

from __future__ import annotations

import math

import pytest
import torch
from blob_dataset import LABELS, blob_case
from torch import Tensor, nn

from LandmarkDetectionLib.networks.heatmap_regression import HeatmapRegression, initialise_heatmaps
from LandmarkDetectionLib.preprocessing import Preprocessing
from LandmarkDetectionLib.training.augmentation import Augmentation, Augmenter
from LandmarkDetectionLib.training.cases import TrainingCase
from LandmarkDetectionLib.training.heatmap_learner import HeatmapLearner
from LandmarkDetectionLib.training.heatmap_samples import HeatmapBatch, HeatmapSamples
from LandmarkDetectionLib.training.heatmap_training import HEATMAP_UNET, SCN
from LandmarkDetectionLib.training.heatmaps import gaussian_heatmaps
from LandmarkDetectionLib.training.pool import CasePool
from LandmarkDetectionLib.training.recipe import load_recipe

NOWHERE = (math.nan, math.nan)
MIDDLE = (0.0, 2.0)


class Fixed(nn.Module):
    """Heatmaps that see nothing of the image."""

    def __init__(self, heatmaps: Tensor) -> None:
        super().__init__()
        self.heatmaps = nn.Parameter(heatmaps)

    def forward(self, images: Tensor) -> Tensor:
        return self.heatmaps.expand(len(images), -1, -1, -1)


def learner(heatmaps: Tensor, penalty: float = 0.0) -> HeatmapLearner:
    """Of heatmaps (n, 5), with spots as wide as a pixel."""
    network = HeatmapRegression(Fixed(heatmaps[None, :, None]), len(heatmaps), 1.0, learns_sigmas=True)
    return HeatmapLearner(None, network, None, sigma_penalty=penalty)


def batch(*positions: tuple[float, float], is_shown: tuple[bool, ...] | None = None) -> HeatmapBatch:
    places = torch.tensor(positions)[None, None]
    shown = torch.isfinite(places).all(-1) if is_shown is None else torch.tensor(is_shown)[None, None]
    return HeatmapBatch(torch.zeros(1, 1, 1, 5), places, shown)


def test_spots_are_as_wide_and_high_as_each_landmarks_own():
    """exp(-d^2 / 2) and 3 exp(-d^2 / 8) at d = 0, 1, 2."""
    positions, shown = torch.tensor([[MIDDLE, MIDDLE]]), torch.ones(1, 2, dtype=torch.bool)
    heatmaps = gaussian_heatmaps(positions, shown, (1, 5), torch.tensor([1.0, 2.0]), torch.tensor([1.0, 3.0]))
    narrow, wide = heatmaps[0, :, 0]
    torch.testing.assert_close(narrow, torch.tensor([0.135335, 0.606531, 1.0, 0.606531, 0.135335]))
    torch.testing.assert_close(wide, 3.0 * torch.tensor([0.606531, 0.882497, 1.0, 0.882497, 0.606531]))


def test_spots_that_are_not_shown_are_cold_and_teach_the_widths_nothing():
    sigmas = torch.ones(3, requires_grad=True)
    positions, shown = torch.tensor([[MIDDLE, MIDDLE, NOWHERE]]), torch.tensor([[True, False, False]])
    heatmaps = gaussian_heatmaps(positions, shown, (1, 5), sigmas, torch.ones(3))
    heatmaps.sum().backward()
    assert not heatmaps[0, 1:].any()
    assert sigmas.grad[0] > 0
    assert sigmas.grad[1:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("dimension", [2, 3])
def test_spots_hold_the_same_heat_however_wide_they_are(dimension):
    network = HeatmapRegression(nn.Identity(), 2, 4.0, learns_sigmas=False)
    network.sigmas[:] = torch.tensor([2.0, 3.5])
    positions, shown = torch.full((1, 2, dimension), 20.0), torch.ones(1, 2, dtype=torch.bool)
    heights = network.spot_heights(dimension)
    spots = gaussian_heatmaps(positions, shown, (41,) * dimension, network.sigmas, heights)
    expected = (math.sqrt(2 * math.pi) * 4.0) ** dimension
    torch.testing.assert_close(spots.flatten(2).sum(2), torch.full((1, 2), expected), rtol=1e-3, atol=0)
    if dimension == 3:
        assert expected == pytest.approx(1000.0, rel=0.01), "the factor of the authors' code"


def test_loss_by_hand():
    """Heat of 0.5 everywhere: squares 0.25, 0.011349 and 0.132981 at distances 0, 1 and 2; half of their sum and of
    3 sigma^2."""
    loss = learner(torch.full((1, 5), 0.5), penalty=3.0).loss(batch(MIDDLE), 0.0)
    squares = 0.25 + 2 * 0.011349 + 2 * 0.132981
    assert loss.item() == pytest.approx((squares + 3.0) / 2, abs=1e-5)


def test_gradient_of_a_learned_width_by_hand():
    """Cold heatmaps: the sum of g^2 (-2 / sigma + d^2 / sigma^3), g = exp(-d^2 / 2): -2 - 2 e^-1 + 4 e^-4, and 3."""
    taught = learner(torch.zeros(1, 5), penalty=3.0)
    taught.loss(batch(MIDDLE), 0.0).backward()
    expected = -2.0 - 2.0 * math.exp(-1) + 4.0 * math.exp(-4) + 3.0
    assert taught.network.sigmas.grad.item() == pytest.approx(expected, abs=1e-5)
    # And of the heatmaps: what they lack.
    gradient = taught.network.heatmaps.heatmaps.grad[0, 0, 0]
    torch.testing.assert_close(gradient, -torch.tensor([0.135335, 0.606531, 1.0, 0.606531, 0.135335]))


def test_width_that_is_learned_follows_what_the_heatmaps_cannot_tell():
    """The best heatmap for a landmark 2 to the left or right as often is two spots: wider ones are missed by less."""
    widths = []
    for reach in (0.0, 2.0):
        taught = learner(torch.zeros(1, 5), penalty=0.3)
        optimiser = torch.optim.Adam(taught.network.parameters(), 0.02)
        for _ in range(500):
            optimiser.zero_grad()
            losses = [taught.loss(batch((0.0, 2.0 + side * reach)), 0.0) for side in (-1, 1)]
            torch.stack(losses).mean().backward()
            optimiser.step()
        widths.append(taught.network.sigmas.item())
    assert 0.0 < widths[0] < 0.5 * widths[1]


def test_landmarks_nobody_placed_neither_count_nor_teach():
    taught = learner(torch.full((2, 5), 0.5), penalty=3.0)
    loss = taught.loss(batch(MIDDLE, NOWHERE), 0.0)
    loss.backward()
    assert loss.item() == pytest.approx(learner(torch.full((1, 5), 0.5), penalty=3.0).loss(batch(MIDDLE), 0.0).item())
    assert taught.network.sigmas.grad[1] == 0.0
    assert not taught.network.heatmaps.heatmaps.grad[0, 1].any()


def test_landmarks_that_the_image_does_not_show_are_to_be_cold():
    """Half of 5 * 0.5^2 more."""
    taught = learner(torch.full((2, 5), 0.5))
    loss = taught.loss(batch(MIDDLE, MIDDLE, is_shown=(True, False)), 0.0)
    alone = learner(torch.full((1, 5), 0.5)).loss(batch(MIDDLE), 0.0)
    assert loss.item() == pytest.approx(alone.item() + 0.625)


def test_ends_that_cannot_be_told_apart_are_learned_where_they_are_hotter():
    heatmaps = torch.zeros(2, 5)
    heatmaps[0, 4] = heatmaps[1, 0] = 1.0
    places = torch.tensor([[[[0.0, 0.0], [0.0, 4.0]], [[0.0, 4.0], [0.0, 0.0]]]])
    either = HeatmapBatch(torch.zeros(1, 1, 1, 5), places, torch.ones(1, 2, 2, dtype=torch.bool))
    given = HeatmapBatch(either.images, places[:, 1:], either.is_shown[:, 1:])
    taught = learner(heatmaps)
    assert taught.loss(either, 0.0).item() == pytest.approx(taught.loss(given, 0.0).item())


def test_the_usual_heat_goes_towards_that_at_the_landmarks_shown():
    taught = learner(torch.full((2, 5), 0.5))
    taught.loss(batch(MIDDLE, NOWHERE), 0.0)
    torch.testing.assert_close(taught.network.usual_heat, torch.tensor([0.995, 1.0]))


def test_only_the_spatial_configuration_network_learns_its_widths():
    learned = []
    for method in (HEATMAP_UNET, SCN):
        network = method.network().network(2, 3)
        initialise_heatmaps(network)
        learned.append("sigmas" in dict(network.named_parameters()))
        assert "sigmas" in network.state_dict()
        assert network(torch.rand(1, 1, 16, 16)).abs().max() < 0.2
    assert learned == [False, True]


@pytest.mark.parametrize("dimension", [2, 3])
def test_the_blobs_are_where_the_samples_say(dimension):
    cases = [TrainingCase(volume.name, volume, truth) for volume, truth in (blob_case(s, dimension) for s in range(3))]
    frame = Preprocessing("RAS" if dimension == 3 else "LPS", (1.0, 1.0, 1.0), centre="content")
    augmenter = Augmenter(Augmentation(), frame, dimension)
    pool = CasePool(cases, augmenter, labels=LABELS, interchangeable=(), size=4, seed=0)
    drawn = next(iter(HeatmapSamples(pool, batch_size=2, renew_every=100, seed=0)))
    assert drawn.positions.shape == (2, 1, 3, dimension)
    for image, positions in zip(drawn.images[:, 0], drawn.positions[:, 0].round().long(), strict=True):
        bright, middle, dim = (image[tuple(position)].item() for position in positions)
        assert bright >= middle >= dim > 0.25


@pytest.mark.parametrize("method", [HEATMAP_UNET, SCN])
@pytest.mark.parametrize("preset", ["quick", "standard", "paper"])
def test_presets_make_networks(method, preset):
    recipe = load_recipe(method, preset)
    settings = method.network(**{k: tuple(v) if isinstance(v, list) else v for k, v in recipe.network.items()})
    with torch.device("meta"):
        assert settings.network(3, 2).sigmas.shape == (2,)


def test_the_paper_presets_are_the_papers():
    baseline, scn = load_recipe(HEATMAP_UNET, "paper"), load_recipe(SCN, "paper")
    assert baseline.preprocessing["spacing_mm"] == [1.0, 1.0, 1.0]
    assert (scn.optimisation.steps, scn.optimisation.batch_size) == (40_000, 1)
    assert scn.preprocessing["spacing_mm"] == [2.0, 2.0, 2.0]
    assert scn.method.sigma_penalty == 100.0
    assert scn.network == {}
