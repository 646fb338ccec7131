"""One more process of the trainings that test how several devices work together, and what each of them records."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import IterableDataset

from LandmarkDetectionLib.child_process import lines_until_orphaned
from LandmarkDetectionLib.training.learner import LearningModule
from LandmarkDetectionLib.training.loop import Loop
from LandmarkDetectionLib.training.ranks import Ranks, one_more_rank
from LandmarkDetectionLib.training.recipe import Optimisation

CPU = torch.device("cpu")


class Point(nn.Module):
    """A network whose output is its only parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(3))


class Batches(IterableDataset):
    """The same random targets (4 x ranks, 3) in every process, of which each is given its own rows."""

    def __init__(self, rows: slice) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[Tensor]:
        random = torch.Generator().manual_seed(0)
        while True:
            yield torch.randn(8, 3, generator=random)[self._rows]


@dataclass
class PointLearner:
    """Moves the point to the middle of the targets, and records where it was at each batch."""

    samples: Batches
    network: Point = field(default_factory=Point)
    seen: list[list[float]] = field(default_factory=list)

    def loss(self, batch: Tensor, _done: float) -> Tensor:
        self.seen.append(self.network.position.tolist())
        return ((self.network.position - batch) ** 2).mean()


def train_point(ranks: Ranks, rows: slice, folder: Path, optimisation: dict[str, float]) -> dict[str, list]:
    """Train a point; returns where it was at each batch, the validation error kept, and the scripted ones."""
    learner = PointLearner(Batches(rows))
    chosen = Optimisation(**optimisation)
    loop = Loop(folder, chosen, CPU, ranks)
    validations = []

    def validation_error_mm() -> float:
        # The others' own would be another one.
        validations.append(ranks.agreed(lambda: 10.0 * ranks.number + len(validations)))
        return validations[-1]

    module = LearningModule(learner, chosen, elapsed_share=loop.elapsed_share, validation_error_mm=validation_error_mm)
    kept_mm = loop.fit(module, learner.samples, resume=False)
    return {"seen": learner.seen, "kept_mm": kept_mm, "validations_mm": validations}


def train_points(ranks: Ranks, rows: slice, folder: Path, optimisations: dict[str, dict]) -> dict[str, dict[str, list]]:
    """One training after the other, each in a folder of its name."""
    return {name: train_point(ranks, rows, folder / name, chosen) for name, chosen in optimisations.items()}


def main() -> None:
    """Take part in all that is asked for, write down what was found, and leave while the first one still waits."""
    request = json.loads(next(lines_until_orphaned(sys.stdin)))
    asked = request["training"]
    with one_more_rank(request, CPU) as ranks:
        found = train_points(ranks, slice(4, 8), Path(asked["folder"]), asked["optimisations"])
        Path(asked["folder"], "found.json").write_text(json.dumps(found))
        sys.exit("This device has fallen off the bus.")


if __name__ == "__main__":
    main()
