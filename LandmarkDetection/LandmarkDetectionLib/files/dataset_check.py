"""Every problem of a dataset folder that would spoil training or evaluation, by case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from ..errors import LandmarkDetectionError
from ..geometry import FloatArray
from ..landmarks import LandmarkDefinition, LandmarkSet
from .dataset import DEFAULT_SPLIT, Case, Dataset
from .dataset_division import TEST, VALIDATION

_CASE_OF_THE_FOLDER = ""


@dataclass(frozen=True)
class Problem:
    """What is wrong, in a sentence, and with which case; an empty case means the folder as a whole."""

    case: str
    message: str


def check_dataset(folder: Path | str) -> list[Problem]:
    """Read everything in a dataset folder and list what is wrong with it, in the order of the cases.

    Raises:
        LandmarkDetectionError: if the folder is no dataset folder at all or its dataset.json is malformed.
    """
    dataset = Dataset.load(folder)
    landmarks, problems = _read_all_landmarks(dataset)
    problems += _split_problems(dataset)
    if not landmarks:
        problems.append(Problem(_CASE_OF_THE_FOLDER, "No case has landmarks that can be read: add markups files."))
    for case in dataset.cases:
        problems += _label_problems(dataset, case, landmarks.get(case.name))
        problems += _volume_problems(case, landmarks.get(case.name))
    problems += _mirrored(dataset.definitions, landmarks)
    order = {name: index for index, name in enumerate([_CASE_OF_THE_FOLDER, *(case.name for case in dataset.cases)])}
    return sorted(problems, key=lambda problem: order.get(problem.case, len(order)))


def missing_splits(dataset: Dataset) -> list[str]:
    """The splits that training and evaluation ask for, and that a dataset says nothing of."""
    return [name for name in (DEFAULT_SPLIT, VALIDATION, TEST) if not dataset.splits.get(name)]


def _read_all_landmarks(dataset: Dataset) -> tuple[dict[str, LandmarkSet], list[Problem]]:
    """The reference landmarks by case, and what could not be read, those of single observers included."""
    landmarks, problems = {}, []
    for case in dataset.cases:
        for observer in (None, *dataset.observers):
            try:
                found = case.read_landmarks(observer)
            except LandmarkDetectionError as error:
                problems.append(Problem(case.name, str(error)))
                continue
            if observer is None:
                landmarks[case.name] = found
    return landmarks, problems


def _split_problems(dataset: Dataset) -> Iterator[Problem]:
    if not dataset.splits:
        return
    places = Counter(chain.from_iterable(dataset.splits.values()))
    for case in dataset.cases:
        if places[case.name] == 0:
            yield Problem(case.name, "It is in no split: add it to one, or its data are not used.")
        if places[case.name] > 1:
            yield Problem(case.name, "It is in the splits more than once: testing must not see what training saw.")


def _label_problems(dataset: Dataset, case: Case, landmarks: LandmarkSet | None) -> Iterator[Problem]:
    if landmarks is None:
        return
    known = set(dataset.labels)
    missing = [label for label in dataset.labels if landmarks.get(label) is None]
    unknown = [label for label in landmarks if label not in known]
    if missing:
        yield Problem(case.name, f"These landmarks are missing: {', '.join(missing)}.")
    if unknown:
        yield Problem(case.name, f"These labels are not among the dataset's landmarks: {', '.join(unknown)}.")


def _volume_problems(case: Case, landmarks: LandmarkSet | None) -> list[Problem]:
    """What is wrong with the image: unreadable, repaired, or with landmarks outside it."""
    repairs: list[str] = []
    try:
        volume = case.read_volume(repairs.append)
    except LandmarkDetectionError as error:
        return [Problem(case.name, str(error))]
    problems = [Problem(case.name, repair) for repair in repairs]
    if landmarks is not None and landmarks.present:
        inside = volume.contains(landmarks.to_array(landmarks.present))
        outside = [label for label, is_inside in zip(landmarks.present, inside, strict=True) if not is_inside]
        if outside:
            text = f"These landmarks lie outside the image: {', '.join(outside)}; is the coordinate system right?"
            problems.append(Problem(case.name, text))
    return problems


def _mirrored(definitions: Sequence[LandmarkDefinition], landmarks: Mapping[str, LandmarkSet]) -> Iterator[Problem]:
    """Cases whose left landmarks lie on the other side of the right ones than in most cases."""
    directions = {
        case: direction
        for case, points in landmarks.items()
        if (direction := _right_to_left(definitions, points)) is not None
    }
    if not directions:
        return
    usual = np.sum(list(directions.values()), axis=0)
    mirrored = [case for case, direction in directions.items() if direction @ usual < 0]
    if 2 * len(mirrored) >= len(directions):
        return
    for case in mirrored:
        text = "Left and right are exchanged compared with most cases: check its labels and coordinate system."
        yield Problem(case, text)


def _right_to_left(definitions: Sequence[LandmarkDefinition], points: LandmarkSet) -> FloatArray | None:
    """Unit vector (3,) from the middle of the right landmarks to that of the left ones; None if a side is empty."""
    middles = []
    for side in ("left", "right"):
        labels = [one.label for one in definitions if one.side == side and points.get(one.label) is not None]
        if not labels:
            return None
        middles.append(points.to_array(labels).mean(axis=0))
    difference = middles[0] - middles[1]
    length = float(np.linalg.norm(difference))
    return difference / length if length > 0 else None
