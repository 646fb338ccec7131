"""The processes that train one model in step with each other, one a device."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy

from ..child_process import end_process_tree, start_python
from ..errors import LandmarkDetectionError

_HOST = "127.0.0.1"
_LONGEST_WAIT = timedelta(hours=2)
"""For the others: the first process validates alone."""
_TIME_TO_END_S = 30.0
_INTERVAL_S = 0.05


@dataclass(frozen=True)
class Ranks:
    """One process among those of a training.

    Attributes:
        number: of this process, from 0; the first one validates, and alone writes files.
        count: how many there are, and devices.
    """

    number: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files."""
        return self.number == 0

    def agreed(self, compute: Callable[[], float]) -> float:
        """What the first process computes, in all of them."""
        if self.count == 1:
            return compute()
        value = torch.tensor(compute() if self.is_first else 0.0, dtype=torch.float64)
        torch.distributed.broadcast(value, src=0)
        return float(value)

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.count > 1:
            # Unlike a broadcast, a sum needs all of them; on the CPU it needs no device to be free.
            torch.distributed.all_reduce(torch.zeros(1))

    def strategy(self) -> DDPStrategy | str:
        """How lightning joins the gradients: their mean over all processes."""
        if self.count == 1:
            return "auto"
        # A method may leave out a part of its network for a time.
        return DDPStrategy(cluster_environment=_Environment(self.number), find_unused_parameters=True)


class _Environment(LightningEnvironment):
    """Processes on one machine that lightning need not start."""

    creates_processes_externally = True

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def local_rank(self) -> int:
        return self._number


def check_devices(device: torch.device, count: int) -> None:
    """Ask before a long training whether there are so many devices; on the CPU, a process counts as one.

    Raises:
        LandmarkDetectionError: if there are not.
    """
    present = {"cpu": os.cpu_count() or 1, "cuda": torch.cuda.device_count()}.get(device.type, 1)
    if count > present:
        kinds = {"cpu": "CPU cores"}.get(device.type, f"devices of the kind {device.type}")
        message = f"The recipe asks for {count} devices and here are {present} {kinds}; lower optimisation.devices."
        raise LandmarkDetectionError(message)


@contextlib.contextmanager
def all_ranks(
    module: str, training: Mapping[str, Any], *, count: int, device: torch.device, folder: Path
) -> Iterator[Ranks]:
    """Be the first of several processes; the others take part in the same training until the block ends.

    Args:
        module: what the others run; it reads a line of JSON from its standard input and enters `one_more_rank` with it.
        training: what they are to do, as JSON: the entry "training" of that line.
        count: processes in all.
        device: of each.
        folder: for the logs of the others.

    Raises:
        LandmarkDetectionError: if one of the others ends early.
    """
    if count == 1:
        yield Ranks()
        return
    store = torch.distributed.TCPStore(_HOST, 0, count, is_master=True, wait_for_workers=False)
    with contextlib.ExitStack() as stack:
        others = []
        for number in range(1, count):
            request = {"training": training, "rank": number, "count": count, "port": store.port}
            others.append(stack.enter_context(_another(module, request, folder / f"rank{number}.log")))
        _wait_until_all_are_here(store, others)
        with _joined(Ranks(0, count), store, device) as ranks:
            try:
                yield ranks
                ranks.wait()
            except RuntimeError as error:
                # While this one's connections stand, who leaves does so for a reason of its own.
                _tell_who_leaves(others, error)
                raise


@contextlib.contextmanager
def one_more_rank(request: Mapping[str, Any], device: torch.device) -> Iterator[Ranks]:
    """Be one of the other processes, which `all_ranks` has started with this request."""
    ranks = Ranks(request["rank"], request["count"])
    store = torch.distributed.TCPStore(_HOST, request["port"], ranks.count, is_master=False)
    store.set(_key(ranks.number), "here")
    with _joined(ranks, store, device):
        yield ranks
        ranks.wait()


@contextlib.contextmanager
def _joined(ranks: Ranks, store: torch.distributed.Store, device: torch.device) -> Iterator[Ranks]:
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // ranks.count))
    # Numbers are agreed on by the CPUs, gradients by the devices.
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    torch.distributed.init_process_group(
        backend, store=store, rank=ranks.number, world_size=ranks.count, timeout=_LONGEST_WAIT
    )
    try:
        yield ranks
    finally:
        torch.distributed.destroy_process_group()
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class _Other:
    """A process that was started, and what it prints."""

    number: int
    process: subprocess.Popen[bytes]
    log: Path

    def end(self) -> LandmarkDetectionError:
        """What to say of its early end."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["it says nothing"]
        message = f"Process {self.number} of the training ended early ({lines[-1].rstrip('.')}); see {self.log}."
        return LandmarkDetectionError(message)


@contextlib.contextmanager
def _another(module: str, request: Mapping[str, Any], log: Path) -> Iterator[_Other]:
    with log.open("wb") as output:
        process = start_python(module, log=output)
    try:
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        yield _Other(request["rank"], process, log)
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()
        end_process_tree(process)


def _wait_until_all_are_here(store: torch.distributed.Store, others: list[_Other]) -> None:
    while not store.check([_key(other.number) for other in others]):
        _tell_who_left(others)
        time.sleep(_INTERVAL_S)


def _tell_who_left(others: list[_Other], error: RuntimeError | None = None) -> None:
    for other in others:
        if other.process.poll() is not None:
            raise other.end() from error


def _tell_who_leaves(others: list[_Other], error: RuntimeError) -> None:
    """Give a process whose connection is lost the time to end, and say so in place of what PyTorch says."""
    for _ in range(int(_TIME_TO_END_S / _INTERVAL_S)):
        _tell_who_left(others, error)
        time.sleep(_INTERVAL_S)


def _key(number: int) -> str:
    return f"rank{number}"
