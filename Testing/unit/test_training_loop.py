"""The loop keeps the best weights, ends in time, and brings the learning rate down until then."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from torch.utils.data import IterableDataset

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.networks.pin import PINNetwork
from LandmarkDetectionLib.training.learner import LearningModule
from LandmarkDetectionLib.training.loop import Loop
from LandmarkDetectionLib.training.metrics_log import MetricsLog
from LandmarkDetectionLib.training.ranks import Ranks
from LandmarkDetectionLib.training.recipe import Optimisation


class ScriptedBatches(IterableDataset):
    """The same random batch for ever, or an end of the world at the first one."""

    def __init__(self, *, fails: bool = False) -> None:
        self._fails = fails
        self._batch = torch.rand(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))

    def __iter__(self):
        if self._fails:
            message = "The disk is gone."
            raise LandmarkDetectionError(message)
        while True:
            yield self._batch


class OnesLearner:
    """A small network that learns to answer 1 to everything."""

    def __init__(self, samples=None) -> None:
        torch.manual_seed(0)
        self.network = PINNetwork(3, 3, (2,), 4)
        self.samples = samples or ScriptedBatches()
        self.seen_done = []

    def loss(self, batch, done):
        self.seen_done.append(done)
        return ((self.network(batch)[0] - 1.0) ** 2).mean()


def fit(folder, errors_mm, *, batches=None, learner=None, **optimisation):
    """Train a small network with validation errors as scripted; returns the error kept, its weights, and all seen."""
    seen = []
    learner = learner or OnesLearner(batches)

    def validation_error_mm():
        seen.append({name: value.clone() for name, value in learner.network.state_dict().items()})
        return errors_mm[len(seen) - 1]

    chosen = Optimisation(**({"steps": 2 * len(errors_mm), "minutes": 1.0, "validate_every": 2} | optimisation))
    loop = Loop(folder, chosen, torch.device("cpu"), Ranks())
    module = LearningModule(learner, chosen, elapsed_share=loop.elapsed_share, validation_error_mm=validation_error_mm)
    kept_mm = loop.fit(module, learner.samples, resume=False)
    return kept_mm, learner.network.state_dict(), seen


def test_training_ends_when_its_patience_does(tmp_path):
    kept_mm, _, seen = fit(tmp_path, [3.0, 1.0, 2.0, 1.5, 1.2, 0.5], patience=2)
    assert (kept_mm, len(seen)) == (1.0, 4)


def test_steps_gather_the_gradients_of_several_batches(tmp_path):
    learner = OnesLearner()
    fit(tmp_path, [1.0] * 6, learner=learner, steps=4, accumulated_batches=3)
    np.testing.assert_allclose(learner.seen_done, np.repeat([0, 1, 2, 3], 3) / 4, atol=0.01)


def test_weights_with_the_smallest_error_in_millimetres_are_kept_though_the_loss_keeps_falling(tmp_path):
    kept_mm, weights, seen = fit(tmp_path, [3.0, 1.0, 2.0, 1.5])
    assert kept_mm == 1.0
    assert all(torch.equal(weights[name], seen[1][name]) for name in weights)
    assert any(not torch.equal(weights[name], seen[3][name]) for name in weights)


def test_training_ends_when_its_time_is_over_and_is_judged_once_more(tmp_path):
    started = time.monotonic()
    kept_mm, _, seen = fit(tmp_path, [2.0] * 100, steps=10_000_000, validate_every=10_000_000, minutes=0.01)
    assert time.monotonic() - started < 30
    assert (kept_mm, len(seen)) == (2.0, 1)


def test_new_training_forgets_the_checkpoint_of_an_old_one_at_once(tmp_path):
    fit(tmp_path, [1.0])
    assert (tmp_path / "last.ckpt").exists()
    with pytest.raises(LandmarkDetectionError, match="The disk is gone"):
        fit(tmp_path, [1.0], batches=ScriptedBatches(fails=True))
    assert not (tmp_path / "last.ckpt").exists()


def learning_rates(steps, elapsed_share, **optimisation):
    chosen = Optimisation(steps=1000, minutes=1.0, learning_rate=1.0, **optimisation)
    module = LearningModule(OnesLearner(), chosen, elapsed_share=lambda: elapsed_share, validation_error_mm=lambda: 0.0)
    (rate,) = module.configure_optimizers()["lr_scheduler"]["scheduler"].lr_lambdas
    return [rate(step) for step in steps]


def test_learning_rate_warms_up_and_falls_along_a_cosine():
    rates = learning_rates([0, 99, 500, 1000], 0.0)
    np.testing.assert_allclose(rates, [1 / 200, 0.5 * 0.5 * (1 + np.cos(np.pi * 0.099)), 0.5, 0.0], atol=1e-9)


def test_learning_rate_falls_in_time_for_whichever_ends_first():
    np.testing.assert_allclose(learning_rates([300], 0.5), [0.5])
    np.testing.assert_allclose(learning_rates([700], 0.5), [0.5 * (1 + np.cos(np.pi * 0.7))])
    np.testing.assert_allclose(learning_rates([300], 1.3), [0.0], atol=1e-9)


def test_published_learning_rate_is_constant():
    assert learning_rates([0, 500, 999], 0.9, constant_rate=True) == [1.0, 1.0, 1.0]


def test_log_goes_on_where_the_checkpoint_does(tmp_path):
    file = tmp_path / "metrics.csv"
    log = MetricsLog(file, 0, lambda: 1.25)
    for step in range(3):
        log.log_metrics({"loss": 0.5 - step, "epoch": 0}, step)
    log.log_metrics({"validation_error_mm": 2.5, "epoch": 0}, 2)
    MetricsLog(file, 2, lambda: 3.0).log_metrics({"loss": 7.0}, 2)
    heading = "step,minutes,loss,validation_error_mm"
    assert file.read_text().splitlines() == [heading, "0,1.25,0.5,", "1,1.25,-0.5,", "2,3.0,7.0,"]
    MetricsLog(file, 0, lambda: 0.0)
    assert file.read_text().splitlines() == [heading]
