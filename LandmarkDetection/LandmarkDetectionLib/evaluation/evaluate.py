"""Evaluation of models, or of predictions made earlier, on one split of a dataset folder."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DetectionCancelled, LandmarkDetectionError
from ..failures import unexpected_failure
from ..files.dataset import Dataset
from ..landmarks import Detection, LandmarkSet
from ..volume import Volume
from .assembly import assembled
from .baselines import mean_position_baseline, translated_mean_shape_oracle
from .comparison import compared, method_titles
from .comparison_files import method_folders, write_comparison
from .outcome import CaseOutcome, Evaluation, Study
from .plane_images import plane_image_similarities
from .predictions import FolderPredictor, HeldPredictor, ModelPredictor, Predictor
from .reference import Reference
from .report_files import write_report

if TYPE_CHECKING:
    from ..detectors.consensus_detector import AnyDetector
    from ..models.joint_card import AnyCard

ProgressCallback = Callable[[float, str], None]


def evaluate_model(
    dataset: Dataset,
    split: str,
    model: AnyDetector | Path,
    output: Path,
    *,
    seed: int = 0,
    progress: ProgressCallback | None = None,
) -> dict[str, Any]:
    """Evaluate as `evaluate` does, and write the report: see `write_report`.

    Args:
        output: folder for the report; made if need be.

    Returns:
        The contents of report.json.

    Raises:
        LandmarkDetectionError: as `evaluate`, or if the output cannot be written.
    """
    predictor = _predictor(model, seed)
    reference = Reference.load(dataset, split, _common_labels(dataset, predictor))
    _check_writable(output)
    evaluation = _evaluate(reference, predictor, progress)
    write_report(evaluation, output)
    return dict(evaluation.report)


def evaluate_models(
    dataset: Dataset,
    split: str,
    models: Sequence[AnyDetector | Path],
    output: Path,
    *,
    seed: int = 0,
    progress: ProgressCallback | None = None,
) -> dict[str, Any]:
    """Evaluate several models on the same cases, and write each one's report and their comparison.

    Args:
        models: detectors, or folders with one prediction a case.
        output: folder for the comparison; each report lies in a folder of the model's name in it, and is written as
            soon as its model is done.

    Returns:
        The contents of the comparison's report.json.

    Raises:
        LandmarkDetectionError: as `evaluate`, if the models have no landmark in common, or if the output cannot be
            written.
    """
    predictors = [_predictor(model, seed) for model in models]
    references = [Reference.load(dataset, split, _common_labels(dataset, one)) for one in predictors]
    titles = method_titles([predictor.identity() for predictor in predictors])
    evaluations = {}
    _check_writable(output)
    for index, (title, folder) in enumerate(method_folders(titles).items()):
        tell = progress and (lambda done, text, index=index: progress((index + done) / len(models), text))
        evaluations[title] = _evaluate(references[index], predictors[index], tell)
        write_report(evaluations[title], output / folder)
    comparison = compared(evaluations)
    write_comparison(comparison, output)
    return dict(comparison.report)


def evaluate(
    dataset: Dataset,
    split: str,
    model: AnyDetector | Path,
    *,
    seed: int = 0,
    progress: ProgressCallback | None = None,
) -> Evaluation:
    """Compare a model with the truth, and with what needs no model.

    A case that cannot be read or detected never stops the others: it counts as failed, with its message.

    Args:
        dataset: where the volumes and the truth are; its split "train" gives the baselines.
        split: the split to evaluate.
        model: a detector, or a folder with one prediction a case.
        seed: of every detection.
        progress: called with a fraction from 0 to 1 and a text.

    Raises:
        LandmarkDetectionError: if the split is not there or has no truth, or the model knows none of its landmarks.
    """
    predictor = _predictor(model, seed)
    return _evaluate(Reference.load(dataset, split, _common_labels(dataset, predictor)), predictor, progress)


def evaluate_predictions(reference: Reference, detections: Mapping[str, Detection], card: AnyCard) -> Evaluation:
    """Compare detections that were made earlier with the truth, for example those of one fold of a cross-validation.

    Args:
        reference: the cases and the landmarks; their images are read again, to know which truths they show.
        detections: by the name of the case; a case without one counts as failed.
        card: of the model that made them.
    """
    return _evaluate(reference, HeldPredictor(detections, card), None)


def _predictor(model: AnyDetector | Path, seed: int) -> Predictor:
    return FolderPredictor(model) if isinstance(model, Path) else ModelPredictor(model, seed)


def _evaluate(reference: Reference, predictor: Predictor, progress: ProgressCallback | None) -> Evaluation:
    outcomes = list(_evaluate_cases(reference, predictor, progress or (lambda _fraction, _text: None)))
    return assembled(_study(reference, predictor), _with_baselines(reference, outcomes))


def _study(reference: Reference, predictor: Predictor) -> Study:
    dataset = reference.dataset
    return Study(
        dataset=dataset.name,
        dataset_path=str(dataset.path.resolve()),
        split=reference.split,
        dimension=dataset.dimension,
        labels=reference.labels,
        unknown_labels=tuple(label for label in dataset.labels if label not in reference.labels),
        interchangeable=dataset.interchangeable,
        thresholds_mm=dataset.sdr_thresholds_mm,
        observers=tuple(reference.observers),
        model=predictor.identity(),
        planes=tuple(predictor.planes),
        measurements=tuple(predictor.measurements),
    )


def _common_labels(dataset: Dataset, predictor: Predictor) -> tuple[str, ...]:
    labels = predictor.known_labels(dataset.labels)
    if not labels:
        name = predictor.identity().name
        message = f"The model {name} finds none of the landmarks of {dataset.name}: choose a model made for them."
        raise LandmarkDetectionError(message)
    return labels


def _check_writable(output: Path) -> None:
    """Find out before the long work whether its result can be written."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=output).close()
    except OSError as error:
        message = f"{output} cannot be written to ({error.strerror}): choose a folder you may write to."
        raise LandmarkDetectionError(message) from error


def _evaluate_cases(reference: Reference, predictor: Predictor, progress: ProgressCallback) -> Iterator[CaseOutcome]:
    for index, (case, truth) in enumerate(zip(reference.cases, reference.truths, strict=True)):
        progress(index / len(reference.cases), case.name)
        readings = {name: sets[index] for name, sets in reference.observers.items()}
        yield _evaluate_case(CaseOutcome(case, truth, truth, readings), predictor)
    progress(1.0, "Writing the report")


def _evaluate_case(outcome: CaseOutcome, predictor: Predictor) -> CaseOutcome:
    """The outcome of a case with all that its volume is needed for."""
    try:
        volume = outcome.case.read_volume()
        outcome = dataclasses.replace(outcome, counted_truth=_inside(volume, outcome.truth))
        prediction = predictor.predict(outcome.case.name, volume)
        outcome = dataclasses.replace(outcome, prediction=prediction)
        return dataclasses.replace(
            outcome,
            shape_space_mm=predictor.shape_space_error_mm(volume, outcome.counted_truth),
            plane_images=plane_image_similarities(volume, predictor.planes, outcome.truth, prediction.positions),
        )
    except DetectionCancelled:
        raise
    except LandmarkDetectionError as error:
        return dataclasses.replace(outcome, message=str(error))
    except Exception as error:
        return dataclasses.replace(outcome, message=unexpected_failure(error))


def _inside(volume: Volume, truth: LandmarkSet) -> LandmarkSet:
    present = truth.present
    is_inside = volume.contains(truth.to_array(present))
    return LandmarkSet({label: truth[label] for label, inside in zip(present, is_inside, strict=True) if inside})


def _with_baselines(reference: Reference, outcomes: Sequence[CaseOutcome]) -> list[CaseOutcome]:
    if not reference.training:
        return list(outcomes)
    truths = [outcome.counted_truth for outcome in outcomes]
    means = mean_position_baseline(reference.training, truths)
    oracles = translated_mean_shape_oracle(reference.training, truths)
    return [
        dataclasses.replace(outcome, mean_position=mean, oracle=oracle)
        for outcome, mean, oracle in zip(outcomes, means, oracles, strict=True)
    ]
