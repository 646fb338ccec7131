"""What a person makes of a detection: the state of every landmark, who changed what, and what to look at next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from .geometry import FloatArray
from .landmarks import DetectedLandmark, Detection, Doubt, LandmarkSet

MOVED_MM = 0.01
"""A point this far from where it was has been moved."""

Position = FloatArray | None
"""RAS millimetres (3,), or None where the landmark is missing."""


class LandmarkState(Enum):
    """What has become of a landmark."""

    PREDICTED = "predicted"
    REVIEW = "review"
    """Predicted, but with doubts: a person should look at it."""
    CORRECTED = "corrected"
    ACCEPTED = "accepted"
    MISSING = "missing"
    PLACED = "placed"
    """Not by a detector."""
    UNPLACED = "not placed"
    """Not by a detector either."""


class Action(Enum):
    """What a person did to a landmark."""

    MOVED = "moved"
    MARKED_MISSING = "marked missing"
    ACCEPTED = "accepted"
    RESET = "reset to prediction"


@dataclass(frozen=True, eq=False)
class Change:
    """One thing a person did to a landmark.

    Attributes:
        label: the landmark's label.
        action: what was done.
        from_ras, to_ras: where it was before and after, None where it was missing.
        by: who did it.
        at: when, in ISO 8601.
    """

    label: str
    action: Action
    from_ras: Position
    to_ras: Position
    by: str
    at: str


@dataclass(frozen=True, eq=False)
class ReviewedLandmark:
    """A landmark as it is now.

    Attributes:
        label: the landmark's label.
        position_ras: where it is, None if it is missing.
        state: what has become of it.
        is_reviewed: whether a person has decided about it, or no detector found it.
        predicted: what a detector says about it, None if it was not detected.
    """

    label: str
    position_ras: Position
    state: LandmarkState
    is_reviewed: bool
    predicted: DetectedLandmark | None

    @property
    def is_as_predicted(self) -> bool:
        """Whether it lies where the detector says, so that the detector's uncertainty holds for it."""
        return self.state in (LandmarkState.PREDICTED, LandmarkState.REVIEW, LandmarkState.ACCEPTED)


@dataclass(frozen=True, eq=False)
class Review:
    """Everything that persons did to the landmarks of one detection, in order.

    Example:
        >>> review = Review().observed(detection, {"AC": position}, by="Ada", at="2026-01-01T12:00:00+00:00")
        >>> reviewed_landmarks(detection, review, [("AC", position)])[0].state
        <LandmarkState.CORRECTED: 'corrected'>
    """

    changes: tuple[Change, ...] = ()

    def last_change(self, label: str) -> Change | None:
        """The latest of a landmark."""
        return self.last_changes.get(label)

    @property
    def last_changes(self) -> dict[str, Change]:
        """The latest of every landmark that was changed, by label."""
        return {change.label: change for change in self.changes}

    def observed(self, detection: Detection, positions: Mapping[str, Position], by: str, at: str) -> Review:
        """With a change for every detected landmark that is not where it was last; self if there is none.

        Moves of one landmark by one person that follow each other become one.
        """
        review = self
        last_changes = self.last_changes
        for mark in detection.landmarks:
            before, now = _last_position(mark, last_changes.get(mark.label)), positions.get(mark.label)
            if not _is_same(before, now):
                action = Action.MARKED_MISSING if now is None else Action.MOVED
                review = review._with(Change(mark.label, action, before, now, by, at))
        return review

    def accepted(self, detection: Detection, label: str, by: str, at: str) -> Review:
        """With the landmark accepted where it is."""
        position = _last_position(detection[label], self.last_change(label))
        return self._with(Change(label, Action.ACCEPTED, position, position, by, at))

    def reset(self, detection: Detection, label: str, by: str, at: str) -> Review:
        """With the landmark put back to where it was predicted."""
        before = _last_position(detection[label], self.last_change(label))
        return self._with(Change(label, Action.RESET, before, _predicted_position(detection[label]), by, at))

    def mapped(self, mapping: Callable[[FloatArray], FloatArray]) -> Review:
        """With every position carried by a function of positions (3,)."""
        changes = (
            replace(change, from_ras=_carried(change.from_ras, mapping), to_ras=_carried(change.to_ras, mapping))
            for change in self.changes
        )
        return Review(tuple(changes))

    def _with(self, change: Change) -> Review:
        earlier = self.changes
        last = earlier[-1] if earlier else None
        both = (Action.MOVED, change.label, change.by)
        if last is not None and both == (last.action, last.label, last.by) and change.action is Action.MOVED:
            earlier, change = earlier[:-1], replace(change, from_ras=last.from_ras)
        return Review((*earlier, change))


def reviewed_landmarks(
    detection: Detection | None, review: Review, points: Sequence[tuple[str, Position]]
) -> tuple[ReviewedLandmark, ...]:
    """What has become of points, given by label and position, that may have been detected."""
    predictions = {} if detection is None else {mark.label: mark for mark in detection.landmarks}
    changes = review.last_changes
    return tuple(_reviewed(label, place, predictions.get(label), changes.get(label)) for label, place in points)


def landmark_set_of(landmarks: Sequence[ReviewedLandmark]) -> LandmarkSet:
    """Where the landmarks are now."""
    return LandmarkSet({landmark.label: landmark.position_ras for landmark in landmarks})


def review_order(landmarks: Sequence[ReviewedLandmark]) -> list[str]:
    """Labels of the landmarks that nobody has decided about, the most doubtful first.

    First come those on which models disagree, the farthest apart first; then those that may or may not be in the
    volume, the most open first; then those of which the model is less sure than usual, and last the others, the largest
    radius first.
    """
    waiting = [landmark for landmark in landmarks if not landmark.is_reviewed]
    return [landmark.label for landmark in sorted(waiting, key=lambda landmark: _rank(landmark.predicted))]


def next_to_review(landmarks: Sequence[ReviewedLandmark], current: str | None = None) -> str | None:
    """The landmark to look at after the current one, None if all have been decided about."""
    order = review_order(landmarks)
    if not order:
        return None
    return order[(order.index(current) + 1) % len(order)] if current in order else order[0]


def uncertainty_mm(predicted: DetectedLandmark) -> float:
    """The calibrated 90 % radius, or the spread if the model has no calibration."""
    return predicted.spread_mm if predicted.radius90_mm is None else predicted.radius90_mm


def _reviewed(
    label: str, position: Position, predicted: DetectedLandmark | None, change: Change | None
) -> ReviewedLandmark:
    if predicted is None:
        state = LandmarkState.UNPLACED if position is None else LandmarkState.PLACED
        return ReviewedLandmark(label, position, state, True, None)
    # An acceptance holds for the place where it was given.
    is_accepted = change is not None and change.action is Action.ACCEPTED and _is_same(change.to_ras, position)
    if position is None:
        return ReviewedLandmark(label, None, LandmarkState.MISSING, is_accepted or not predicted.missing, predicted)
    if not _is_same(_predicted_position(predicted), position):
        return ReviewedLandmark(label, position, LandmarkState.CORRECTED, True, predicted)
    untouched = LandmarkState.REVIEW if predicted.needs_review else LandmarkState.PREDICTED
    state = LandmarkState.ACCEPTED if is_accepted else untouched
    return ReviewedLandmark(label, position, state, is_accepted, predicted)


def _rank(predicted: DetectedLandmark) -> tuple[int, float]:
    gravest = predicted.doubts[0] if predicted.doubts else None
    if gravest is Doubt.DISAGREEMENT:
        return 0, -(predicted.disagreement_mm or 0.0)
    if gravest is Doubt.PRESENCE:
        return 1, abs(predicted.presence - 0.5)
    return 2 if gravest is Doubt.UNSURE else 3, -uncertainty_mm(predicted)


def _predicted_position(predicted: DetectedLandmark) -> Position:
    return None if predicted.missing else predicted.position_ras


def _last_position(predicted: DetectedLandmark, change: Change | None) -> Position:
    """Where a landmark was when the review last heard of it."""
    return _predicted_position(predicted) if change is None else change.to_ras


def _is_same(first: Position, second: Position) -> bool:
    if first is None or second is None:
        return first is second
    return float(np.linalg.norm(np.subtract(first, second))) <= MOVED_MM


def _carried(position: Position, mapping: Callable[[FloatArray], FloatArray]) -> Position:
    return None if position is None else mapping(position)
