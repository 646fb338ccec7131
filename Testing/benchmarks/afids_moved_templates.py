"""How well does brain-t1-afids find what experts placed? Each template moved at random, by a model that never saw it.

    python Testing/benchmarks/afids_moved_templates.py AFIDS MODELS [--finish BUNDLE OUTPUT]

AFIDS is the pack of templates; MODELS holds the bundles fold-1 and fold-2, trained on the datasets of `afids_truth.py`
of these names. Prints a Markdown table. Beside ours are landmarks carried over by affine registrations of the three
other templates, from the moved one and from the upright one, where none of them goes astray. With `--finish`, writes
what the held-out templates say of it into a model.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from afids_registration import Brain, Template, carried_affinely
from afids_truth import HELD_OUT, fiducials, readable, templates_of
from markdown_table import markdown_table
from tqdm import tqdm

from LandmarkDetectionLib.detectors.base import Detector
from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.detectors.several_estimates import geometric_median
from LandmarkDetectionLib.evaluation.cropping import short_volume
from LandmarkDetectionLib.files.case import Case
from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.geometry import FloatArray, apply_affine, map_about, rotation_matrix
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.models.bundle import ModelBundle, load_bundle, save_bundle
from LandmarkDetectionLib.models.card import Accuracy
from LandmarkDetectionLib.training.calibration import HeldOut, fit_calibration
from LandmarkDetectionLib.training.cases import TrainingCase

MOST_DEG, MOST_MM, MOST_SCALE = 30.0, 30.0, 0.1
"""Of a rotation about each axis, of a shift along it, and of the size."""
METHODS = ("ours", "affine", "affine, upright")
_SEED = 0
_COARSE_MM = (2.0, 2.0, 2.0)
"""Voxels on which brains are registered; those of 1 mm take minutes to strip."""
_HORNS = ("AFID29", "AFID30")
"""Which lie centimetres elsewhere in Colin27 than in the averages."""


def random_motion(centre: FloatArray, generator: np.random.Generator) -> FloatArray:
    """A 4x4 map of RAS space: turned about all axes, shifted and scaled about a centre (3,), at most as above."""
    linear = np.eye(3) * (1.0 + MOST_SCALE * generator.uniform(-1, 1))
    for axis in np.eye(3):
        linear = linear @ rotation_matrix(axis, MOST_DEG * generator.uniform(-1, 1))
    motion = map_about(centre, linear)
    motion[:3, 3] += MOST_MM * generator.uniform(-1, 1, 3)
    return motion


@dataclass(frozen=True, eq=False)
class MovedTemplate:
    """A template that was moved, and where its landmarks (n, 3) were found, in RAS millimetres.

    Attributes:
        template: name of what was moved.
        case: the image with its landmarks where it shows them.
        published_ras: the landmarks as published.
        found: by whom.
    """

    template: str
    case: TrainingCase
    published_ras: FloatArray
    found: Mapping[str, FloatArray]

    def errors_mm(self, method: str, *, as_published: bool) -> FloatArray:
        """(n,) distances from one of both truths."""
        truth = self.published_ras if as_published else self.case.landmarks.to_array()
        return np.linalg.norm(self.found[method] - truth, axis=1)


def expert_placed(case: Case, dataset: Dataset) -> TrainingCase:
    """A template with its landmarks by their readable names, where its image has them."""
    names = [definition.label for definition in readable(dataset)]
    landmarks = LandmarkSet.from_array(names, fiducials(case).to_array(dataset.labels))
    return TrainingCase(case.name, case.read_volume(), landmarks)


def random_motions(case: TrainingCase, count: int) -> Iterable[FloatArray]:
    """So many 4x4 maps of RAS space about the centre of a case's volume, always the same."""
    generator = np.random.default_rng([_SEED, *case.name.encode()])
    return (random_motion(case.volume.centre_ras, generator) for _ in range(count))


def moved(case: TrainingCase, motion: FloatArray, name: str) -> TrainingCase:
    """A case after a map (4x4) of RAS space."""
    return TrainingCase(name, case.volume.moved(motion), case.landmarks.transformed(motion))


def affine_estimate(others: Iterable[Template], case: TrainingCase) -> FloatArray:
    """Median positions (n, 3) of what the other templates say, in RAS millimetres: an affine map each."""
    brain = Brain.of(case.volume.resampled(_COARSE_MM), case.landmarks)
    estimates = np.array([carried_affinely(template, brain) for template in others])
    return np.array([geometric_median(found) for found in estimates.swapaxes(0, 1)])


@dataclass(frozen=True, eq=False)
class Measured:
    """What the models found that had not seen a template: every moved one, whole and cut short."""

    moved: list[MovedTemplate] = field(default_factory=list)
    whole: list[HeldOut] = field(default_factory=list)
    short: list[HeldOut] = field(default_factory=list)

    def __add__(self, other: Measured) -> Measured:
        return Measured(self.moved + other.moved, self.whole + other.whole, self.short + other.short)


def measured(dataset: Dataset, models: Path, count: int) -> Measured:
    """All templates of the pack, each moved so many times."""
    templates = templates_of(dataset)
    cases = {case.name: case for case in dataset.cases}
    result = Measured()
    for fold, held_out in HELD_OUT.items():
        detector = load_detector(load_bundle(models / fold), "cpu")
        for name in held_out:
            others = [template for other, template in templates.items() if other != name]
            result += _measured(cases[name], dataset, detector, others, count)
    return result


def _measured(case: Case, dataset: Dataset, detector: Detector, others: Sequence[Template], count: int) -> Measured:
    """What is found in a template moved so many times."""
    result = Measured()
    upright, published_ras = expert_placed(case, dataset), case.read_landmarks().to_array(dataset.labels)
    carried_upright = affine_estimate(others, upright)
    motions = tqdm(random_motions(upright, count), total=count, desc=case.name, unit="case")
    for number, motion in enumerate(motions, 1):
        whole = moved(upright, motion, f"{case.name}_{number}")
        detection = detector.detect(whole.volume)
        found = {
            "ours": np.array([mark.position_ras for mark in detection.landmarks]),
            "affine": affine_estimate(others, whole),
            "affine, upright": apply_affine(motion, carried_upright),
        }
        result.moved.append(MovedTemplate(case.name, whole, apply_affine(motion, published_ras), found))
        result.whole.append(HeldOut(whole, detection))
        rest = short_volume(whole.name, whole.volume, whole.landmarks, _SEED)
        if rest is not None:
            result.short.append(HeldOut(replace(whole, volume=rest), detector.detect(rest)))
    return result


def table(moved: Sequence[MovedTemplate], dataset: Dataset) -> str:
    """A row for each template and method, and for all templates; also with the truth as published where it differs."""
    is_horn = np.array([label in _HORNS for label in dataset.labels])
    names = dict.fromkeys(one.template for one in moved)
    rows = {name: [one for one in moved if one.template == name] for name in names} | {"all": list(moved)}
    headings = ["held out", "method", "AC", "PC", "all 32", "median", "but AFID29, 30", "largest"]
    lines = []
    for name, some in rows.items():
        for as_published in (True, False):
            errors = {
                method: np.array([one.errors_mm(method, as_published=as_published) for one in some])
                for method in METHODS
            }
            differs = any(not np.allclose(one.published_ras, one.case.landmarks.to_array()) for one in some)
            if as_published or differs:
                title = name if as_published else f"{name}, Colin27 raised"
                lines.extend([title, method, *_cells(found, is_horn)] for method, found in errors.items())
    return markdown_table(headings, lines)


def _cells(errors_mm: FloatArray, is_horn: FloatArray) -> list[str]:
    """Numbers of errors (cases, n) in millimetres."""
    numbers = [
        errors_mm[:, 0].mean(),
        errors_mm[:, 1].mean(),
        errors_mm.mean(),
        np.median(errors_mm),
        errors_mm[:, ~is_horn].mean(),
        errors_mm.max(),
    ]
    return [f"{number:.2f}" for number in numbers]


def finished(bundle: ModelBundle, results: Measured) -> ModelBundle:
    """The bundle with the calibration and the accuracy that the held-out templates give."""
    origin = (
        f"{len(results.whole)} volumes: four templates, each moved at random and detected by a model, trained for"
        " less long, that had not seen it"
    )
    calibration = fit_calibration(bundle.card, results.whole, results.short, origin)
    errors = np.array([one.errors_mm("ours", as_published=True) for one in results.moved])
    accuracy = Accuracy(
        dataset="afids",
        split="each template held out, moved",
        cases=len(errors),
        landmarks=errors.shape[1],
        mre_mm=round(float(errors.mean()), 3),
        median_mm=round(float(np.median(errors)), 3),
        sd_mm=round(float(errors.std()), 3),
        sdr={str(limit): round(float((errors <= limit).mean()), 4) for limit in (2.0, 2.5, 3.0, 4.0)},
    )
    return replace(bundle, card=replace(bundle.card, calibration=calibration, accuracy=(accuracy,)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, measure and print; write the finished model, if one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("afids", type=Path, help="folder of the pack")
    parser.add_argument("models", type=Path, help="folder of the bundles")
    parser.add_argument("--moves", type=int, default=5, metavar="N", help="of each template")
    parser.add_argument("--finish", type=Path, nargs=2, metavar=("BUNDLE", "OUTPUT"))
    asked = parser.parse_args(arguments)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    dataset = Dataset.load(asked.afids)
    results = measured(dataset, asked.models, asked.moves)
    print(table(results.moved, dataset))
    if asked.finish:
        trained, output = asked.finish
        bundle = finished(load_bundle(trained), results)
        save_bundle(output, bundle.card, bundle.tensors)


if __name__ == "__main__":
    main()
