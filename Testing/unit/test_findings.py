"""The papers' findings: what is asked for, what of it is still to be run, and what the page says of the numbers."""

from __future__ import annotations

import dataclasses
import json

import pytest
from case_errors import read_case_errors
from claim_findings import pair_findings, verdict
from claims import CLAIMS, Claim, Variant
from findings import PAGE, missing_runs
from findings_page import page
from pin_on_brain import PIN_ON_BRAIN
from record_training import planned
from recording import all_recorded
from training_results import Key, TrainingResult, read_results

from LandmarkDetectionLib.models.record import parse_record
from LandmarkDetectionLib.training.recipe import load_recipe
from LandmarkDetectionLib.training.run import load_method

FOUR = ("pin", "cascade", "multiscale-locnet", "global-to-local")
COMPARATORS = ("locnet", "heatmap-unet", "scn", "drl", "atlas", "mean-position")
ALL_RUNS = missing_runs(CLAIMS, [])

STAGES = Claim(
    name="stages",
    title="Two stages",
    says="The paper says so.",
    here="One training.",
    dataset="brain",
    variants=(Variant("both", "cascade"), Variant("first", "cascade", options={"refinements": "0"})),
    pairs=(("both", "first"),),
)
Rows = tuple[dict[Key, TrainingResult], dict[Key, dict[str, float]]]


def rows_of(claim: Claim, errors_mm: dict[str, list[list[float]]]) -> Rows:
    """Rows of results.csv and of case_errors.csv: the errors of each variant's cases, fold by fold."""
    results, errors = {}, {}
    for variant in claim.variants:
        for run, cases_mm in zip(claim.runs_of(variant), errors_mm[variant.name], strict=True):
            named = dict(zip(("method", "dataset", "split", "recipe", "seed"), run.key, strict=True))
            mean_mm = sum(cases_mm) / len(cases_mm)
            results[run.key] = dataclasses.replace(PIN_ON_BRAIN, **named, mre_mm=mean_mm, steps=1199 + run.fold)
            errors[run.key] = {f"{run.fold}-{index}": mm for index, mm in enumerate(cases_mm)}
    return results, errors


BOTH = [[1.0, 2.0], [1.0, 3.0], [2.0, 2.0]]
BETTER = {"both": BOTH, "first": [[1.1, 2.2], [1.3, 3.4], [2.5, 2.6]]}
WORSE = {"both": BETTER["first"], "first": BOTH}
MIXED = {"both": BOTH, "first": [[1.1, 2.2], [1.3, 3.4], [1.5, 1.4]]}


def said(claim: Claim, errors_mm: dict[str, list[list[float]]]) -> str:
    return verdict(pair_findings(claim, *rows_of(claim, errors_mm)))


class TestWhatIsAskedFor:
    def test_the_claims_are_those_of_the_papers(self):
        assert [claim.name for claim in CLAIMS] == [
            "stages",
            "end-to-end",
            "centre-of-mass",
            "heads",
            "multiple",
            "rules",
            "joint-loss",
            "comparators-brain",
            "comparators-spine",
        ]
        for claim in CLAIMS[-2:]:
            assert {(one, other) for one in FOUR for other in COMPARATORS} <= {*claim.pairs, *claim.compared}

    @pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
    def test_pairs_are_of_its_variants_and_these_can_be_trained_and_detected(self, claim):
        names = [variant.name for variant in claim.variants]
        assert len(set(names)) == len(names)
        pairs = [*claim.pairs, *claim.compared]
        assert len(set(pairs)) == len(pairs)
        assert {name for pair in pairs for name in pair} <= set(names)
        for variant in claim.variants:
            method = load_method(variant.method)
            inference = load_recipe(method, "quick", variant.config).inference
            options = {name: value if value.isalpha() else json.loads(value) for name, value in variant.options.items()}
            parse_record(method.inference, {**inference, **options}, variant.name)

    def test_what_is_run_adds_the_row_that_was_missing_and_no_training_is_run_twice(self, tmp_path):
        for name in ("brain", "spine"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "dataset.json").write_text(json.dumps({"name": name, "split": {"train": ["one"]}}))
        plans = [planned(run.arguments(tmp_path)) for run in ALL_RUNS]
        assert [plan.key for plan in plans] == [run.key for run in ALL_RUNS]
        assert len({plan.key for plan in plans}) == len(plans)
        assert {(plan.fold, plan.seed) for plan in plans} == {((fold, 3), fold) for fold in (1, 2, 3)}
        trainings = {(plan.method, plan.dataset, plan.fold, plan.config) for plan in plans}
        assert len({plan.bundle for plan in plans}) == len(trainings) < len(plans)
        # Rules A, B and C.
        of_pin = [plan for plan in plans if (plan.method, plan.dataset, plan.seed) == ("pin", "brain", 1)]
        assert [plan.recipe for plan in of_pin if plan.config is None] == ["quick, rule=A", "quick", "quick, rule=C"]
        assert len({plan.bundle for plan in of_pin if plan.config is None}) == 1

    def test_a_row_that_is_there_is_not_run_again(self):
        results, _ = rows_of(STAGES, BETTER)
        assert missing_runs([STAGES], []) == STAGES.runs
        assert missing_runs([STAGES, STAGES], list(results.values())[:4]) == STAGES.runs[4:]
        assert missing_runs([STAGES], list(results.values())) == []

    def test_a_run_that_fails_is_told(self, tmp_path):
        assert all_recorded([])
        assert not all_recorded([["pin", str(tmp_path / "nothing")]])


class TestVerdict:
    """Six differences of one sign: Wilcoxon's exact two-sided p is 2 / 2^6 = 0.031."""

    def test_numbers_of_a_pair_by_hand(self):
        (found,) = pair_findings(STAGES, *rows_of(STAGES, BETTER))
        assert found.differences_mm == pytest.approx((0.15, 0.35, 0.55))
        assert found.median_mm == pytest.approx(0.35)
        assert found.p_holm == pytest.approx(0.03125)
        assert (found.folds_won, found.errs_less, found.errs_more) == (3, True, False)

    def test_a_claim_holds_or_does_not_or_cannot_be_told(self):
        assert said(STAGES, BETTER).startswith("**Holds** here: of 1 pair, 1 as claimed, 0 the other")
        assert said(STAGES, WORSE).startswith("**Does not hold** here: of 1 pair, 0 as claimed, 1 the other")
        assert said(STAGES, MIXED).startswith("**Cannot tell** here: of 1 pair, 0 as claimed, 0 the other")

    def test_p_is_corrected_for_the_pairs_of_the_claim(self):
        third = dataclasses.replace(STAGES.variants[0], name="third", recipe="other")
        claim = dataclasses.replace(
            STAGES, variants=(*STAGES.variants, third), pairs=(("both", "first"), ("both", "third"))
        )
        found = pair_findings(claim, *rows_of(claim, {**BETTER, "third": BETTER["first"]}))
        assert [one.p_holm for one in found] == pytest.approx([0.0625, 0.0625])
        assert verdict(found) == (
            "**Cannot tell** here: of 2 pairs, 0 as claimed, 0 the other way round, 2 not told apart."
        )

    def test_pairs_that_no_paper_compares_are_corrected_for_but_decide_nothing(self):
        claim = dataclasses.replace(STAGES, compared=(("first", "both"),))
        ten_times = {name: [fold * 5 for fold in folds] for name, folds in BETTER.items()}
        found = pair_findings(claim, *rows_of(claim, ten_times))
        assert [(one.is_claimed, one.errs_less, one.errs_more) for one in found] == [
            (True, True, False),
            (False, False, True),
        ]
        alone = pair_findings(STAGES, *rows_of(STAGES, ten_times))
        assert found[0].p_holm == pytest.approx(2 * alone[0].p_holm)
        assert verdict(found).startswith("**Holds** here: of 1 pair, 1 as claimed")

    def test_one_pair_the_other_way_round_is_enough(self):
        claim = dataclasses.replace(STAGES, pairs=(("both", "first"), ("first", "both")))
        ten_times = {name: [fold * 5 for fold in folds] for name, folds in BETTER.items()}
        assert said(claim, ten_times).startswith("**Does not hold** here: of 2 pairs, 1 as claimed, 1 the other")

    def test_one_fold_the_other_way_leaves_it_open(self):
        """However sure the cases are."""
        many = {"both": [[1.0] * 30, [1.0] * 30, [1.0] * 3], "first": [[2.0] * 30, [2.0] * 30, [0.5] * 3]}
        (found,) = pair_findings(STAGES, *rows_of(STAGES, many))
        assert found.p_holm < 0.001
        assert (found.folds_won, found.errs_less, found.errs_more) == (2, False, False)


TABLES = """\
## Two stages

The paper says so. One training. Data: `brain`.

| variant | MRE (mm) | median (mm) | training (min) | steps | detection (s) | memory (MB) |
| --- | --- | --- | --- | --- | --- | --- |
| both | 1.83 ± 0.29 | 1.26 ± 0.00 | 3.9 | 1200 to 1202 | 0.13 | 446 |
| first | 2.18 ± 0.47 | 1.26 ± 0.00 | 3.9 | 1200 to 1202 | 0.13 | 446 |
| *mean position* | 17.60 ± 0.00 |  |  |  |  |  |
| *moved mean shape* | 2.59 ± 0.00 |  |  |  |  |  |

| errs less, as claimed | than | by (mm) | folds | median of the cases (mm) | p (Holm) | here |
| --- | --- | --- | --- | --- | --- | --- |
| both | first | +0.35 ± 0.20 | 3 of 3 | +0.35 | 0.031 | as claimed |

**Holds** here: of 1 pair, 1 as claimed, 0 the other way round, 0 not told apart.

`python Testing/benchmarks/findings.py DATA --claim stages`
"""


class TestPage:
    def test_tables_are_those_written_by_hand(self):
        results, errors = rows_of(STAGES, BETTER)
        assert page([STAGES], list(results.values()), errors).endswith(f"\n\n{TABLES}")

    def test_pairs_that_no_paper_compares_have_a_table_of_their_own(self):
        claim = dataclasses.replace(STAGES, compared=(("first", "both"),))
        ten_times = {name: [fold * 5 for fold in folds] for name, folds in BETTER.items()}
        results, errors = rows_of(claim, ten_times)
        claimed, _, compared = page([claim], list(results.values()), errors).partition("Pairs in which no paper claims")
        assert "| both | first | +0.35" in claimed
        assert "| as claimed |\n" in claimed
        assert "| first | both | −0.35" in compared
        assert "| errs more |\n" in compared

    def test_a_training_whose_steps_nobody_counted_says_none(self):
        results, errors = rows_of(STAGES, BETTER)
        uncounted = [dataclasses.replace(result, steps=None) for result in results.values()]
        assert "| both | 1.83 ± 0.29 | 1.26 ± 0.00 | 3.9 |  | 0.13 | 446 |" in page([STAGES], uncounted, errors)

    def test_a_missing_row_says_so_and_nothing_is_concluded(self):
        results, errors = rows_of(STAGES, BETTER)
        text = page([STAGES], list(results.values())[:-1], errors)
        assert "| first | not run yet, but for 2 of 3 folds |  |  |  |  |  |\n" in text
        assert "| both | 1.83 ± 0.29 |" in text
        assert "**Not run yet**: 1 of 6 rows are missing." in text
        assert not any(word in text for word in ("**Holds**", "p (Holm) |", "**Cannot tell**"))
        nothing = page([STAGES], [], {})
        assert "| both | not run yet |  |  |  |  |  |\n" in nothing
        assert "| *moved mean shape* | not run yet |" in nothing

    def test_a_row_without_the_errors_of_its_cases_is_missing(self):
        results, _ = rows_of(STAGES, BETTER)
        assert "**Not run yet**: 6 of 6 rows" in page([STAGES], list(results.values()), {})

    @pytest.mark.parametrize(("errors_mm", "is_given"), [(BETTER, False), (MIXED, True), (WORSE, True)])
    def test_the_likeliest_reason_is_given_where_a_claim_does_not_hold(self, errors_mm, is_given):
        claim = dataclasses.replace(STAGES, reason="Four minutes are too few.")
        results, errors = rows_of(claim, errors_mm)
        text = page([claim], list(results.values()), errors)
        assert ("Likeliest reason: Four minutes are too few.\n" in text) == is_given

    def test_the_page_says_what_was_measured(self):
        advice = "run: python Testing/benchmarks/findings.py"
        assert PAGE.read_text(encoding="utf-8") == page(CLAIMS, read_results(), read_case_errors()), advice
