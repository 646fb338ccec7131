"""What the rows of results.csv say of a claim, pair by pair, and of the whole of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from case_errors import CaseErrors
from claims import Claim
from training_results import Key, TrainingResult

from LandmarkDetectionLib.evaluation.statistics import SIGNIFICANT_P, holm, wilcoxon
from LandmarkDetectionLib.geometry import FloatArray
from LandmarkDetectionLib.wording import counted


@dataclass(frozen=True)
class PairFinding:
    """Two variants on the same cases.

    Attributes:
        first, second: their names.
        is_claimed: whether the first errs less according to the paper; else no paper claims it.
        differences_mm: by fold, how much smaller the first one's mean error is.
        median_mm: of the same, over the cases of all folds.
        p_holm: of Wilcoxon's signed-rank test over these cases, corrected for the pairs of the claim [Holm 1979].
    """

    first: str
    second: str
    is_claimed: bool
    differences_mm: tuple[float, ...]
    median_mm: float
    p_holm: float

    @property
    def folds_won(self) -> int:
        """On how many folds the first errs less."""
        return sum(difference > 0 for difference in self.differences_mm)

    @property
    def errs_less(self) -> bool:
        """Whether the first errs less on every fold, and in most cases, and not by chance."""
        return self.p_holm < SIGNIFICANT_P and self.median_mm > 0 and min(self.differences_mm) > 0

    @property
    def errs_more(self) -> bool:
        """Whether that is true of the second."""
        return self.p_holm < SIGNIFICANT_P and self.median_mm < 0 and max(self.differences_mm) < 0


def pair_findings(
    claim: Claim, results: Mapping[Key, TrainingResult], errors: Mapping[Key, CaseErrors]
) -> list[PairFinding]:
    """Of every pair of a claim whose rows are all there: a correction for some of its pairs would be none."""
    keys = {variant.name: [run.key for run in claim.runs_of(variant)] for variant in claim.variants}
    mean_mm = {name: np.array([results[key].mre_mm for key in own]) for name, own in keys.items()}
    case_mm = {name: {case: mm for key in own for case, mm in errors[key].items()} for name, own in keys.items()}
    pairs = [*claim.pairs, *claim.compared]
    per_case = [_case_differences(case_mm[first], case_mm[second]) for first, second in pairs]
    corrected = holm([wilcoxon(differences)[1] for differences in per_case])
    return [
        PairFinding(
            first,
            second,
            (first, second) in claim.pairs,
            tuple(mean_mm[second] - mean_mm[first]),
            float(np.median(differences)),
            p_holm,
        )
        for (first, second), differences, p_holm in zip(pairs, per_case, corrected, strict=True)
    ]


def verdict(findings: Sequence[PairFinding]) -> str:
    """One sentence: whether what the paper claims holds here, does not, or cannot be told."""
    claimed = [found for found in findings if found.is_claimed]
    agreeing, reverse = (sum(getattr(found, name) for found in claimed) for name in ("errs_less", "errs_more"))
    word = "Holds" if agreeing == len(claimed) else "Does not hold" if reverse else "Cannot tell"
    untold = len(claimed) - agreeing - reverse
    counts = f"{agreeing} as claimed, {reverse} the other way round, {untold} not told apart"
    return f"**{word}** here: of {counted(len(claimed), 'pair')}, {counts}."


def _case_differences(first: CaseErrors, second: CaseErrors) -> FloatArray:
    """How much smaller the first one's error is, in each case that both have."""
    return np.array([second[name] - first[name] for name in first if name in second])
