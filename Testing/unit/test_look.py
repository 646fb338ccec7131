"""Random looks: what each of them changes, and what none of them may."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from LandmarkDetectionLib.training.augmentation import Augmentation
from LandmarkDetectionLib.training.look import jpeg_compressed, with_another_look

LOOKS = {
    "gamma": 0.5,
    "tone": 1.0,
    "noise": 0.1,
    "blur_mm": 2.0,
    "sharpen": 2.0,
    "bias": 0.3,
    "jpeg": 1.0,
}


def image(depth=1):
    """A bright disc or cylinder with a soft edge on a ramp, [k, j, i] from 0 to 1."""
    _, j, i = np.indices((depth, 48, 40))
    disc = 1 / (1 + np.exp((np.hypot(i - 20, j - 24) - 12) / 2))
    return (0.7 * disc + 0.3 * i / 39).astype(np.float32)


def looks(depth=1, draws=12, **most):
    return [
        with_another_look(image(depth), Augmentation(**most), 1.0, np.random.default_rng(seed)) for seed in range(draws)
    ]


@pytest.mark.parametrize("depth", [1, 12])
def test_an_image_keeps_its_look_where_nothing_may_change(depth):
    np.testing.assert_array_equal(looks(depth, draws=1)[0], image(depth))


@pytest.mark.parametrize("name", LOOKS)
def test_each_setting_changes_some_pictures_within_the_window(name):
    drawn = looks(**{name: LOOKS[name]})
    changes = [np.abs(look - image()).max() for look in drawn]
    assert max(changes) > 0.02
    assert all(look.shape == (1, 48, 40) and 0 <= look.min() <= look.max() <= 1 for look in drawn)


def test_volumes_are_not_compressed_as_pictures_are():
    for look in looks(depth=12, jpeg=1.0):
        np.testing.assert_array_equal(look, image(12))


@given(seed=st.integers(0, 2**32 - 1))
def test_a_tone_curve_never_swaps_what_is_darker_and_brighter(seed):
    plain, toned = image(), with_another_look(image(), Augmentation(tone=1.0), 1.0, np.random.default_rng(seed))
    order = np.argsort(plain, axis=None)
    assert (np.diff(toned.flat[order]) >= -1e-6).all()
    np.testing.assert_allclose([toned.min(), toned.max()], [plain.min(), plain.max()], atol=1e-6)


def test_sharpening_steepens_edges_and_leaves_what_is_even():
    drawn = looks(draws=30, sharpen=3.0)
    steepest = [np.abs(np.diff(look[0], axis=1)).max() for look in drawn]
    plain = np.abs(np.diff(image()[0], axis=1)).max()
    assert max(steepest) > 1.1 * plain
    assert min(steepest) > 0.99 * plain
    for look in drawn:
        np.testing.assert_allclose(look[0, 3, 5:-5], image()[0, 3, 5:-5], atol=0.01)


def test_compression_loses_more_the_lower_its_quality():
    picture = np.random.default_rng(0).uniform(0.2, 0.8, (48, 40)).astype(np.float32)
    losses = [np.abs(jpeg_compressed(picture, quality) - picture).mean() for quality in (95, 60, 10)]
    assert losses[0] < losses[1] < losses[2]
    assert losses[0] < 0.03
    np.testing.assert_allclose(jpeg_compressed(np.full((16, 16), 0.5, np.float32), 10), 0.5, atol=0.01)
