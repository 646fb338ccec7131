"""What landmark agents learn from: their own walks through the pool's images, kept and drawn again at random."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from ..detectors.boxes import nearest_voxels
from ..detectors.drl_walk import DRLNetworkSettings, Walk, moved, views
from ..detectors.windowed_image import as_network_input
from .pool import CasePool, renewing


@dataclass(frozen=True, eq=False)
class DRLBatch:
    """Experiences of all agents, and what those who walk at present see.

    Attributes:
        before, after: patches (batch * n, frames, *sides) seen before and after an action.
        actions: (batch, n).
        rewards: (batch, n).
        has_arrived: (batch, n) whether the action led to the landmark.
        is_known: (batch, n) whether anybody placed the landmark.
        seen: patches (walkers * n, frames, *sides).
    """

    before: Tensor
    after: Tensor
    actions: Tensor
    rewards: Tensor
    has_arrived: Tensor
    is_known: Tensor
    seen: Tensor

    def to(self, device: torch.device) -> DRLBatch:
        """The same batch on a device."""
        return dataclasses.replace(self, **{name: value.to(device) for name, value in vars(self).items()})


class Memory:
    """The latest experiences: where agents were and what they did, not what they saw, for that can be looked up.

    Nor what they earned: when an entry of the pool is renewed its old experiences hold in the new image.

    Args:
        capacity: experiences of all agents together.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._kept: list[Tensor] = []
        self._next = 0
        self.count = 0

    def keep(self, *parts: Tensor) -> None:
        """Add experiences, parts (walkers, ...) each, in place of the oldest."""
        if not self._kept:
            self._kept = [part.new_zeros((self._capacity, *part.shape[1:])) for part in parts]
        slots = (self._next + torch.arange(len(parts[0]))) % self._capacity
        for kept, part in zip(self._kept, parts, strict=True):
            kept[slots] = part
        self._next += len(slots)
        self.count = min(self._next, self._capacity)

    def drawn(self, count: int, random: torch.Generator) -> list[Tensor]:
        """Parts (count, ...) of random experiences."""
        chosen = torch.randint(self.count, (count,), generator=random)
        return [kept[chosen] for kept in self._kept]


class DRLSamples(IterableDataset):
    """Endless batches of experiences; `walk_on` makes new ones between them.

    Args:
        pool: the cases; of interchangeable landmarks, each agent has its own in the first assignment.
        settings: of the network.
        start, reach: (n, d) voxels of the frame, in array order: walks start from boxes about the first, whose half
            sides are the second.
        batch_size: experiences of all agents a batch.
        walkers: images walked through at once.
        memory: experiences kept.
        first_steps: random steps before the first batch.
        most_steps: of a walk.
        renew_every: batches after which one case of the pool is replaced.
        seed: of all randomness.
    """

    def __init__(
        self,
        pool: CasePool,
        settings: DRLNetworkSettings,
        start: Tensor,
        reach: Tensor,
        *,
        batch_size: int,
        walkers: int,
        memory: int,
        first_steps: int,
        most_steps: int,
        renew_every: int,
        seed: int,
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._start, self._reach = start, reach
        self._batch_size, self._walkers = batch_size, walkers
        self._first_steps, self._most_steps = first_steps, most_steps
        self._renew_every = renew_every
        self._random = torch.Generator().manual_seed(seed)
        self._memory = Memory(memory)
        self._spacing_mm = pool.spacing_mm[: pool.dimension].flip(-1)
        self._sides = pool.size_ijk[: pool.dimension].flip(-1).tolist()
        self._begin_walks()

    def __iter__(self) -> Iterator[DRLBatch]:
        for _ in range(self._first_steps):
            self.walk_on(torch.zeros(*self._walk.scales.shape, 2 * self._pool.dimension), exploration=1.0)
        return renewing(self._pool, self._draw, self._renew_every)

    def walk_on(self, values: Tensor, exploration: float) -> None:
        """Let all walkers take a step: the best by values (walkers, n, 2 d), or, with a probability, a random one."""
        values = values.float().cpu()
        random = torch.randint(values.shape[-1], values.shape[:-1], generator=self._random)
        explores = torch.rand(random.shape, generator=self._random) < exploration
        actions = torch.where(explores, random, values.argmax(-1))
        self._memory.keep(self._cases, self._walk.frames, self._walk.scales, actions)
        self._walk.go(values, actions)
        self._steps_walked += 1
        if self._steps_walked >= self._most_steps or self._walk.has_ended.all():
            self._begin_walks()

    def _begin_walks(self) -> None:
        self._steps_walked = 0
        self._cases = torch.randint(len(self._pool), (self._walkers,), generator=self._random)
        origins = self._pool.origins_ijk[self._cases][:, None, : self._pool.dimension].flip(-1)
        random = torch.rand((self._walkers, *self._start.shape), generator=self._random) * 2.0 - 1.0
        starts = origins + self._start + random * self._reach
        self._walk = Walk(nearest_voxels(starts, self._sides), self._sides, self._settings)

    def _draw(self) -> DRLBatch:
        cases, frames, scales, actions = self._memory.drawn(self._batch_size, self._random)
        steps = torch.tensor(self._settings.steps)[scales]
        reached = moved(frames[:, :, 0], actions, steps, torch.tensor(self._sides))
        truths = self._pool.positions(cases)
        distances = [self._distances_mm(places, truths) for places in (frames[:, :, 0], reached)]
        later = torch.cat([reached[:, :, None], frames[:, :, :-1]], dim=2)
        images = self._images(cases)
        return DRLBatch(
            before=as_network_input(views(images, frames, scales, self._settings)),
            after=as_network_input(views(images, later, scales, self._settings)),
            actions=actions,
            rewards=rewards(*distances, steps * self._spacing_mm.mean(), (reached == frames[:, :, 0]).all(-1)),
            has_arrived=distances[1] <= self._settings.steps[-1] * self._spacing_mm.mean(),
            is_known=torch.isfinite(distances[0]),
            seen=self._seen(),
        )

    def _seen(self) -> Tensor:
        images = self._images(self._cases)
        return as_network_input(views(images, self._walk.frames, self._walk.scales, self._settings))

    def _images(self, cases: Tensor) -> Tensor:
        return self._pool.inputs(cases).flatten(0, 1)

    def _distances_mm(self, places: Tensor, truths: Tensor) -> Tensor:
        return ((places - truths) * self._spacing_mm).norm(dim=-1)


def rewards(before_mm: Tensor, after_mm: Tensor, step_mm: Tensor, has_stayed: Tensor) -> Tensor:
    """Decrease of the distance to the landmark, in steps, so that it lies between -1 and 1 at every scale.

    Who stayed, as the step led out of the image, earns -1. The authors' code clips the decrease in millimetres to this
    range, by which steps of several scales are worth the same as well [Alansary 2019, section 3].
    """
    return torch.where(has_stayed, -1.0, (before_mm - after_mm) / step_mm)
