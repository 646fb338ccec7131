"""How the bundled models were made: their data, their trainings, their final measurement.

    python Testing/benchmarks/shipped_models.py train NAME --data FOLDER --output FOLDER
    python Testing/benchmarks/shipped_models.py release NAME --data FOLDER --trained FOLDER
    python Testing/benchmarks/shipped_models.py describe NAME

`train` writes a bundle for a dataset folder (for fetal-phantom-3d it simulates the dataset first, where there is none).
`release` measures it once on the test split, writes that into its card, and puts it among the bundled models.
`describe` writes the texts of its recipe, which may have been corrected since, into the card of a bundled model.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from LandmarkDetectionLib.detectors.multiscale_locnet import with_members
from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.evaluation.evaluate import evaluate_model
from LandmarkDetectionLib.evaluation.report import format_summary
from LandmarkDetectionLib.files.atomic import whole_file
from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.measurements import MeasurementDefinition
from LandmarkDetectionLib.models.bundle import load_bundle, save_bundle
from LandmarkDetectionLib.models.bundle_files import CARD_FILE
from LandmarkDetectionLib.models.card import Accuracy, ModelCard, ResourceNeeds
from LandmarkDetectionLib.models.record import record_to_json
from LandmarkDetectionLib.phantom import write_phantom_dataset
from LandmarkDetectionLib.planes import PlaneDefinition
from LandmarkDetectionLib.standard_definitions import (
    BRAIN_MEASUREMENTS,
    BRAIN_PLANES,
    CEPHALOGRAM_MEASUREMENTS,
    FETAL_HEAD_2D_MEASUREMENTS,
    FETAL_HEAD_MEASUREMENTS,
    FETAL_HEAD_PLANES,
)
from LandmarkDetectionLib.training.cross_report import report_of_folds
from LandmarkDetectionLib.training.folders import fold_bundle, work_folder
from LandmarkDetectionLib.training.run import train

RECIPES = Path(__file__).with_name("recipes")
BUNDLED = Path(__file__).resolve().parents[2] / "LandmarkDetection" / "LandmarkDetectionLib" / "Resources" / "Models"
PHANTOM_CASES = {"train": 480, "validation": 12, "test": 50}
PHANTOM_SPACING_MM = {"train": 1.0, "validation": 1.0, "test": 0.5}
"""Tested at the paper's spacing, trained at one that is faster to simulate."""


@dataclass(frozen=True)
class ShippedModel:
    """What a card holds beyond its recipe, and how it is made.

    Attributes:
        planes, measurements: of the card.
        sample: path of the image it is shown on, among the resources.
        method: of the training.
        folds: that calibrate it.
        is_cross_validated: whether the folds count before the test split, which has too few cases.
        has_folds_as_members: whether the networks of the folds look along with the final one.
    """

    planes: tuple[PlaneDefinition, ...] = ()
    measurements: tuple[MeasurementDefinition, ...] = ()
    sample: str | None = None
    method: str = "pin"
    folds: int | None = None
    is_cross_validated: bool = False
    has_folds_as_members: bool = False


SHIPPED = {
    "brain-t1": ShippedModel(BRAIN_PLANES, BRAIN_MEASUREMENTS, "Samples/brain-t1.nii.gz", "multiscale-locnet", 3),
    "brain-t1-pin": ShippedModel(BRAIN_PLANES, BRAIN_MEASUREMENTS),
    "ceph-19": ShippedModel((), CEPHALOGRAM_MEASUREMENTS, None, "multiscale-locnet", 3, has_folds_as_members=True),
    "ceph-19-global-to-local": ShippedModel((), CEPHALOGRAM_MEASUREMENTS, None, "global-to-local"),
    "fetal-head-2d": ShippedModel(
        (), FETAL_HEAD_2D_MEASUREMENTS, "Samples/fetal-head-2d.nii.gz", "multiscale-locnet", 3
    ),
    "lumbar-mr": ShippedModel((), (), None, "multiscale-locnet", 3, is_cross_validated=True),
    "mouse-skull-ct": ShippedModel((), (), None, "global-to-local", 5, is_cross_validated=True),
    "fetal-phantom-3d": ShippedModel(FETAL_HEAD_PLANES, FETAL_HEAD_MEASUREMENTS, "Samples/fetal-phantom-3d.nii.gz"),
}


def train_shipped(name: str, data: Path, output: Path) -> None:
    """Train one of the bundled models on its dataset folder."""
    if name == "fetal-phantom-3d" and not data.exists():
        write_phantom_dataset(data, PHANTOM_CASES, 1000, PHANTOM_SPACING_MM, averaged_share=0.34)
    refinement = RECIPES / f"{name}.refined.json"
    first = output.with_name(f"{output.name}-first") if refinement.exists() else output
    shipped = SHIPPED[name]
    card = train(data, shipped.method, first, config=RECIPES / f"{name}.json", folds=shipped.folds, resume=True)
    if refinement.exists():
        card = train(data, shipped.method, output, config=refinement, init_from=first, seed=1, resume=True)
    print(card.training.notes)


def release(name: str, data: Path, trained: Path) -> None:
    """Measure a trained bundle on the test split and put it, with all accuracies, among the bundled models."""
    bundle = load_bundle(trained)
    if SHIPPED[name].has_folds_as_members:
        folds = [load_bundle(fold_bundle(work_folder(trained), number)) for number in range(1, SHIPPED[name].folds + 1)]
        bundle = with_members(bundle, folds)
    bundle = dataclasses.replace(bundle, card=_described(name, bundle.card))
    dataset = Dataset.load(data)
    with tempfile.TemporaryDirectory() as folder:
        report = evaluate_model(dataset, "test", load_detector(bundle, "cpu"), Path(folder))
    print(format_summary(report))
    reports = [report]
    if SHIPPED[name].is_cross_validated:
        reports.insert(0, json.loads(report_of_folds(trained).read_text(encoding="utf-8")))
    accuracy = tuple(_accuracy(report) for report in reports)
    card = dataclasses.replace(bundle.card, accuracy=accuracy, resources=_resources(report["overall"]))
    card = save_bundle(BUNDLED / name, card, bundle.tensors)
    _register(name, card)


def describe(name: str) -> None:
    """Write the texts of its recipe into the card of a bundled model."""
    bundle = load_bundle(BUNDLED / name)
    card = ModelCard.from_json({**bundle.card.to_json(), **_recipe(name)["card"]}, f"recipe {name}")
    save_bundle(BUNDLED / name, card, bundle.tensors)


def _described(name: str, card: ModelCard) -> ModelCard:
    """The card with the texts of its recipe, its planes and its measurements."""
    recipe = _recipe(name)
    shipped = SHIPPED[name]
    changes = {
        **recipe["card"],
        "name": name,
        "inference": {**card.inference, **recipe.get("inference", {})},
        "preprocessing": {**card.to_json()["preprocessing"], **recipe.get("preprocessing", {})},
        "planes": [record_to_json(plane) for plane in shipped.planes],
        "measurements": [record_to_json(measurement) for measurement in shipped.measurements],
    }
    return ModelCard.from_json({**card.to_json(), **changes}, f"recipe {name}")


def _recipe(name: str) -> dict[str, Any]:
    return json.loads((RECIPES / f"{name}.json").read_text(encoding="utf-8"))


def _accuracy(report: dict[str, Any]) -> Accuracy:
    overall = report["overall"]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    return Accuracy(
        dataset=report["dataset"],
        split=report["split"],
        cases=report["cases"],
        landmarks=report["landmarks"],
        mre_mm=round(overall["mre_mm"], 3),
        median_mm=round(overall["median_mm"], 3),
        sd_mm=round(overall["sd_mm"], 3),
        sdr={limit: round(share, 4) for limit, share in overall["sdr"].items()},
        mean_position_mre_mm=round(report["mean_position_baseline"]["mre_mm"], 3),
        commit=commit.stdout.strip(),
    )


def _resources(overall: dict[str, Any]) -> ResourceNeeds:
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return ResourceNeeds(cpu_seconds=round(overall["seconds_per_case"], 3), gpu_seconds=None, memory_mb=round(peak_mb))


def _register(name: str, card: ModelCard) -> None:
    registry = BUNDLED / "registry.json"
    content = json.loads(registry.read_text(encoding="utf-8"))
    others = [entry for entry in content["models"] if entry["name"] != name]
    entry = {"name": name, "folder": name, "weights_sha256": card.weights_sha256, "sample": SHIPPED[name].sample}
    content["models"] = sorted([*others, entry], key=lambda one: one["name"])
    with whole_file(registry) as path:
        Path(path).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    training, releasing, describing = (actions.add_parser(name) for name in ("train", "release", "describe"))
    for action in (training, releasing):
        action.add_argument("name", choices=list(SHIPPED))
        action.add_argument("--data", type=Path, required=True, help="folder of the dataset")
    training.add_argument("--output", type=Path, required=True, help="folder of the new bundle")
    releasing.add_argument("--trained", type=Path, required=True, help="folder of the trained bundle")
    describing.add_argument("name", choices=sorted(card.parent.name for card in BUNDLED.glob(f"*/{CARD_FILE}")))
    arguments = parser.parse_args()
    if arguments.action == "train":
        train_shipped(arguments.name, arguments.data, arguments.output)
    elif arguments.action == "release":
        release(arguments.name, arguments.data, arguments.trained)
    else:
        describe(arguments.name)


if __name__ == "__main__":
    main()
