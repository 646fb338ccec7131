"""TrainingSetup: what a person chose to train, where its files lie, and the command lines that do it."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from .files.dataset import DEFAULT_SPLIT, Dataset
from .files.dataset_division import VALIDATION
from .models.bundle_files import CARD_FILE
from .models.card import ModelCard
from .models.registry import resources_folder, user_models_folder
from .training.folders import fold_bundle, is_interrupted, work_folder
from .training.lock import is_training
from .training.log_files import FOLDS_FILE, PLAN_FILE, network_folders, read_progress

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_WINDOWS_NAMES = {"con", "prn", "aux", "nul"} | {
    f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10)
}

LONGEST_NAME = 64
"""Letters of a model's name: what is made of it has to be a file's name on every system."""


def trainings_folder() -> Path:
    """Where trainings started from a panel keep their files: beside the folder of imported models."""
    return user_models_folder().with_name("trainings")


@dataclass(frozen=True)
class TrainingPart:
    """One of the trainings that make a model: those of the folds come first, then its own; each network has one.

    Attributes:
        number, count: which of how many.
        folder: of its checkpoints and log.
    """

    number: int
    count: int
    folder: Path


@dataclass(frozen=True)
class TrainingSetup:
    """What to train.

    Attributes:
        dataset: folder, or packed file.
        method, preset, device: as for `landmark-detection train`.
        name: of the new model.
        initial: name of the model whose weights to start from; empty for none.
        config: JSON file with settings that replace those of the preset; empty for none.
        folds: how many calibrate the model by cross-validation; 1 for none.
    """

    dataset: str
    method: str
    preset: str
    name: str
    device: str = "auto"
    initial: str = ""
    config: str = ""
    folds: int = 1

    @property
    def output(self) -> Path:
        """Folder of the bundle."""
        return trainings_folder() / self.name

    @property
    def work_folder(self) -> Path:
        """Of the checkpoints and the log."""
        return work_folder(self.output)

    @property
    def report_folder(self) -> Path:
        """Of the evaluation."""
        return trainings_folder() / f"{self.name}.evaluation"

    @property
    def is_trained(self) -> bool:
        """Whether there is a model."""
        return (self.output / CARD_FILE).exists()

    @property
    def part(self) -> TrainingPart:
        """The training that is under way, or comes next, or was the last."""
        folds = [fold_bundle(self.work_folder, number) for number in range(1, self.folds + 1)] if self.folds > 1 else []
        done = next((index for index, fold in enumerate(folds) if not (fold / CARD_FILE).exists()), len(folds))
        networks = network_folders([*map(work_folder, folds), self.work_folder][done])
        begun = [index for index, network in enumerate(networks) if (network / PLAN_FILE).exists()]
        current = max(begun, default=0)
        return TrainingPart(done * len(networks) + current + 1, (len(folds) + 1) * len(networks), networks[current])

    @property
    def validation_error_mm(self) -> float | None:
        """Mean error of the weights that were chosen, on the cases that chose them; None where no log says."""
        errors = [read_progress(network).best_error_mm for network in network_folders(self.work_folder)]
        return None if None in errors else sum(errors) / len(errors)

    @property
    def can_resume(self) -> bool:
        """Whether a training of this name stopped before its end."""
        return is_interrupted(self.output) and not is_training(self.work_folder)

    @property
    def folds_begun(self) -> int:
        """How many folds the training that can be resumed was begun with; 1 for none."""
        try:
            return len(json.loads((self.work_folder / FOLDS_FILE).read_text(encoding="utf-8"))["folds"])
        except (OSError, ValueError, TypeError, KeyError):
            return 1

    def training_arguments(self, *, resume: bool) -> list[str]:
        """The command that trains; unless it resumes, it forgets what an interrupted training of this name reached."""
        arguments = ["train", "--dataset", self.dataset, "--method", self.method, "--preset", self.preset]
        arguments += ["--device", self.device, "--output", str(self.output), "--json"]
        arguments.append("--resume" if resume else "--anew")
        arguments += ["--init-from", self.initial] if self.initial else []
        arguments += ["--folds", str(self.folds)] if self.folds > 1 else []
        return arguments + (["--config", self.config] if self.config else [])

    def evaluation_arguments(self, split: str) -> list[str]:
        """The command that evaluates the model."""
        arguments = ["evaluate", "--dataset", self.dataset, "--split", split, "--model", str(self.output)]
        return [*arguments, "--device", self.device, "--output", str(self.report_folder), "--json"]

    def problem(self, dataset: Dataset, initial: ModelCard | None) -> str:
        """Why this cannot be trained, as a sentence; empty if it can.

        Args:
            dataset: the one to train on.
            initial: card of the model to start from, if one is named.
        """
        if problem := self._name_problem():
            return problem
        if self.initial and initial is None:
            return f'The model "{self.initial}" to start from is no longer there: choose another.'
        return _split_problem(dataset) or ("" if initial is None else self._initial_problem(dataset, initial))

    def _name_problem(self) -> str:
        if not _NAME.fullmatch(self.name):
            return "A model's name begins with a letter or digit, and holds small letters (a-z), digits and - only."
        if len(self.name) > LONGEST_NAME:
            return f"This name is too long for a model: give it at most {LONGEST_NAME} letters."
        if self.name in _WINDOWS_NAMES:
            return f'Windows allows no file of the name "{self.name}": choose another name.'
        if (resources_folder() / "Models" / self.name).exists():
            return f'A model that is shipped with the extension is named "{self.name}": choose another name.'
        if is_training(self.work_folder):
            return f"Another program is training {self.name}: wait until it has ended, or choose another name."
        return ""

    def _initial_problem(self, dataset: Dataset, initial: ModelCard) -> str:
        if initial.method != self.method:
            return f"{initial.name} was trained with the method {initial.method}: choose that method, or another start."
        if set(initial.labels) != set(dataset.labels):
            return f"{initial.name} finds other landmarks than the dataset {dataset.name} has: choose another start."
        return ""


def suggested_name(dataset: Dataset, method: str, initial: str) -> str:
    """A name for a new model; letters lose their accents, and a long name of a dataset its end."""
    start, end = (initial, "tuned") if initial else (dataset.name, method)
    plain = unicodedata.normalize("NFKD", start).encode("ascii", "ignore").decode().lower()
    short = re.sub(r"[^a-z0-9]+", "-", plain)[: LONGEST_NAME - len(end) - 1].strip("-")
    return f"{short}-{end}" if short else end


def _split_problem(dataset: Dataset) -> str:
    if not dataset.splits.get(VALIDATION):
        return "The dataset does not say which cases choose the best weights (validation): divide it first."
    if not dataset.splits.get(DEFAULT_SPLIT):
        return 'The dataset has no cases to train on: name some in the split "train" of its dataset.json.'
    return ""
