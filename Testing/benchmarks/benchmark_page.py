"""The page about the benchmark of accuracy, and its short form in the README, from the rows of results.csv."""

from __future__ import annotations

from collections.abc import Sequence

from markdown_table import markdown_table
from training_results import Key, TrainingResult

from LandmarkDetectionLib.evaluation.cells import millimetres, percent, threshold

NOT_RUN = "not run yet"
CORNER = "mean error (mm) after a `quick` training"
HEADINGS = (
    "data, measured on",
    "method, recipe",
    "MRE ± SD (mm)",
    "median (mm)",
    "within",
    "mean position (mm)",
    "moved mean shape (mm)",
    "training (min)",
    "cores",
    "detection (s)",
    "memory (MB)",
    "weights (MB)",
    "date, commit",
)

_TEXT = """# The benchmark of accuracy

Every method on every data set with the same budget, the preset `quick`: about four minutes a training, on the cores
named. No graphics card took part in training or detection. Where the data are *folds*, every case was held out once,
and the minutes are those of all folds together. *Within* counts the points that err by no more than the smallest of the
data set's thresholds. *Mean position* and *moved mean shape* are the mean errors of what needs no image. Memory is the
most that a process takes which does nothing but detect in one case. Date and commit are those of the training; a "+"
stands for changes on top of the commit.

`make benchmark-accuracy` runs what is missing, for hours, and writes this page;
`python Testing/benchmarks/accuracy_benchmark.py` writes it from the rows of `results.csv` alone."""


def page(keys: Sequence[Key], results: Sequence[TrainingResult]) -> str:
    """The page about the rows of these keys, in Markdown."""
    by_key = {result.key: result for result in results}
    rows = [_row(key, by_key.get(key)) for key in keys]
    return f"{_TEXT}\n\n{short_table(keys, results)}\n\n{markdown_table(HEADINGS, rows)}\n"


def short_table(keys: Sequence[Key], results: Sequence[TrainingResult]) -> str:
    """The mean errors, a row a method and a column a dataset, and what needs no image below them."""
    by_key = {result.key: result for result in results}
    # In the order of the keys.
    methods, datasets = (list(dict.fromkeys(key[index] for key in keys)) for index in (0, 1))
    cells = {key[:2]: _mean_error(by_key.get(key)) for key in keys}
    baselines = {key[1]: millimetres(by_key[key].moved_mean_shape_mm) for key in keys if key in by_key}
    rows = [[f"`{method}`", *(cells[method, dataset] for dataset in datasets)] for method in methods]
    rows.append(["moved mean shape", *(baselines.get(dataset, NOT_RUN) for dataset in datasets)])
    return markdown_table([CORNER, *datasets], rows)


def with_table(text: str, table: str) -> str:
    """A text in Markdown with a table in place of that with the same headings."""
    headings = table.partition("\n")[0]
    return "\n\n".join(table if block.startswith(headings) else block for block in text.split("\n\n"))


def _mean_error(result: TrainingResult | None) -> str:
    return NOT_RUN if result is None else millimetres(result.mre_mm)


def _row(key: Key, result: TrainingResult | None) -> list[str]:
    method, dataset, split, recipe, _ = key
    named = [f"{dataset}, {split}", f"{method}, {recipe}"]
    if result is None:
        return [*named, NOT_RUN, *[""] * (len(HEADINGS) - len(named) - 1)]
    limit, share = next(iter(result.sdr_shares.items()))
    return [
        *named,
        f"{millimetres(result.mre_mm)} ± {millimetres(result.sd_mm)}",
        millimetres(result.median_mm),
        f"{threshold(limit)} mm: {percent(share)}",
        millimetres(result.mean_position_mm),
        millimetres(result.moved_mean_shape_mm),
        f"{result.minutes:.1f}",
        str(result.cores),
        f"{result.seconds:.2f}",
        str(result.peak_mb),
        f"{result.weights_mb:.1f}",
        f"{result.date}, {result.commit}",
    ]
