"""The page about the papers' findings, from the rows of results.csv and the errors of their cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, stdev

from benchmark_page import NOT_RUN
from case_errors import CaseErrors
from claim_findings import PairFinding, pair_findings, verdict
from claims import FOLDS, Claim, Variant
from markdown_table import markdown_table
from training_results import Key, TrainingResult

from LandmarkDetectionLib.evaluation.cells import millimetres, probability, signed

VARIANT_HEADINGS = ("variant", "MRE (mm)", "median (mm)", "training (min)", "steps", "detection (s)", "memory (MB)")
_NUMBERS = ("by (mm)", "folds", "median of the cases (mm)", "p (Holm)", "here")
CLAIMED_HEADINGS = ("errs less, as claimed", "than", *_NUMBERS)
COMPARED_HEADINGS = ("errs less, or more", "than", *_NUMBERS)

_TEXT = f"""# The papers' findings

What the papers found, asked for again with the preset `quick`, about four minutes of training on one core: enough to
compare, not to compete. Every training is one of {FOLDS} folds of the cases of `train` and `validation`, measured on
the cases that it holds out, which chose nothing; fold 1, 2, 3 has seed 1, 2, 3, so that ± is the standard deviation
over folds and seeds together. The test splits have no part in it. *Mean position* and *moved mean shape* need no
image; the latter knows the true centroid of every case, which no method does. Time is counted by the clock on a
machine that was not always quiet: the steps tell how much was learnt in it, from the fold with the fewest to that with
the most.

A pair is as claimed, or the other way round, if the mean error differs in the same direction on all {FOLDS} folds, the
median of the cases' differences does too, and Wilcoxon's signed-rank test over the cases of all folds, corrected by
Holm for the pairs of the claim, gives p < 0.05; else the two are not told apart. The test takes cases for independent,
though those of a fold share a training: that all folds must agree guards against a lucky one, but three folds of
equals do so by chance in one of four. A claim holds if all its pairs are as claimed, and does not if any is the other
way round.

`make findings` runs what is missing, for hours, and writes this page;
`python Testing/benchmarks/findings.py` writes it from `results.csv` and `case_errors.csv` alone."""


def page(claims: Sequence[Claim], results: Sequence[TrainingResult], errors: Mapping[Key, CaseErrors]) -> str:
    """The page about claims, in Markdown."""
    by_key = {result.key: result for result in results}
    return "\n\n".join([_TEXT, *(_part(claim, by_key, errors) for claim in claims)]) + "\n"


def _part(claim: Claim, results: Mapping[Key, TrainingResult], errors: Mapping[Key, CaseErrors]) -> str:
    """What is said of one claim."""
    return "\n\n".join(
        [
            f"## {claim.title}",
            f"{claim.says} {claim.here} Data: `{claim.dataset}`.",
            markdown_table(VARIANT_HEADINGS, _variant_rows(claim, results)),
            *_found_of(claim, results, errors),
            f"`python Testing/benchmarks/findings.py DATA --claim {claim.name}`",
        ]
    )


def _found_of(claim: Claim, results: Mapping[Key, TrainingResult], errors: Mapping[Key, CaseErrors]) -> list[str]:
    """The pairs of a claim and its verdict, or how many rows it waits for."""
    missing = sum(run.key not in results or run.key not in errors for run in claim.runs)
    if missing:
        return [f"**Not run yet**: {missing} of {len(claim.runs)} rows are missing."]
    found = pair_findings(claim, results, errors)
    claimed, compared = ([one for one in found if one.is_claimed == is_claimed] for is_claimed in (True, False))
    is_explained = claim.reason and not all(one.errs_less for one in claimed)
    said = f"{verdict(found)} Likeliest reason: {claim.reason}" if is_explained else verdict(found)
    others = [
        "Pairs in which no paper claims that the first errs less:",
        markdown_table(COMPARED_HEADINGS, [_pair_row(one, "errs less", "errs more") for one in compared]),
    ]
    rows = [_pair_row(one, "as claimed", "the other way round") for one in claimed]
    return [markdown_table(CLAIMED_HEADINGS, rows), said, *(others if compared else [])]


def _variant_rows(claim: Claim, results: Mapping[Key, TrainingResult]) -> list[list[str]]:
    rows = [_variant_row(variant, _found(claim, variant, results)) for variant in claim.variants]
    known = next((found for one in claim.variants if len(found := _found(claim, one, results)) == FOLDS), [])
    baselines = {"mean position": "mean_position_mm", "moved mean shape": "moved_mean_shape_mm"}
    for title, name in baselines.items():
        cell = _mean_and_deviation([getattr(result, name) for result in known]) if known else NOT_RUN
        rows.append([f"*{title}*", cell, *[""] * (len(VARIANT_HEADINGS) - 2)])
    return rows


def _found(claim: Claim, variant: Variant, results: Mapping[Key, TrainingResult]) -> list[TrainingResult]:
    return [results[run.key] for run in claim.runs_of(variant) if run.key in results]


def _variant_row(variant: Variant, found: Sequence[TrainingResult]) -> list[str]:
    """Means over the folds; no number before all of them are there."""
    if len(found) < FOLDS:
        is_begun = f", but for {len(found)} of {FOLDS} folds" if found else ""
        return [variant.name, f"{NOT_RUN}{is_begun}", *[""] * (len(VARIANT_HEADINGS) - 2)]
    return [
        variant.name,
        _mean_and_deviation([one.mre_mm for one in found]),
        _mean_and_deviation([one.median_mm for one in found]),
        f"{mean(one.minutes for one in found):.1f}",
        _range([one.steps for one in found if one.steps]),
        f"{mean(one.seconds for one in found):.2f}",
        f"{mean(one.peak_mb for one in found):.0f}",
    ]


def _pair_row(found: PairFinding, less: str, more: str) -> list[str]:
    here = less if found.errs_less else more if found.errs_more else "not told apart"
    return [
        found.first,
        found.second,
        f"{signed(mean(found.differences_mm))} ± {millimetres(stdev(found.differences_mm))}",
        f"{found.folds_won} of {FOLDS}",
        signed(found.median_mm),
        probability(found.p_holm),
        here,
    ]


def _mean_and_deviation(values: Sequence[float]) -> str:
    return f"{millimetres(mean(values))} ± {millimetres(stdev(values))}"


def _range(steps: Sequence[int]) -> str:
    """The fewest and the most; nothing where nobody counted, or there was nothing to count."""
    ends = sorted({min(steps), max(steps)}) if steps else []
    return " to ".join(str(end) for end in ends)
