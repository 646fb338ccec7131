"""The options of a model's method: what may be typed in place of its card's inference settings."""

from __future__ import annotations

import dataclasses
import json
from typing import Literal, get_args, get_origin, get_type_hints

from ..models.card import ModelCard
from ..models.record import field_meanings, parse_record
from .registry import detector_class


@dataclasses.dataclass(frozen=True)
class MethodOption:
    """One option.

    Attributes:
        name: its key.
        value: what the model takes for it, as a user would type it.
        choices: all values there are; empty if it takes a number.
        meaning: one sentence.
    """

    name: str
    value: str
    choices: tuple[str, ...]
    meaning: str


def options_of(card: ModelCard) -> list[MethodOption]:
    """The options of the method of a model.

    Raises:
        LandmarkDetectionError: if the method does not exist, or the card holds settings that are not its own.
    """
    settings_class = detector_class(card).inference_settings
    settings = parse_record(settings_class, card.inference, f"model {card.name}: inference")
    hints, meanings = get_type_hints(settings_class), field_meanings(settings_class)
    return [
        MethodOption(
            field.name,
            _typed(getattr(settings, field.name)),
            tuple(map(_typed, get_args(hints[field.name]))) if get_origin(hints[field.name]) is Literal else (),
            _first_sentence(meanings[field.name]),
        )
        for field in dataclasses.fields(settings_class)
    ]


def _typed(value: object) -> str:
    """A setting as a user would type it."""
    return value if isinstance(value, str) else json.dumps(value)


def _first_sentence(text: str) -> str:
    return text.partition(". ")[0].rstrip(".") + "."
