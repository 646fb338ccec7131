"""Training from a dataset to a model bundle."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..detectors.pose import PoseTemplate
from ..detectors.registry import load_detector, resolve_device
from ..detectors.weights import TEMPLATE
from ..errors import LandmarkDetectionError
from ..files.dataset import Dataset
from ..files.dataset_check import missing_splits
from ..models.bundle import ModelBundle, load_bundle, save_bundle
from ..models.bundle_files import check_bundle_folder
from ..models.calibration import Calibration
from ..models.card import ModelCard
from ..models.record import parse_record
from ..preprocessing import Preprocessing, canonical_size_mm
from .cases import CaseReader, TrainingCase
from .cross_report import calibration_of, write_cross_validation
from .cross_validation import folds_begun, forget_folds, plan_folds, run_folds
from .fingerprint import training_fingerprint
from .folders import forget_training, is_interrupted, work_folder
from .folds import Fold
from .job import TrainingJob, mean_position_error_mm
from .lock import is_training, training_lock
from .method import TrainingMethod
from .pose_template import all_posed, pose_template
from .ranks import Ranks, all_ranks, check_devices
from .recipe import TrainingRecipe, load_recipe
from .registry import METHODS

_RANK = f"{__package__}.rank"
"""What the other processes of a training on several devices run."""


def train(
    dataset_folder: Path | str,
    method: str,
    output: Path | str,
    *,
    preset: str = "standard",
    device: str = "auto",
    config: Path | str | None = None,
    resume: bool = False,
    anew: bool = False,
    init_from: Path | str | None = None,
    folds: int | None = None,
    parts: tuple[Sequence[str], Sequence[str]] | None = None,
    seed: int = 0,
) -> ModelCard:
    """Train a model on the train split of a dataset, choosing the best weights on its validation split.

    Checkpoints and logs lie beside the bundle, in a folder of its name with ".training" added. With folds, so many more
    models are trained first, for the cross-validation that calibrates this one: see `cross_validation`.

    Args:
        dataset_folder: or a packed file, with the splits train and validation.
        method: one of `registry.METHODS`.
        output: folder of the new bundle; its name becomes the model's name.
        preset: "quick", "standard" or "paper".
        device: "auto", "cpu", "cuda" or "mps".
        config: JSON file that changes entries of the preset.
        resume: go on with an interrupted training of the same output.
        anew: forget such a training, once all that this call names has proved usable.
        init_from: bundle of the same method and landmarks whose weights to start from.
        folds: how many; None for no cross-validation, or for that of the training to go on with.
        parts: names of the cases that train and of those that choose the weights, in place of the dataset's splits.
        seed: of all randomness.

    Returns:
        The card of the new bundle.

    Raises:
        LandmarkDetectionError: if the call, the dataset or the configuration is not usable, the same output is being
            trained already, or a new training would overwrite what an interrupted one has reached.
    """
    request = TrainingRequest(
        dataset=str(dataset_folder),
        method=method,
        output=str(Path(output).absolute()),
        preset=preset,
        device=device,
        config=None if config is None else str(config),
        resume=resume,
        init_from=None if init_from is None else str(init_from),
        seed=seed,
        parts=parts,
    )
    if not (resume or anew):
        _check_is_free(request)
    plan = _Plan.of(request)
    check_devices(plan.device, plan.recipe.optimisation.devices)
    with _work_folder(request) as work, training_lock(work):
        if anew:
            forget_training(work)
        if not resume:
            forget_folds(work)
        elif folds is None:
            folds = folds_begun(work)
        calibration = None if folds is None else plan.cross_validated(folds)
        return plan.trained(calibration)


@dataclass(frozen=True)
class TrainingRequest:
    """The arguments of `train`, in words that another process can be told."""

    dataset: str
    method: str
    output: str
    preset: str
    device: str
    config: str | None
    resume: bool
    init_from: str | None
    seed: int
    parts: tuple[Sequence[str], Sequence[str]] | None = None

    @property
    def work_folder(self) -> Path:
        """For checkpoints and logs."""
        return work_folder(Path(self.output))


def take_part(request: TrainingRequest, ranks: Ranks) -> None:
    """Train in step with the process that called `train`, and write nothing."""
    plan = _Plan.of(request)
    plan.method.train(plan.job(ranks))


@dataclass(frozen=True)
class _Plan:
    """All that a request names, found and checked before any image is read."""

    request: TrainingRequest
    method: TrainingMethod
    recipe: TrainingRecipe
    device: torch.device
    dataset: Dataset
    reader: CaseReader
    initial: ModelBundle | None

    @classmethod
    def of(cls, request: TrainingRequest) -> _Plan:
        method = load_method(request.method)
        recipe = load_recipe(method, request.preset, request.config)
        device = resolve_device(request.device)
        dataset = Dataset.load(request.dataset)
        _check_is_divided(dataset)
        initial = None if request.init_from is None else load_bundle(request.init_from)
        if initial is not None:
            _check_same_task(initial, request.method, dataset)
        return cls(request, method, recipe, device, dataset, CaseReader(dataset), initial)

    def job(self, ranks: Ranks) -> TrainingJob:
        """Read the cases."""
        cases, validation = self._parts()
        asked, name = self.request, Path(self.request.output).name
        if self.initial is None:
            card = draft_card(self.dataset, cases, self.recipe, method=asked.method, name=name, preset=asked.preset)
        else:
            card = _card_of_continuation(self.initial.card, name, asked.preset, self.dataset, cases)
        template = self._template(card, cases)
        if template is not None:
            # The networks need not know how the volumes lay before.
            card = _with_pose_spacing(card, 0.0)
            cases, validation = (all_posed(some, template) for some in (cases, validation))
        return TrainingJob(
            card,
            cases,
            validation,
            self.recipe,
            self.device,
            asked.work_folder,
            resume=asked.resume,
            initial=self.initial,
            seed=asked.seed + ranks.number,
            template=template,
            ranks=ranks,
        )

    def trained(self, calibration: Calibration | None = None) -> ModelCard:
        """Train the model and write its bundle."""
        request, devices = self.request, self.recipe.optimisation.devices
        with (
            _work_folder(request) as work,
            all_ranks(_RANK, dataclasses.asdict(request), count=devices, device=self.device, folder=work) as ranks,
        ):
            job = self.job(ranks)
            trained = self.method.train(job)
        chosen = " that chose the weights" if trained.has_chosen_weights else ""
        notes = (
            f"Mean error on the {len(job.validation)} validation cases{chosen}: "
            f"{trained.validation_error_mm:.2f} mm; of the mean position of the training cases, which sees no image: "
            f"{mean_position_error_mm(job.cases, job.validation, trained.card):.2f} mm."
        )
        training = dataclasses.replace(trained.card.training, notes=notes)
        card = dataclasses.replace(trained.card, training=training, calibration=calibration)
        tensors = {name: _stored(tensor) for name, tensor in trained.tensors.items()}
        if job.template is not None:
            card = _with_pose_spacing(card, job.template.preprocessing.pose_spacing_mm)
            tensors[TEMPLATE] = torch.from_numpy(job.template.voxels)
        return save_bundle(request.output, card, tensors)

    def cross_validated(self, count: int) -> Calibration:
        """Train and judge the models of all folds; the calibration that follows."""
        folder, seed = self.request.work_folder, self.request.seed
        if self.initial is not None and _origin(self.dataset) in self.initial.card.training.data:
            message = (
                f"The model {self.initial.card.name} was trained on these data, so that no fold could be held out from "
                "it; leave out --folds, or start from another model."
            )
            raise LandmarkDetectionError(message)
        fingerprint = training_fingerprint(self.request.method, self.recipe, self.initial, self.dataset)
        folds = plan_folds(self.dataset, count, folder, seed, fingerprint)

        def train_model(fold: Fold, output: Path) -> None:
            request = dataclasses.replace(self.request, output=str(output), parts=(fold.training, fold.choosing))
            dataclasses.replace(self, request=request).trained()

        results = run_folds(folds, self.reader, folder, device=self.device, train_model=train_model)
        write_cross_validation(self.dataset, Path(self.request.output).name, results, seed, folder)
        return calibration_of(results)

    def _template(self, card: ModelCard, cases: Sequence[TrainingCase]) -> PoseTemplate | None:
        """As which the cases are to be laid; the initial model's, if there is one."""
        if not card.preprocessing.pose_spacing_mm:
            return None
        return pose_template(cases, card.preprocessing) if self.initial is None else PoseTemplate.of(self.initial)

    def _parts(self) -> tuple[list[TrainingCase], list[TrainingCase]]:
        """The cases that train and those that choose the weights; every landmark must occur in both."""
        parts = self.request.parts
        if parts is None:
            cases = {f'its split "{split}"': self.reader.split(split) for split in ("train", "validation")}
        else:
            roles = ("what trains this fold", "what chooses the weights of this fold")
            cases = {role: self.reader.named(names) for role, names in zip(roles, parts, strict=True)}
        for role, some in cases.items():
            _check_every_landmark_occurs(self.dataset, some, role)
        return tuple(cases.values())


def load_method(name: str) -> TrainingMethod:
    """How a method is trained.

    Raises:
        LandmarkDetectionError: if it is not.
    """
    if name not in METHODS:
        message = f'There is no training for the method "{name}"; choose one of: {", ".join(METHODS)}.'
        raise LandmarkDetectionError(message)
    module, attribute = METHODS[name].split(":")
    return getattr(importlib.import_module(f".{module}", __package__), attribute)


def draft_card(
    dataset: Dataset, cases: list[TrainingCase], recipe: TrainingRecipe, *, method: str, name: str, preset: str
) -> ModelCard:
    """The card of a model to be trained: what the dataset says, what the recipe adds, what can be measured."""
    dimension = cases[0].volume.dimension
    preprocessing = {
        "orientation": "RAS" if dimension == 3 else "LPS",
        "spacing_mm": [load_method(method).spacing_mm(cases, recipe.network)] * 3,
        **recipe.preprocessing,
    }
    frame = parse_record(Preprocessing, preprocessing, "preprocessing")
    sizes = np.array([canonical_size_mm(case.volume, frame) for case in cases])
    cut_off = np.reshape(recipe.augmentation.crop_mm or np.zeros(6), (3, 2)).sum(axis=1)
    card: dict[str, Any] = {
        "format_version": 1,
        "name": name,
        "version": "1.0.0",
        "method": method,
        "modality": dataset.modality,
        "anatomy": dataset.name,
        "dimension": dimension,
        "description": f"Landmarks of the dataset {dataset.name}.",
        "landmarks": [dataclasses.asdict(definition) for definition in dataset.definitions],
        "interchangeable": [list(pair) for pair in dataset.interchangeable],
        "preprocessing": preprocessing,
        "network": recipe.network,
        "inference": recipe.inference,
        "field_of_view_mm": {"minimum": (sizes.min(0) - cut_off).tolist(), "maximum": sizes.max(0).tolist()},
        "rotation_range_deg": recipe.augmentation.rotation_deg,
        "training": {"data": _origin(dataset), "cases": len(cases), "licence": dataset.licence, "preset": preset},
        "licence": dataset.licence,
        "citation": dataset.citation,
        "limitations": "Not tested beyond the dataset it was trained on.",
        **recipe.card,
    }
    return ModelCard.from_json(json.loads(json.dumps(card)), "the new model's card")


def _origin(dataset: Dataset) -> str:
    """What a card calls the data it was trained on."""
    return dataset.source or dataset.name


def _with_pose_spacing(card: ModelCard, spacing_mm: float) -> ModelCard:
    return dataclasses.replace(card, preprocessing=dataclasses.replace(card.preprocessing, pose_spacing_mm=spacing_mm))


def _stored(tensor: Tensor) -> Tensor:
    """Half precision is exact enough for weights; counters stay whole numbers, and positions as exact as they come."""
    return (tensor.half() if tensor.dtype == torch.float32 else tensor).contiguous()


@contextlib.contextmanager
def _work_folder(request: TrainingRequest) -> Iterator[Path]:
    """The folder for checkpoints and logs, which does not stay if nothing came into it.

    Raises:
        LandmarkDetectionError: at once, not after the training, if a bundle and these files cannot be written.
    """
    output, work = Path(request.output), request.work_folder
    check_bundle_folder(output)
    try:
        work.mkdir(parents=True, exist_ok=True)
        for folder in (output.parent, work):
            with tempfile.TemporaryFile(dir=folder):
                pass
    except OSError as error:
        message = f"{output}: nothing can be written there ({error.strerror or error}); choose another output."
        raise LandmarkDetectionError(message) from error
    try:
        yield work
    finally:
        with contextlib.suppress(OSError):
            work.rmdir()


def _check_is_free(request: TrainingRequest) -> None:
    if is_interrupted(Path(request.output)) and not is_training(request.work_folder):
        message = (
            f"{request.work_folder} holds a training that stopped before its end; go on with it by --resume, or forget "
            "what it has reached by --anew."
        )
        raise LandmarkDetectionError(message)


def _check_is_divided(dataset: Dataset) -> None:
    """Before any image is read."""
    purposes = {"train": "are to learn from", "validation": "choose the best weights"}
    for name in filter(purposes.get, missing_splits(dataset)):
        message = (
            f'{dataset.path}: it does not say which cases {purposes[name]}; name them as "{name}" under "split" in its '
            "dataset.json."
        )
        raise LandmarkDetectionError(message)


def _check_every_landmark_occurs(dataset: Dataset, cases: Sequence[TrainingCase], where: str) -> None:
    for definition in dataset.definitions:
        if not any(definition.label in case.landmarks.present for case in cases):
            message = (
                f'{dataset.path}: no case of {where} has the landmark "{definition.label}"; place it in some, or take '
                "it out of dataset.json."
            )
            raise LandmarkDetectionError(message)


def _check_same_task(bundle: ModelBundle, method: str, dataset: Dataset) -> None:
    card = bundle.card
    if card.method != method or set(card.labels) != {definition.label for definition in dataset.definitions}:
        message = (
            f"The model {card.name} cannot be trained further here: its method ({card.method}) or its landmarks "
            "differ; choose a model of the same method and landmarks."
        )
        raise LandmarkDetectionError(message)
    # A bundle that detects has all that a training starts from.
    load_detector(bundle, "cpu")


def _card_of_continuation(
    card: ModelCard, name: str, preset: str, dataset: Dataset, cases: list[TrainingCase]
) -> ModelCard:
    """The card of a model that starts from another: the same frame, network and shape model, nothing measured yet."""
    training = dataclasses.replace(
        card.training,
        data=f"{card.training.data}; then {_origin(dataset)}",
        cases=card.training.cases + len(cases),
        licence=f"{card.training.licence}; then {dataset.licence}",
        preset=preset,
    )
    return dataclasses.replace(card, name=name, training=training, accuracy=(), calibration=None)
