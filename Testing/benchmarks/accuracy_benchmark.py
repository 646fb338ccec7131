"""The benchmark of accuracy: four methods on four datasets with the same budget, and one page about them.

    python Testing/benchmarks/accuracy_benchmark.py DATA
    python Testing/benchmarks/accuracy_benchmark.py

Given the folder of the datasets, it trains and measures what results.csv does not hold yet, which takes hours; then, or
without that folder at once, it writes benchmark.md and its short form in the README.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark_page import page, short_table, with_table
from recording import all_recorded
from training_results import Key, TrainingResult, read_results, recipe_name

from LandmarkDetectionLib.files.atomic import whole_file

HERE = Path(__file__).resolve().parent
PAGE, README = HERE / "benchmark.md", HERE.parents[1] / "README.md"
METHODS = ("pin", "cascade", "multiscale-locnet", "global-to-local")
PRESET = "quick"


@dataclass(frozen=True)
class Run:
    """A method on a dataset, measured on its test split or by folds, where that is too small to tell methods apart."""

    method: str
    dataset: str
    folds: int | None = None
    config: Path | None = None

    @property
    def key(self) -> Key:
        """Of its row in results.csv."""
        split = "test" if self.folds is None else f"{self.folds} folds"
        return self.method, self.dataset, split, recipe_name(PRESET, self.config), 0

    def arguments(self, data: Path) -> list[str]:
        """Those of record_training.py, with the folder that holds the datasets."""
        measured = [] if self.folds is None else ["--folds", str(self.folds)]
        config = [] if self.config is None else ["--config", str(self.config)]
        return [self.method, str(data / self.dataset), "--preset", PRESET, *measured, *config]


# Mice lie in their scanners any way round, which no method is made for unless they are laid as a template first.
_ON = (
    {"dataset": "brain"},
    {"dataset": "spine", "folds": 3},
    {"dataset": "mouse", "folds": 5, "config": HERE / "recipes" / "mouse-posed.json"},
    {"dataset": "ceph"},
)
RUNS = tuple(Run(method, **on) for on in _ON for method in METHODS)


def missing_runs(results: Sequence[TrainingResult]) -> list[Run]:
    """Those that have no row yet."""
    there = {result.key for result in results}
    return [run for run in RUNS if run.key not in there]


def write_page(results: Sequence[TrainingResult]) -> None:
    """Write benchmark.md, and its short form in the README."""
    keys = [run.key for run in RUNS]
    readme = with_table(README.read_text(encoding="utf-8"), short_table(keys, results))
    for file, text in ((PAGE, page(keys, results)), (README, readme)):
        with whole_file(file) as path:
            path.write_text(text, encoding="utf-8")


def main() -> int:
    """Run what is missing, one after the other, and write the page; 1 if a run failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", metavar="DATA", type=Path, nargs="?", help="folder of the folders brain, spine, ...")
    data = parser.parse_args().data
    runs = [] if data is None else missing_runs(read_results())
    is_complete = all_recorded(run.arguments(data) for run in runs)
    write_page(read_results())
    return 0 if is_complete else 1


if __name__ == "__main__":
    sys.exit(main())
