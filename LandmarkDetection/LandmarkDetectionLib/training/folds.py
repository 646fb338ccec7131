"""Folds: every case is held out once, from a model that has seen neither it nor its subject."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import LandmarkDetectionError


@dataclass(frozen=True)
class Fold:
    """Names of cases by what they are for.

    Attributes:
        held_out: for measuring alone.
        choosing: their errors choose the checkpoint.
        training: the rest.
    """

    held_out: tuple[str, ...]
    choosing: tuple[str, ...]
    training: tuple[str, ...]


def assign_folds(subjects: Mapping[str, str], count: int, choosing_share: float, seed: int) -> tuple[Fold, ...]:
    """Divide cases into folds of about equal size, no subject into two parts of a fold. The same seed, the same folds.

    The cases that choose the checkpoint are taken from the next fold, no more than their share: a model should lack
    little of what the final one learns from, or its errors say too much of that one's.

    Args:
        subjects: who is seen, by case.
        count: how many folds.
        choosing_share: share of the cases not held out that choose the checkpoint; at least one subject does.
        seed: of the division.

    Raises:
        LandmarkDetectionError: if there are too few folds, or too few subjects for so many.
    """
    if count < 2:
        message = f"Cross-validation needs at least 2 folds, not {count}; choose 2 or more."
        raise LandmarkDetectionError(message)
    parts = _parts(_grouped(subjects), count, seed)
    folds = tuple(_fold(parts, number, choosing_share) for number in range(count))
    if not all(fold.held_out and fold.choosing and fold.training for fold in folds):
        people = len(set(subjects.values()))
        message = (
            f"{len(subjects)} cases of {people} subjects are too few for {count} folds; choose fewer, or say in "
            'dataset.json ("subjects") which cases are of the same one.'
        )
        raise LandmarkDetectionError(message)
    return folds


def _grouped(subjects: Mapping[str, str]) -> list[list[str]]:
    groups: dict[str, list[str]] = {}
    for case, subject in subjects.items():
        groups.setdefault(subject, []).append(case)
    return list(groups.values())


def _parts(groups: Sequence[list[str]], count: int, seed: int) -> list[list[list[str]]]:
    """Groups of cases by fold: in random order, the largest first, each where the fewest cases are."""
    shuffled = [groups[index] for index in np.random.default_rng(seed).permutation(len(groups))]
    parts: list[list[list[str]]] = [[] for _ in range(count)]
    for group in sorted(shuffled, key=len, reverse=True):
        min(parts, key=lambda part: sum(map(len, part))).append(group)
    return parts


def _fold(parts: Sequence[list[list[str]]], number: int, choosing_share: float) -> Fold:
    held_out = _cases(parts[number])
    rest = [group for step in range(1, len(parts)) for group in parts[(number + step) % len(parts)]]
    wanted = max(1, round(choosing_share * len(_cases(rest))))
    taken = 0
    while len(_cases(rest[:taken])) < wanted and taken < len(rest):
        taken += 1
    return Fold(held_out, _cases(rest[:taken]), _cases(rest[taken:]))


def _cases(groups: Iterable[list[str]]) -> tuple[str, ...]:
    return tuple(case for group in groups for case in group)
