"""What the papers found, and by which trainings and detections each finding is asked for again."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from training_results import Key, fold_name, recipe_name

from LandmarkDetectionLib.training.registry import COMPARATORS

PRESET = "quick"
FOLDS = 3
"""Each is trained once with seed 1, 2, 3 on fold 1, 2, 3."""

_RECIPES = Path(__file__).with_name("recipes") / "findings"
_SEEDS = ("pin", "cascade", "multiscale-locnet", "global-to-local")


@dataclass(frozen=True)
class Variant:
    """A method with what is changed of its training, by the name of a recipe, and of its detection."""

    name: str
    method: str
    recipe: str | None = None
    options: dict[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path | None:
        """The file of its recipe."""
        return None if self.recipe is None else _RECIPES / f"{self.recipe}.json"


@dataclass(frozen=True)
class Run:
    """A variant on one fold of a dataset, which is its seed too."""

    variant: Variant
    dataset: str
    fold: int

    @property
    def key(self) -> Key:
        """Of its row in results.csv."""
        variant = self.variant
        recipe = recipe_name(PRESET, variant.config, variant.options)
        return variant.method, self.dataset, fold_name(self.fold, FOLDS), recipe, self.fold

    def arguments(self, data: Path) -> list[str]:
        """Those of record_training.py, with the folder that holds the datasets."""
        config = [] if self.variant.config is None else ["--config", str(self.variant.config)]
        options = [part for name, value in self.variant.options.items() for part in ("--option", f"{name}={value}")]
        asked = ["--preset", PRESET, *config, "--fold", f"{self.fold}/{FOLDS}", "--seed", str(self.fold), *options]
        return [self.variant.method, str(data / self.dataset), *asked]


@dataclass(frozen=True)
class Claim:
    """One finding of the papers.

    Attributes:
        name: to ask for it.
        title: of its part of the page.
        says: the paper's sentence, with its source.
        here: how it is asked for again.
        dataset: by name.
        variants: those that are compared.
        pairs: names of variants, the one that errs less according to the paper first.
        compared: more pairs, in which no paper claims that the first errs less.
        reason: the likeliest one if it does not hold here, a sentence by hand, once that is known.
    """

    name: str
    title: str
    says: str
    here: str
    dataset: str
    variants: tuple[Variant, ...]
    pairs: tuple[tuple[str, str], ...]
    compared: tuple[tuple[str, str], ...] = ()
    reason: str = ""

    @property
    def runs(self) -> list[Run]:
        """All folds of all variants."""
        return [run for variant in self.variants for run in self.runs_of(variant)]

    def runs_of(self, variant: Variant) -> list[Run]:
        """All folds of one variant."""
        return [Run(variant, self.dataset, fold) for fold in range(1, FOLDS + 1)]


_WITHOUT_PRIOR = "multiscale-locnet without prior"


def _against_comparators(dataset: str, voxels: str) -> Claim:
    claimed = (
        ("pin", "drl"),
        ("global-to-local", "drl"),
        (_WITHOUT_PRIOR, "locnet"),
        (_WITHOUT_PRIOR, "heatmap-unet"),
    )
    return Claim(
        name=f"comparators-{dataset}",
        title=f"The four methods against the comparators, {dataset}",
        says="PIN errs less than deep-Q agents [Li 2018, Table 1], the multi-scale Loc-Net less than a single scale "
        "and a heatmap U-Net [Ma 2020, Table 1], global-to-local less than agents; between it and a spatial "
        "configuration network of several landmarks the paper tells no difference [Noothout 2020, section V-D].",
        here="Our multi-scale Loc-Net has a prior of shapes that the paper's has not, so that it is also measured "
        "without, though its weights were chosen with it. Atlases and the mean position need no training; a detection "
        f"takes 5 atlases. Voxels: {voxels}.",
        dataset=dataset,
        variants=(
            *(Variant(method, method) for method in _SEEDS),
            Variant(_WITHOUT_PRIOR, "multiscale-locnet", options={"prior_rounds": "0"}),
            *(Variant(method, method) for method in COMPARATORS),
        ),
        pairs=claimed,
        compared=tuple(pair for seed in _SEEDS for other in COMPARATORS if (pair := (seed, other)) not in claimed),
    )


CLAIMS = (
    Claim(
        name="stages",
        title="Cascade: both stages against the first alone",
        says="The second stage lowers the mean error of five landmarks from 3.99 to 2.08 mm [Tan 2019, Table 1].",
        here="One training; the first stage alone is its detection without corrections.",
        dataset="brain",
        variants=(
            Variant("both stages", "cascade"),
            Variant("first stage alone", "cascade", options={"refinements": "0"}),
        ),
        pairs=(("both stages", "first stage alone"),),
    ),
    Claim(
        name="end-to-end",
        title="Multi-scale Loc-Net: end to end with noise, end to end, multi-step",
        says="Trained in several steps it errs by 3.72 mm, end to end by 3.61 mm, and with noise before the last scale "
        "by 2.81 mm [Ma 2020, Table 1].",
        here="In several steps, the scales learn one after the other, each by as many steps as all of them make end to "
        "end; without noise, one pass is made. The training with noise is also measured with one pass.",
        dataset="brain",
        variants=(
            Variant("end to end + noise", "multiscale-locnet"),
            Variant("the same, one pass", "multiscale-locnet", options={"passes": "0"}),
            Variant("end to end", "multiscale-locnet", "no-noise"),
            Variant("multi-step", "multiscale-locnet", "multi-step"),
        ),
        pairs=(
            ("end to end + noise", "end to end"),
            ("end to end + noise", "multi-step"),
            ("end to end", "multi-step"),
        ),
        reason="All three err by 1.2 mm, little for voxels of 2 mm and a truth that no human placed. Every scale of "
        "ours is also told by a cross-entropy where the landmark is, so that the coarse ones learn well "
        "without the fine ones' help, and a last scale of 2 mm, where the paper's has 0.5 mm, leaves little "
        "for noise to teach.",
    ),
    Claim(
        name="centre-of-mass",
        title="Centre of mass against heatmap",
        says="A Loc-Net of one scale, which answers with a centre of mass, errs by 5.52 mm, a like U-Net that learns "
        "Gaussian heatmaps by 6.45 mm [Ma 2020, Table 1].",
        here="`locnet` against `heatmap-unet` on the same voxels in the same time: as published, the mass is that of a "
        "ReLU, and the distance alone is the loss; as our presets have it, it is that of a softmax over voxels and "
        "nowhere, which also learns where the landmark is by cross-entropy.",
        dataset="brain",
        variants=(
            Variant("centre of mass, as published", "locnet", "published-mass"),
            Variant("centre of mass, softmax", "locnet"),
            Variant("heatmap", "heatmap-unet"),
        ),
        pairs=(("centre of mass, as published", "heatmap"),),
        compared=(("centre of mass, softmax", "heatmap"),),
        reason="A mean over all voxels is drawn to the middle of the image until every one of them far from the "
        "landmark is silent: 1,100 steps are too few for that, where the paper makes 83,500. Told where the landmark "
        "is by a cross-entropy beside, the same network errs by less than half of what the heatmaps do.",
    ),
    Claim(
        name="heads",
        title="Global-to-local: R, R_log, C, R+C, R_log+C",
        says="The global network alone has a median error of 3.44 mm with R, 3.23 with R_log, 4.76 with C, 3.09 with "
        "R+C and 2.81 with R_log+C [Noothout 2020, Table I].",
        here="Five trainings, whose weights all networks together chose, detected by the global one alone, as in the "
        "paper's comparison.",
        dataset="brain",
        variants=tuple(
            Variant(heads, "global-to-local", recipe, {"local_passes": "0"})
            for heads, recipe in {
                "R": "heads-r",
                "R_log": "heads-r-log",
                "C": "heads-c",
                "R+C": "heads-r-c",
                "R_log+C": None,
            }.items()
        ),
        pairs=(
            *(("R_log+C", other) for other in ("R+C", "R_log", "R", "C")),
            ("R+C", "R"),
            ("R_log", "R"),
            ("R_log", "C"),
            ("R", "C"),
        ),
    ),
    Claim(
        name="multiple",
        title="PIN-multiple against PIN-single",
        says="One network for all ten landmarks errs by 5.59 mm, one for each by 6.42 mm [Li 2018, Table 2].",
        here="Each of the five networks of PIN-single has the time that PIN-multiple has; the spine has few enough for "
        "that.",
        dataset="spine",
        variants=(Variant("PIN-multiple", "pin"), Variant("PIN-single", "pin-single", "full-time-each")),
        pairs=(("PIN-multiple", "PIN-single"),),
    ),
    Claim(
        name="rules",
        title="PIN: rules A, B and C",
        says="A network that learned both tasks errs by 6.34 mm with rule A, 6.08 with B and 5.47 with C "
        "[Li 2018, Table 1, PIN3 to PIN5].",
        here="One training, whose weights rule B chose.",
        dataset="brain",
        variants=(
            Variant("rule A", "pin", options={"rule": "A"}),
            Variant("rule B", "pin"),
            Variant("rule C", "pin", options={"rule": "C"}),
        ),
        pairs=(("rule C", "rule B"), ("rule C", "rule A"), ("rule B", "rule A")),
        reason="Rule C weights the step of each mode by the probability of its direction among those of all modes, "
        "which is small for every mode but the one that is farthest off, so that the others stay about where they "
        "started: with 100 iterations in place of 10 its error on 12 cases of fold 1 falls from 4.11 to 3.67 mm only, "
        "where rule B errs by 2.74 mm. The paper's network tells directions better after 70 times as many steps.",
    ),
    Claim(
        name="joint-loss",
        title="PIN: the joint loss against either alone",
        says="Classification alone errs by 7.53 mm, with rule A, where the joint loss errs by 6.34; regression alone "
        "by 6.45 mm, with rule B, where the joint loss errs by 6.08 [Li 2018, Table 1, PIN1 to PIN4].",
        here="Three trainings; classification alone is judged by rule A from the mean shape when its weights are "
        "chosen, as it takes long, and from as many shapes as the others when it is measured.",
        dataset="brain",
        variants=(
            Variant("joint, rule A", "pin", options={"rule": "A"}),
            Variant("classification, rule A", "pin", "classification-alone", {"random_initialisations": "5"}),
            Variant("joint, rule B", "pin"),
            Variant("regression, rule B", "pin", "regression-alone"),
        ),
        pairs=(("joint, rule A", "classification, rule A"), ("joint, rule B", "regression, rule B")),
        reason="After about 1,300 steps, where the paper takes 100,000, layers that share two tasks may have learnt "
        "each of them less well than one alone. Nor is it the paper's comparison in all: three fifths of our training "
        "samples lie where the regression leads, which an untrained one leads elsewhere, and the joint network's "
        "weights are chosen by rule B also where rule A is measured.",
    ),
    _against_comparators(
        "brain",
        "1.3 mm for PIN, 2.0 for the other three and for agents (and twice that, for Loc-Net also four times); 5.0 for "
        "a single scale, heatmaps and spatial configuration, which see the whole image at once; 3.8 for atlases",
    ),
    _against_comparators(
        "spine",
        "2.9 mm for PIN, 1.0 for the cascade, 1.8 to 1.9 for the other two and for agents (and twice that, for Loc-Net "
        "also four times); 4.7 for a single scale, heatmaps and spatial configuration, which see the whole image at "
        "once; 3.5 for atlases",
    ),
)
