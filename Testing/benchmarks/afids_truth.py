"""Truth for brain-t1-afids, which no open scan of ours has: four templates with 32 anatomical fiducials, carried over.

    python Testing/benchmarks/afids_truth.py ../shared/data OUTPUT [--subjects 20]

Writes the dataset folder OUTPUT/all, and OUTPUT/fold-1 and OUTPUT/fold-2, each of which owes nothing to two templates.
Each holds scans of the pack `brain`, in which a landmark lies at the median of where the templates' lie once they are
laid upon the scan, and copies of the templates of the pack `afids`, bent, with another look: their truth is exact.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from afids_registration import Brain, Template, carried_bent
from tqdm import tqdm

from LandmarkDetectionLib.detectors.several_estimates import geometric_median
from LandmarkDetectionLib.files.case import Case
from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.files.dataset_json import DatasetDescription, description_to_json
from LandmarkDetectionLib.files.dataset_writer import add_case, write_description
from LandmarkDetectionLib.geometry import FloatArray
from LandmarkDetectionLib.landmarks import LandmarkDefinition, LandmarkSet
from LandmarkDetectionLib.preprocessing import Preprocessing
from LandmarkDetectionLib.training.augmentation import Augmentation, Augmenter, Variant
from LandmarkDetectionLib.volume import Volume

BEST_STRIPPED = "MNI152NLin2009aSym_1mm"
"""The template that shows nothing but brain; what it shows tells what is brain in the others."""
_AVERAGES = "MNI152NLin2009"
"""Averages of the same heads, near to equal: what one shows the others do."""
_TOO_LOW_MM = {"Colin27_1mm": 2.0}
"""The pack's volume and the published fiducials of Colin27 seem to be of two frames: carried over from each average,
30 of 32 lie 1.8 to 2.2 mm higher on average, and neither more to the side nor to the front; so they look, too."""
_OF_NOBODY_ELSE = {"Colin27_1mm": ("AFID29", "AFID30")}
"""Landmarks that are not carried over: Colin's occipital horns end two centimetres before those of the averages."""
HELD_OUT = {
    "fold-1": ("Colin27_1mm", "MNI152NLin2009cAsym_2mm"),
    "fold-2": ("MNI152NLin2009aSym_1mm", "MNI152NLin2009bAsym_1mm"),
}
"""Templates that a dataset owes nothing to, so that its model can be measured on them."""
_COPIES = {"train": 8, "validation": 1}
_VALIDATION_SUBJECTS = 4
_BENT = Augmentation(
    rotation_deg=10.0, scale=0.08, stretch=0.08, elastic_mm=6.0, elastic_grid_mm=75.0, gamma=0.3, noise=0.03, bias=0.2
)
_PREPROCESSING = Preprocessing("RAS", (2.0, 2.0, 2.0))


@dataclass(frozen=True, eq=False)
class LabelledCase:
    """A case of the datasets that are written: its landmarks (n, 3) in RAS millimetres, by template or of its own."""

    split: str
    subject: str
    volume: Volume
    landmarks_ras: Mapping[str, FloatArray]

    def truth(self, without: Collection[str]) -> FloatArray | None:
        """Medians (n, 3) of what some templates do not say; None if no other says anything."""
        estimates = [positions for template, positions in self.landmarks_ras.items() if template not in without]
        if not estimates:
            return None
        by_landmark = np.swapaxes(estimates, 0, 1)
        return np.array([geometric_median(found[~np.isnan(found).any(1)]) for found in by_landmark])


def readable(dataset: Dataset) -> tuple[LandmarkDefinition, ...]:
    """The definitions of the pack, called by what they are instead of by number."""
    return tuple(LandmarkDefinition(one.description, one.label, one.side) for one in dataset.definitions)


def fiducials(case: Case) -> LandmarkSet:
    """A template's landmarks as published, but where its image has them."""
    upwards = np.eye(4)
    upwards[2, 3] = _TOO_LOW_MM.get(case.name, 0.0)
    return case.read_landmarks().transformed(upwards)


def templates_of(dataset: Dataset) -> dict[str, Template]:
    """The templates of the pack by name, ready to be laid upon brains."""
    landmarks = {case.name: fiducials(case) for case in dataset.cases}
    brains = {case.name: Brain.of(case.read_volume(), landmarks[case.name]) for case in dataset.cases}
    return {
        name: Template.of_brain(brain, landmarks[name].to_array(dataset.labels), brains[BEST_STRIPPED])
        for name, brain in brains.items()
    }


def labelled_subjects(
    cases: Iterable[tuple[str, Case]], templates: Mapping[str, Template], numbers: Sequence[str]
) -> Iterable[LabelledCase]:
    """Scans, each with its split, and where every template lays its landmarks, NaN where it had better not.

    `numbers` are the pack's labels of the landmarks.
    """
    is_carried = {name: ~np.isin(numbers, _OF_NOBODY_ELSE.get(name, ())) for name in templates}
    for split, case in cases:
        volume = case.read_volume()
        brain = Brain.of(volume, case.read_landmarks())
        carried = {
            name: np.where(is_carried[name][:, None], carried_bent(template, brain), np.nan)
            for name, template in templates.items()
        }
        yield LabelledCase(split, case.name, replace(volume, name=case.name), carried)


def bent_copies(case: Case, dataset: Dataset) -> Iterable[LabelledCase]:
    """Copies of a template with another anatomy, contrast and noise; its landmarks are bent with it."""
    volume, landmarks = case.read_volume(), fiducials(case)
    augmenter = Augmenter(_BENT, _PREPROCESSING, dimension=3)
    generator = np.random.default_rng([*case.name.encode()])
    for split, count in _COPIES.items():
        for number in range(1, count + 1):
            variant = augmenter(volume, landmarks, generator)
            bent = _shown(variant, f"{case.name}_{split}{number}")
            positions = variant.landmarks.to_array(dataset.labels)
            yield LabelledCase(split, _kin(case.name), bent, {case.name: positions})


def _shown(variant: Variant, name: str) -> Volume:
    """What a variant shows, in bytes."""
    grid_to_frame = np.diag([*variant.canonical.spacing_mm, 1.0])
    grid_to_frame[:3, 3] = -variant.canonical.origin_ijk * variant.canonical.spacing_mm
    voxels = np.round(255 * variant.windowed).astype(np.uint8)
    return Volume(voxels, variant.canonical.frame_to_ras @ grid_to_frame, name)


def _kin(template: str) -> str:
    """Who is seen in a template, so that no fold is held out from its own kind."""
    return _AVERAGES if template.startswith(_AVERAGES) else template


def write_dataset(
    folder: Path, cases: Iterable[LabelledCase], description: DatasetDescription, without: Collection[str]
) -> None:
    """Write the cases with a truth that owes nothing to some templates, as a dataset folder."""
    labels = [definition.label for definition in description.definitions]
    splits: dict[str, list[str]] = {"train": [], "validation": []}
    subjects = {}
    for case in cases:
        truth = case.truth(without)
        if truth is not None:
            name = add_case(folder, case.volume, LandmarkSet.from_array(labels, truth), description.definitions)
            splits[case.split].append(name)
            subjects[name] = case.subject
    complete = replace(description, splits=splits, subjects=subjects)
    write_description(folder, description_to_json(complete))


def description_of(afids: Dataset, brain: Dataset) -> DatasetDescription:
    """What the written datasets say of themselves."""
    return DatasetDescription(
        name="brain-t1-afids",
        modality=brain.modality,
        definitions=readable(afids),
        licence=f"Scans: {brain.licence} Templates: {afids.licence}",
        source=f"{brain.source}; {afids.source}",
        citation=f"{brain.citation}; {afids.citation}",
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and write the datasets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the packs afids and brain")
    parser.add_argument("output", type=Path)
    parser.add_argument("--subjects", type=int, default=20, metavar="N", help="scans to train with")
    asked = parser.parse_args(arguments)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)  # lest the sums, and so the truth, depend on the machine
    afids, brain = Dataset.load(asked.data / "afids"), Dataset.load(asked.data / "brain")
    scans = [("train", case) for case in brain.split("train")[: asked.subjects]]
    scans += [("validation", case) for case in brain.split("validation")[:_VALIDATION_SUBJECTS]]
    templates = templates_of(afids)
    cases = list(
        tqdm(labelled_subjects(scans, templates, afids.labels), total=len(scans), desc="Registering", unit="scan")
    )
    for case in afids.cases:
        cases.extend(bent_copies(case, afids))
    description = description_of(afids, brain)
    for name, without in {"all": (), **HELD_OUT}.items():
        write_dataset(asked.output / name, cases, description, without)


if __name__ == "__main__":
    main()
