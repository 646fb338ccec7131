"""A Review as JSON: kept with the nodes of a scene, and exported beside the detection it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import LandmarkDetectionError
from ..landmarks import Detection, LandmarkSet
from ..review import Action, Change, Position, Review, ReviewedLandmark
from .control_point import flip_x_y

FORMAT_VERSION = 1


def review_to_json(review: Review) -> dict[str, Any]:
    """The JSON object of a review; positions are in LPS, as in every file."""
    return {"format_version": FORMAT_VERSION, "changes": [_change_to_json(change) for change in review.changes]}


def reviewed_case_to_json(
    detection: Detection, review: Review, landmarks: Sequence[ReviewedLandmark]
) -> dict[str, Any]:
    """The same with what it came to: the models, and the final state of every landmark."""
    names = ("name", "version", "weights_sha256")
    return {
        "models": [dict(zip(names, model, strict=True)) for model in detection.models],
        "landmarks": [_landmark_to_json(landmark) for landmark in landmarks],
        **review_to_json(review),
    }


def review_from_json(content: Any) -> Review:
    """The review a JSON object holds.

    Raises:
        LandmarkDetectionError: if the object is not what `review_to_json` makes.
    """
    try:
        if content["format_version"] != FORMAT_VERSION:
            message = f"format version {content['format_version']} is not known"
            raise ValueError(message)
        return Review(tuple(_change_from_json(change) for change in content["changes"]))
    except (KeyError, TypeError, ValueError, LandmarkDetectionError) as error:
        message = f"The review of the landmarks cannot be understood ({error!r}): detect the landmarks again."
        raise LandmarkDetectionError(message) from error


def _landmark_to_json(landmark: ReviewedLandmark) -> dict[str, Any]:
    predicted = landmark.predicted
    return {
        "label": landmark.label,
        "state": landmark.state.value,
        "is_reviewed": landmark.is_reviewed,
        "position_lps": _to_lps(landmark.position_ras),
        "predicted_lps": None if predicted is None or predicted.missing else _to_lps(predicted.position_ras),
    }


def _change_to_json(change: Change) -> dict[str, Any]:
    return {
        "label": change.label,
        "action": change.action.value,
        "from_lps": _to_lps(change.from_ras),
        "to_lps": _to_lps(change.to_ras),
        "by": change.by,
        "at": change.at,
    }


def _change_from_json(content: dict[str, Any]) -> Change:
    label, by, at = (str(content[name]) for name in ("label", "by", "at"))
    positions = (_from_lps(label, content[name]) for name in ("from_lps", "to_lps"))
    return Change(label, Action(content["action"]), *positions, by, at)


def _to_lps(position_ras: Position) -> list[float] | None:
    return None if position_ras is None else flip_x_y(position_ras)


def _from_lps(label: str, position_lps: Any) -> Position:
    return LandmarkSet({label: None if position_lps is None else flip_x_y(position_lps)})[label]
