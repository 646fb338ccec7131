"""The benchmark of accuracy: which trainings it consists of, which of them are still to be run, and its page."""

from __future__ import annotations

import dataclasses
import json

import pytest
from accuracy_benchmark import PAGE, README, RUNS, missing_runs
from benchmark_page import page, short_table, with_table
from pin_on_brain import PIN_ON_BRAIN
from record_training import planned
from training_results import TrainingResult, read_results

KEYS = [
    (method, dataset, split, "quick", 0)
    for dataset, split in (("brain", "test"), ("spine", "3 folds"))
    for method in ("pin", "cascade")
]
SHORT = """\
| mean error (mm) after a `quick` training | brain | spine |
| --- | --- | --- |
| `pin` | 1.46 | not run yet |
| `cascade` | not run yet | 4.00 |
| moved mean shape | 2.59 | 2.59 |"""
LONG = """\
| brain, test | pin, quick | 1.46 ± 0.80 | 1.26 | 2 mm: 82.0 % | 17.60 | 2.59 | 3.9 | 2 | 0.13 | 446 | 9.5 | 2026-01-31, abcdef1+ |
| brain, test | cascade, quick | not run yet |  |  |  |  |  |  |  |  |  |  |
| spine, 3 folds | pin, quick | not run yet |  |  |  |  |  |  |  |  |  |  |
| spine, 3 folds | cascade, quick | 4.00 ± 0.80 | 1.26 | 2 mm: 82.0 % | 17.60 | 2.59 | 3.9 | 2 | 0.13 | 446 | 9.5 | 2026-01-31, abcdef1+ |
"""  # noqa: E501
RESULTS = [
    dataclasses.replace(PIN_ON_BRAIN, method="cascade", dataset="spine", split="3 folds", mre_mm=4.0),
    PIN_ON_BRAIN,
]


def result_of(run) -> TrainingResult:
    """A row of a run."""
    return dataclasses.replace(
        PIN_ON_BRAIN, **dict(zip(("method", "dataset", "split", "recipe", "seed"), run.key, strict=True))
    )


def test_it_is_four_methods_on_four_datasets():
    on = {
        "brain": ("test", "quick"),
        "spine": ("3 folds", "quick"),
        "mouse": ("5 folds", "quick + mouse-posed"),
        "ceph": ("test", "quick"),
    }
    methods = ("pin", "cascade", "multiscale-locnet", "global-to-local")
    assert [run.key for run in RUNS] == [
        (method, dataset, split, recipe, 0) for dataset, (split, recipe) in on.items() for method in methods
    ]
    assert len(RUNS) == 16


def test_a_row_that_is_there_is_not_run_again():
    assert missing_runs([]) == list(RUNS)
    other = dataclasses.replace(result_of(RUNS[2]), recipe="standard")
    assert missing_runs([result_of(RUNS[0]), other, result_of(RUNS[9])]) == [*RUNS[1:9], *RUNS[10:]]
    assert missing_runs([result_of(run) for run in RUNS]) == []


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run.method}-{run.dataset}")
def test_what_is_run_adds_the_row_that_was_missing(run, tmp_path):
    data = tmp_path / run.dataset
    data.mkdir()
    (data / "dataset.json").write_text(json.dumps({"name": run.dataset, "split": {"train": ["one"]}}))
    plan = planned(run.arguments(tmp_path))
    assert (plan.key, plan.folds) == (run.key, run.folds)
    assert plan.config is None or plan.config.is_file()


def test_tables_are_those_written_by_hand():
    assert short_table(KEYS, RESULTS) == SHORT
    text = page(KEYS, RESULTS)
    assert f"\n\n{SHORT}\n\n" in text
    assert text.endswith(LONG)
    assert len({line.count("|") for line in text.split(SHORT)[1].splitlines() if line}) == 1


def test_only_the_table_with_the_same_headings_is_replaced():
    old = SHORT.replace("1.46", "7.77")
    assert (
        with_table(f"# Title\n\nText.\n\n{old}\n\n| other |\n", SHORT) == f"# Title\n\nText.\n\n{SHORT}\n\n| other |\n"
    )


def test_the_page_and_the_readme_say_what_was_measured():
    keys, results = [run.key for run in RUNS], read_results()
    advice = "run: python Testing/benchmarks/accuracy_benchmark.py"
    assert PAGE.read_text(encoding="utf-8") == page(keys, results), advice
    assert f"\n\n{short_table(keys, results)}\n\n" in README.read_text(encoding="utf-8"), advice
