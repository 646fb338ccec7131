"""dataset.json: what a dataset folder says about itself, validated."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import LandmarkDetectionError
from ..landmarks import LandmarkDefinition

DEFAULT_SDR_THRESHOLDS_MM = (2.0, 2.5, 3.0, 4.0)

PictureNumbers = Mapping[str, tuple[float, ...]] | tuple[float, ...] | None
"""One pixel size or origin for all cases, one per case, or none."""


@dataclass(frozen=True, kw_only=True)
class DatasetDescription:
    """The content of a dataset.json.

    Attributes:
        name, modality, licence, source, citation: free text.
        dimension: 2 for pictures, 3 for volumes.
        definitions: the landmarks, in order.
        observers: names of people whose single readings are there.
        splits: names of the cases by name of the split.
        subjects: by case, who is seen, where `subject_of` guesses wrong.
        spacing_mm, origin_mm: pixel size and centre (LPS) of the first pixel, for pictures that carry no geometry.
        interchangeable: pairs of labels that cannot be told apart.
        sdr_thresholds_mm: radii at which the success detection rate is reported.
    """

    name: str
    modality: str = ""
    dimension: int = 3
    definitions: tuple[LandmarkDefinition, ...] = ()
    observers: tuple[str, ...] = ()
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    subjects: Mapping[str, str] = field(default_factory=dict)
    spacing_mm: PictureNumbers = None
    origin_mm: PictureNumbers = None
    interchangeable: tuple[tuple[str, str], ...] = ()
    sdr_thresholds_mm: tuple[float, ...] = DEFAULT_SDR_THRESHOLDS_MM
    licence: str = ""
    source: str = ""
    citation: str = ""

    def spacing_of(self, case_name: str) -> tuple[float, ...] | None:
        """Pixel size of a case's picture, None if the description gives none."""
        return _of_case(self.spacing_mm, case_name)

    def origin_of(self, case_name: str) -> tuple[float, ...] | None:
        """Centre (LPS) of the first pixel of a case's picture, None if the description gives none."""
        return _of_case(self.origin_mm, case_name)


def _of_case(numbers: PictureNumbers, case_name: str) -> tuple[float, ...] | None:
    return numbers.get(case_name) if isinstance(numbers, Mapping) else numbers


def read_description(file: Path) -> DatasetDescription:
    """Read and validate a dataset.json.

    Raises:
        LandmarkDetectionError: if it is not JSON or a field has the wrong form; the sentence names the field.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        message = f"{file} is not valid JSON ({error}): correct it."
        raise LandmarkDetectionError(message) from error
    return parse_description(content, str(file), file.resolve().parent.name)


def parse_description(content: object, where: str, name: str) -> DatasetDescription:
    """Validate what was read from a dataset.json.

    Args:
        content: what `json.loads` returned.
        where: what the user calls the file; begins every message.
        name: of the dataset, if the file gives none.

    Raises:
        LandmarkDetectionError: as `read_description`.
    """
    if not isinstance(content, dict):
        message = f"{where} must hold a JSON object with the fields of a dataset: correct it."
        raise LandmarkDetectionError(message)
    parsed: dict[str, Any] = {"name": name}
    for key, (attribute, parse, form) in _FIELDS.items():
        if content.get(key) is None:
            continue
        try:
            parsed[attribute] = parse(content[key])
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            message = f'{where}: "{key}" must be {form}: correct it.'
            raise LandmarkDetectionError(message) from error
    return DatasetDescription(**parsed)


def description_to_json(description: DatasetDescription) -> dict[str, Any]:
    """The JSON object that `parse_description` turns back into this description."""
    values = {key: getattr(description, attribute) for key, (attribute, _, _) in _FIELDS.items()}
    return {**values, "landmarks": [asdict(definition) for definition in description.definitions]}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError
    return tuple(_text(item) for item in value)


def _dimension(value: Any) -> int:
    if value not in (2, 3):
        raise ValueError
    return int(value)


def _definitions(value: list[dict[str, Any]]) -> tuple[LandmarkDefinition, ...]:
    definitions = tuple(
        LandmarkDefinition(
            _text(item["label"]),
            _text(item.get("description", "")),
            _text(item.get("side", side_of(item["label"]) or side_of(item.get("description", "")))),
        )
        for item in value
    )
    if len({definition.label for definition in definitions}) != len(definitions):
        raise ValueError
    return definitions


def side_of(text: str) -> str:
    """ "left" or "right" if a label or description begins with that word ("Left thalamus", "rightHead"), else empty."""
    for side in ("left", "right"):
        following = text[len(side) : len(side) + 1]
        if text.lower().startswith(side) and not following.islower():
            return side
    return ""


_SUBJECT = re.compile(r"sub-[^_]+|\d+(?=[_-])")


def subject_of(case: str) -> str:
    """Who is seen in a case by its name: BIDS' "sub-07" in "sub-07_T1w", the number in "023_2HC", else all of it."""
    found = _SUBJECT.match(case)
    return found.group() if found else case


def _subjects(value: dict[str, Any]) -> dict[str, str]:
    return {_text(case): _text(subject) for case, subject in value.items()}


def _splits(value: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    return {_text(name): _texts(cases) for name, cases in value.items()}


def _positive_numbers(value: Any) -> tuple[float, ...]:
    numbers = _numbers(value)
    if min(numbers) <= 0:
        raise ValueError
    return numbers


def _numbers(value: Any) -> tuple[float, ...]:
    numbers = tuple(float(number) for number in value)
    if not numbers or any(isinstance(number, (str, bool)) for number in value) or not sum(map(abs, numbers)) < 1e12:
        raise ValueError
    return numbers


def _spacings(value: Any) -> PictureNumbers:
    if isinstance(value, dict):
        return {_text(case): _pair(_positive_numbers(numbers)) for case, numbers in value.items()}
    return _pair(_positive_numbers(value))


def _origins(value: Any) -> PictureNumbers:
    if isinstance(value, dict):
        return {_text(case): _pair(_numbers(numbers)) for case, numbers in value.items()}
    return _pair(_numbers(value))


def _pair(numbers: tuple[float, ...]) -> tuple[float, ...]:
    if len(numbers) != 2:
        raise ValueError
    return numbers


def _label_pairs(value: Any) -> tuple[tuple[str, str], ...]:
    return tuple(_label_pair(*pair) for pair in value)


def _label_pair(first: Any, second: Any) -> tuple[str, str]:
    return _text(first), _text(second)


_TEXT = "text"
_FIELDS = {
    "name": ("name", _text, _TEXT),
    "modality": ("modality", _text, _TEXT),
    "dimension": ("dimension", _dimension, "2 or 3"),
    "landmarks": ("definitions", _definitions, "a list of objects, each with a label of its own and a description"),
    "observers": ("observers", _texts, "a list of names"),
    "split": ("splits", _splits, "an object with a list of case names per split"),
    "subjects": ("subjects", _subjects, "an object with the name of one subject per case"),
    "spacing_mm": ("spacing_mm", _spacings, "two numbers above zero, or an object with two per case"),
    "origin_mm": ("origin_mm", _origins, "two numbers, or an object with two per case"),
    "interchangeable": ("interchangeable", _label_pairs, "a list of pairs of labels"),
    "sdr_thresholds_mm": ("sdr_thresholds_mm", _positive_numbers, "a list of numbers above zero"),
    "licence": ("licence", _text, _TEXT),
    "source": ("source", _text, _TEXT),
    "citation": ("citation", _text, _TEXT),
}
"""Key in the file -> attribute, parser, and what the value must be."""
