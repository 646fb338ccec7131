"""Does a model know where it errs? A Markdown table from the reports of evaluations.

python Testing/benchmarks/uncertainty_table.py NAME=REPORT.json [NAME=REPORT.json ...]

One point per case and landmark: the spread that a model states (root mean square) against its error.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from markdown_table import markdown_table

HEADINGS = (
    "model",
    "points",
    "Pearson r (p)",
    "Spearman rho (p)",
    "error of the surest fifth to the least sure one (mm)",
    "inside the 90 % radius (95 % interval over cases)",
)


def row(name: str, report: dict[str, Any]) -> list[str]:
    """What the report of one model says."""
    uncertainty = report["uncertainty"]
    points = uncertainty["correlation"]["points"]
    fifths = " / ".join(f"{fifth['mre_mm']:.2f}" for fifth in uncertainty["quantile_bins"])
    return [
        name,
        str(points["points"]),
        *(_correlation(points[f"{kind}_r"], points[f"{kind}_p"]) for kind in ("pearson", "spearman")),
        fifths,
        _coverage(uncertainty["radius90"]),
    ]


def _correlation(r: float | None, p: float | None) -> str:
    if r is None or p is None:
        return "-"
    return f"{r:+.2f} ({'p < 0.001' if p < 0.001 else f'p = {p:.3f}'})"


def _coverage(radius: dict[str, Any] | None) -> str:
    if radius is None:
        return "not calibrated"
    low, high = radius["interval95"]
    return f"{100 * radius['coverage']:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def main() -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", nargs="+", metavar="NAME=REPORT.json")
    named = [argument.partition("=") for argument in parser.parse_args().reports]
    rows = [row(name, json.loads(Path(path).read_text(encoding="utf-8"))) for name, _, path in named]
    print(markdown_table(HEADINGS, rows))


if __name__ == "__main__":
    main()
