"""Print results.csv as Markdown tables, one for each dataset and split, the baselines below the methods.

python Testing/benchmarks/results_table.py
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from markdown_table import markdown_table
from training_results import TrainingResult, read_results

HEADINGS = ("method", "recipe", "seed", "MRE ± SD (mm)", "median (mm)")
COSTS = ("training (min)", "detection (s)", "memory (MB)", "weights (MB)", "commit")


def tables(results: Sequence[TrainingResult]) -> str:
    """All tables, the best training of each first."""

    def place(result: TrainingResult) -> tuple[str, str]:
        return result.dataset, result.split

    ordered = sorted(results, key=lambda result: (*place(result), result.mre_mm))
    return "\n\n".join(_table(list(rows)) for _, rows in groupby(ordered, place))


def _table(results: Sequence[TrainingResult]) -> str:
    first = results[0]
    limits = list(first.sdr_shares)
    headings = [*HEADINGS, *(f"≤ {limit} mm" for limit in limits), *COSTS]
    baselines = {"mean position": first.mean_position_mm, "moved mean shape": first.moved_mean_shape_mm}
    rows = [_cells(result, limits) for result in results]
    rows += [
        [name, "", "", f"{mre_mm:.2f}", *([""] * (len(headings) - len(HEADINGS) + 1))]
        for name, mre_mm in baselines.items()
    ]
    title = f"### {first.dataset}, {first.split}: {first.cases} cases, {first.points} points"
    return f"{title}\n\n{markdown_table(headings, rows)}"


def _cells(result: TrainingResult, limits: Sequence[str]) -> list[str]:
    shares = result.sdr_shares
    return [
        result.method,
        result.recipe,
        str(result.seed),
        f"{result.mre_mm:.2f} ± {result.sd_mm:.2f}",
        f"{result.median_mm:.2f}",
        *(f"{shares[limit]:.1%}" for limit in limits),
        f"{result.minutes:.1f}",
        f"{result.seconds:.2f}",
        str(result.peak_mb),
        f"{result.weights_mb:.1f}",
        result.commit,
    ]


if __name__ == "__main__":
    print(tables(read_results()))
