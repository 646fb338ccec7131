"""Train a method on a dataset, measure it, and add the row to results.csv; what is there already is left alone.

    python Testing/benchmarks/record_training.py METHOD DATASET [--preset quick] [--config FILE] [--split validation]
    python Testing/benchmarks/record_training.py METHOD DATASET --folds 5
    python Testing/benchmarks/record_training.py METHOD DATASET --fold 1/3 --seed 1 [--option rule=A]

With folds, every case of train and validation is measured by a model that has not seen it; with one fold there is no
other model, and the cases held out are measured alone. Options change how a model detects: it is not trained again.
A training that was interrupted goes on where it stopped when the command is given again, and a bundle that is there is
not trained again: to measure it on another split takes minutes. One that fails adds no row.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from case_errors import CASE_ERRORS, add_case_errors, errors_of_report
from measuring import in_fresh_process, most_resident_mb
from training_results import (
    RESULTS,
    Key,
    TrainingResult,
    add_result,
    fold_name,
    read_results,
    recipe_name,
    sdr_text,
)

from LandmarkDetectionLib.commands.arguments import key_and_value
from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.atomic import whole_file
from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.models.bundle import load_bundle
from LandmarkDetectionLib.models.bundle_files import CARD_FILE, WEIGHTS_FILE
from LandmarkDetectionLib.training.folders import fold_files, work_folder
from LandmarkDetectionLib.training.log_files import CHECKPOINT_FILE, LOG_FILE, TrainingProgress, read_progress
from LandmarkDetectionLib.training.registry import METHODS

if TYPE_CHECKING:
    from LandmarkDetectionLib.training.folds import Fold

# What only training and evaluation need is imported there: the process whose memory is measured imports this file too.

REPOSITORY = Path(__file__).resolve().parents[2]
TRAININGS = REPOSITORY / "trainings"
_SEED_OF_FOLDS = 0
"""The cases are divided alike whatever the seed of a training."""


@dataclass(frozen=True)
class Plan:
    """What is to be trained and measured.

    Attributes:
        method, data: to train with, and folder or packed file to train on.
        dataset: as the data call themselves.
        split: measured on.
        preset, config, seed: of the training.
        folder: for bundles and reports.
        folds: how many; None for no cross-validation.
        fold: which of how many is trained alone, if one is.
        options: of the detector, in place of the card's.
    """

    method: str
    data: Path
    dataset: str
    split: str
    preset: str
    config: Path | None
    seed: int
    folder: Path
    folds: int | None = None
    fold: tuple[int, int] | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def training_recipe(self) -> str:
        """The preset, and what changes it."""
        return recipe_name(self.preset, self.config)

    @property
    def recipe(self) -> str:
        """That of the training, and what is changed for detection."""
        return recipe_name(self.preset, self.config, self.options)

    @property
    def key(self) -> Key:
        """Of its row."""
        return self.method, self.dataset, self.split, self.recipe, self.seed

    @property
    def bundle(self) -> Path:
        """Where the model is, or will be; whatever it is measured on."""
        name = f"{self.dataset}-{self.method}-{self.training_recipe}-seed{self.seed}".lower()
        if self.fold is not None:
            name += f"-{self.split}"
        return self.folder / "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in name).split())

    @property
    def work(self) -> Path:
        """Where its training keeps checkpoints and logs, and those of folds."""
        return work_folder(self.bundle)

    @property
    def fold_report(self) -> Path:
        """What the cross-validation found."""
        from LandmarkDetectionLib.training.cross_report import report_of_folds

        return report_of_folds(self.bundle)

    @property
    def report_folder(self) -> Path:
        """Where the report lies that the row is made of."""
        if self.folds is not None:
            return self.fold_report.parent
        measured = [self.split.replace(" ", "-"), *(f"{name}={value}" for name, value in self.options.items())]
        return self.bundle.with_name(".".join([self.bundle.name, *measured]))

    @property
    def cases(self) -> Fold | None:
        """Those of the fold that is trained alone, if one is."""
        from LandmarkDetectionLib.training.cross_validation import folds_of

        if self.fold is None:
            return None
        number, count = self.fold
        return folds_of(Dataset.load(self.data), count, _SEED_OF_FOLDS)[number - 1]


def record(plan: Plan, results: Path = RESULTS) -> TrainingResult | None:
    """Train, measure, add the row, and the errors of its cases beside it; None if it is there.

    Raises:
        LandmarkDetectionError: if the training or a detection fails.
    """
    if any(result.key == plan.key for result in read_results(results)):
        return None
    began = _train(plan)
    report = _measure(plan) if plan.folds is None else json.loads(plan.fold_report.read_text(encoding="utf-8"))
    if report["failed"]:
        message = f"{len(report['failed'])} cases failed, the first one: {report['failed'][0]['message']}"
        raise LandmarkDetectionError(message)
    overall = report["overall"]
    trainings = _progress(plan)
    result = TrainingResult(
        *plan.key,
        minutes=round(sum(training.minutes for training in trainings), 1),
        steps=sum(training.step for training in trainings),
        cores=torch.get_num_threads(),
        cases=report["cases"],
        points=overall["points"],
        **{name: round(overall[name], 4) for name in ("mre_mm", "sd_mm", "median_mm")},
        sdr=sdr_text(overall["sdr"]),
        mean_position_mm=round(report["mean_position_baseline"]["mre_mm"], 4),
        moved_mean_shape_mm=round(report["translated_mean_shape_oracle"]["mre_mm"], 4),
        seconds=round(overall["seconds_per_case"], 3),
        peak_mb=round(in_fresh_process(peak_of_detection_mb, plan.bundle, plan.data, plan.options)),
        weights_mb=round((plan.bundle / WEIGHTS_FILE).stat().st_size / 1e6, 2),
        **began,
    )
    add_case_errors(plan.key, errors_of_report(plan.report_folder), results.with_name(CASE_ERRORS.name))
    add_result(result, results)
    return result


def _train(plan: Plan) -> dict[str, str]:
    """Train where there is no bundle, or no cross-validation; says when that began, and of which commit."""
    note = plan.bundle.with_name(f"{plan.bundle.name}.began.json")
    if not any(plan.work.rglob(CHECKPOINT_FILE)):
        with whole_file(note) as path:
            began = {"date": datetime.date.today().isoformat(), "commit": _commit()}
            path.write_text(json.dumps(began), encoding="utf-8")
    finished = plan.bundle / CARD_FILE if plan.folds is None else plan.fold_report
    if not finished.exists():
        from LandmarkDetectionLib.training.run import train

        fold = plan.cases
        train(
            plan.data,
            plan.method,
            plan.bundle,
            preset=plan.preset,
            device="cpu",
            config=plan.config,
            resume=True,
            folds=plan.folds,
            parts=None if fold is None else (fold.training, fold.choosing),
            seed=plan.seed,
        )
    return json.loads(note.read_text(encoding="utf-8"))


def _measure(plan: Plan) -> dict[str, Any]:
    from LandmarkDetectionLib.evaluation.evaluate import evaluate_model
    from LandmarkDetectionLib.evaluation.report import format_summary

    detector = load_detector(load_bundle(plan.bundle), "cpu", plan.options)
    dataset, fold = Dataset.load(plan.data), plan.cases
    if fold is not None:
        dataset = replace(dataset, splits={"train": fold.training, plan.split: fold.held_out})
    report = evaluate_model(dataset, plan.split, detector, plan.report_folder)
    print(format_summary(report))
    return report


def _progress(plan: Plan) -> list[TrainingProgress]:
    """What all trainings reached that the model took, one after the other, or those of all folds."""
    of_folds = {log for folder in fold_files(plan.work) for log in folder.rglob(LOG_FILE)}
    logs = {*plan.work.rglob(LOG_FILE)} - of_folds if plan.folds is None else of_folds
    return [read_progress(log.parent) for log in logs]


def peak_of_detection_mb(bundle: Path, data: Path, options: Mapping[str, str]) -> float:
    """Most memory of a process that detects in the first case of a dataset, and does nothing else."""
    volume = Dataset.load(data).cases[0].read_volume()
    load_detector(load_bundle(bundle), "cpu", options).detect(volume)
    return most_resident_mb()


def _commit() -> str:
    """The commit that is checked out, "unknown" in a copy without history."""
    if not (REPOSITORY / ".git").exists():
        return "unknown"

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout

    is_changed = git("status", "--porcelain", "--untracked-files=no", "--", "LandmarkDetection")
    return git("rev-parse", "--short", "HEAD").strip() + ("+" if is_changed else "")


def planned(arguments: Sequence[str] | None = None) -> Plan:
    """The plan that a command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", metavar="METHOD", help=", ".join(METHODS))
    parser.add_argument("dataset", metavar="DATASET", type=Path, help="folder, or packed file")
    parser.add_argument("--preset", default="quick", choices=("quick", "standard", "paper"))
    parser.add_argument(
        "--config", type=Path, metavar="FILE.json", help="changes the preset; its name is part of the row"
    )
    measured = parser.add_mutually_exclusive_group()
    measured.add_argument("--split", default="test", help="to measure on (default: test)")
    measured.add_argument("--folds", type=int, metavar="N", help="measure by cross-validation instead")
    measured.add_argument("--fold", type=one_of_folds, metavar="K/N", help="train and measure on this fold alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--option", type=key_and_value, action="append", default=[], metavar="KEY=VALUE", help="of the detector"
    )
    parser.add_argument("--output", type=Path, default=TRAININGS, metavar="FOLDER", help="for bundles and reports")
    asked = parser.parse_args(arguments)
    if asked.option and asked.folds is not None:
        parser.error("the detections of a cross-validation are those of its training: leave out --option or --folds")
    return Plan(
        method=asked.method,
        data=asked.dataset,
        dataset=Dataset.load(asked.dataset).name,
        split=_split_of(asked),
        preset=asked.preset,
        config=asked.config,
        seed=asked.seed,
        folder=asked.output,
        folds=asked.folds,
        fold=asked.fold,
        options=dict(asked.option),
    )


def one_of_folds(text: str) -> tuple[int, int]:
    """Which fold of how many, from "1/3".

    Raises:
        argparse.ArgumentTypeError: if there is no such fold.
    """
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        message = f'"{text}" is not a fold such as 1/3, the first of three'
        raise argparse.ArgumentTypeError(message)
    return int(number), int(count)


def _split_of(asked: argparse.Namespace) -> str:
    """What a row calls the cases that it is measured on."""
    if asked.fold is not None:
        return fold_name(*asked.fold)
    return asked.split if asked.folds is None else f"{asked.folds} folds"


def main() -> int:
    """Parse the command line, record, and say what happened."""
    try:
        plan = planned()
        result = record(plan)
    except LandmarkDetectionError as error:
        print(f"No row was added: {error}", file=sys.stderr)
        return 1
    told = "is there already" if result is None else f"{result.mre_mm:.2f} mm, {result.minutes:.1f} minutes"
    print(f"{', '.join(map(str, plan.key))}: {told}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
