"""Work on the slices of large volumes in several threads; NumPy lets go of Python's lock meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch


def for_slices(work: Callable[[range], None], slices: int) -> None:
    """Call `work` with ranges that make up all slices, each in a thread of its own, as many as torch uses."""
    threads = min(torch.get_num_threads(), slices)
    if threads == 1:
        work(range(slices))
        return
    bounds = [slices * thread // threads for thread in range(threads + 1)]
    with ThreadPoolExecutor(threads) as executor:
        # Reading the results raises what a thread raised.
        list(executor.map(work, map(range, bounds[:-1], bounds[1:])))
