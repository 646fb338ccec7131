"""What every benchmark needs: times taken in turn, layers timed alone, the memory of a fresh process, targets."""

from __future__ import annotations

import collections
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from LandmarkDetectionLib.detectors.base import Detector
from LandmarkDetectionLib.detectors.precision import network_dtype
from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.models.bundle import ModelBundle
from LandmarkDetectionLib.models.card import ModelCard, TrainingRecord
from LandmarkDetectionLib.volume import Volume

CPU = torch.device("cpu")

WHOLE = "whole detection"
NETWORKS = "bare network calls"
LEAST_NETWORK_PER_LAYERS = 0.6


@dataclass(frozen=True)
class Timed:
    """Seconds of one thing over all rounds: the least is what a machine left in peace would take."""

    least: float
    median: float


def timed_in_turn(things: dict[str, Callable[[], object]], rounds: int) -> dict[str, Timed]:
    """Time things in turn, round after round, so that whatever disturbs the machine meets them all."""
    seconds = collections.defaultdict(list)
    for _ in range(rounds):
        for name, thing in things.items():
            started = time.perf_counter()
            thing()
            seconds[name].append(time.perf_counter() - started)
    return {name: Timed(min(values), statistics.median(values)) for name, values in seconds.items()}


def for_each(call: Callable[[Any], object], arguments: Iterable[Any]) -> Callable[[], None]:
    """One call after another, their results dropped: to keep them takes new memory, which is slower than used."""
    return lambda: collections.deque(map(call, arguments), maxlen=0)


def print_times(times: Mapping[str, Timed], gflop: Mapping[str, float]) -> None:
    """A line for each thing: its seconds, and how fast it computes if its GFLOP are known."""
    print(f"{'':42}{'least s':>9}{'median s':>10}{'GFLOP':>8}{'GFLOP/s':>9}")
    for name, time_s in times.items():
        rate = f"{gflop[name]:8.1f}{gflop[name] / time_s.least:9.0f}" if name in gflop else ""
        print(f"{name:42}{time_s.least:9.4f}{time_s.median:10.4f}{rate}")


@dataclass(frozen=True)
class Target:
    """What a benchmark must show: a number, how it is written, and its limit."""

    name: str
    measured: float
    limit: float
    is_largest: bool
    """Whether the number must not be larger than the limit; else not smaller."""
    written_as: str = ".2f"

    @property
    def is_met(self) -> bool:
        """Whether it is shown."""
        return self.measured <= self.limit if self.is_largest else self.measured >= self.limit


def whole_target(times: Mapping[str, Timed], most: float) -> Target:
    """What a detection may cost beyond its networks, judged by the least times."""
    return Target(f"{WHOLE} / {NETWORKS}", times[WHOLE].least / times[NETWORKS].least, most, True)


def speed_target(name: str, network: Timed, layers: Timed) -> Target:
    """What a network may cost beyond its layers, judged by the least times."""
    return Target(f"speed of {name}", layers.least / network.least, LEAST_NETWORK_PER_LAYERS, False, ".0%")


def targets_met(targets: Sequence[Target]) -> bool:
    """Print a line for each target; whether all are met."""
    for target in targets:
        limit = f"{'at most' if target.is_largest else 'at least'} {target.limit:{target.written_as}}"
        verdict = "pass" if target.is_met else "FAIL"
        print(f"{target.name:42}{target.measured:>9{target.written_as}}   {limit:14} {verdict}")
    return all(target.is_met for target in targets)


def print_measured(
    title: str,
    rounds: int,
    times: Mapping[str, Timed],
    gflop: Mapping[str, float],
    *,
    targets: Sequence[Target],
    memory_mb: tuple[float, float],
) -> bool:
    """Print what a benchmark has measured; whether all targets are met.

    Args:
        title: method and sizes.
        rounds: over which things were timed.
        times, gflop: of things, by name.
        targets: of the benchmark.
        memory_mb: before and after a detection, as `detection_memory_mb` returns it.
    """
    print(
        f"{title}, {network_dtype(CPU)}, {torch.get_num_threads()} threads, load average {os.getloadavg()[0]:.1f}, "
        f"{rounds} rounds"
    )
    print_times(times, gflop)
    all_met = targets_met(targets)
    before_mb, most_mb = memory_mb
    print(f"{'peak memory':42}{most_mb:6.0f} MB, of which {before_mb:.0f} MB before the detection")
    return all_met


def in_full_precision() -> AbstractContextManager[object]:
    """Within it, detectors load and run as on a processor that lacks bf16."""
    return mock.patch.object(torch.cpu, "_is_avx512_bf16_supported", return_value=False)


def moved_by_bfloat16_mm(bundle: ModelBundle, volume: Volume) -> list[float]:
    """How far reduced precision moves each landmark; asks for a processor that has it."""
    reduced = load_detector(bundle, "cpu").detect(volume)
    with in_full_precision():
        full = load_detector(bundle, "cpu").detect(volume)
    return [
        float(np.linalg.norm(one.position_ras - other.position_ras))
        for one, other in zip(reduced.landmarks, full.landmarks, strict=True)
    ]


def noise(size: Sequence[int], spacing_mm: float) -> Volume:
    """Smooth noise in Hounsfield units: a scan of so many voxels along i, j, k."""
    coarse = torch.rand((1, 1, 8, 8, 8), generator=torch.Generator().manual_seed(0))
    voxels = nn.functional.interpolate(coarse, tuple(size)[::-1], mode="trilinear")[0, 0] * 1500 - 1000
    return Volume(voxels.numpy().astype(np.int16), np.diag([spacing_mm] * 3 + [1.0]), "scan")


def recorded_inputs(detector: Detector, networks: Iterable[nn.Module], volume: Volume) -> list[Tensor]:
    """What a detection gives to each of its networks, in the order of the calls."""
    given: list[Tensor] = []
    hooks = [
        network.register_forward_pre_hook(lambda _network, inputs: given.append(inputs[0])) for network in networks
    ]
    detector.detect(volume)
    for hook in hooks:
        hook.remove()
    return given


def random_bundle(method: str, weights: Mapping[str, Tensor], **of_the_card: Any) -> ModelBundle:
    """A bundle in memory that nothing was trained for, at the speed of a trained one.

    Args:
        method: that is measured.
        weights: of its networks.
        of_the_card: what the method depends on: landmarks, preprocessing, field of view, settings.
    """
    card = ModelCard(
        name="paper-size",
        version="1",
        method=method,
        modality="any",
        anatomy="none",
        dimension=3,
        description="Random weights: finds nothing, at the speed of a trained model.",
        rotation_range_deg=20.0,
        training=TrainingRecord(data="none", cases=0, licence="none", preset="none"),
        licence="none",
        citation="none",
        limitations="Finds nothing.",
        **of_the_card,
    )
    return ModelBundle(card, dict(weights), folder=None, weights_sha256="")


@dataclass(frozen=True)
class LayerCall:
    """A layer and what it is given."""

    layer: nn.Module
    given: Tensor

    def __call__(self) -> Tensor:
        return self.layer(self.given)

    @property
    def gflop(self) -> float:
        """Two operations for each multiplication by a weight."""
        if isinstance(self.layer, nn.ConvTranspose2d | nn.ConvTranspose3d):
            return 2e-9 * self.given.numel() / self.layer.weight.shape[0] * self.layer.weight.numel()
        if not isinstance(self.layer, nn.Conv2d | nn.Conv3d | nn.Linear):
            return 0.0
        uses_of_each_weight = self().numel() / self.layer.weight.shape[0]
        return 2e-9 * uses_of_each_weight * self.layer.weight.numel()


def layer_calls(network: nn.Module, given: Tensor) -> list[LayerCall]:
    """Every layer of a network with its own input."""
    calls: list[LayerCall] = []
    hooks = [
        layer.register_forward_pre_hook(lambda layer, inputs: calls.append(LayerCall(layer, inputs[0])))
        for layer in network.modules()
        if not list(layer.children())
    ]
    network(given)
    for hook in hooks:
        hook.remove()
    return calls


def in_fresh_process(function: Callable[..., Any], *arguments: object) -> Any:
    """What a function returns in a process that has done nothing before."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def detection_memory_mb(detector: Detector, volume: Volume) -> tuple[float, float]:
    """The most memory of this process before and after it detects; asks for a fresh one."""
    before = most_resident_mb()
    detector.detect(volume)
    return before, most_resident_mb()


def most_resident_mb() -> float:
    """The most memory this process has held so far."""
    status = Path("/proc/self/status")
    if status.exists():
        # Linux counts in getrusage what the process that started this one held then.
        fields = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
        return int(fields["VmHWM"].split()[0]) / 1024
    units_per_mb = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / units_per_mb
