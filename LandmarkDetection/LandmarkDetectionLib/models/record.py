"""Records: JSON objects parsed strictly into dataclasses by their type hints, and written back."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import math
import re
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from ..errors import LandmarkDetectionError

Record = TypeVar("Record")

_SCALARS = {bool: "true or false", int: "a whole number", float: "a finite number", str: "a text"}


@dataclasses.dataclass(frozen=True)
class NoSettings:
    """A record without fields, where there is nothing to choose."""


class FieldError(LandmarkDetectionError):
    """A field of a record breaks a rule.

    Raise it in the `__post_init__` of a dataclass, naming the field alone; `parse_record` puts the path before it.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field or 'it'} {problem}.")
        self.field = field
        self.problem = problem


def parse_record(cls: type[Record], data: object, where: str) -> Record:
    """Make a dataclass from a JSON object, trusting nothing in it.

    The type hints may be bool, int, float, str, Any (any finite JSON value), Literal, `X | None`, tuples of fixed or
    variable length, dict[str, X], numpy arrays and other dataclasses. Fields with a default may be left out.

    Args:
        cls: the dataclass.
        data: what `json.load` returned.
        where: what the user calls the source; begins every message.

    Raises:
        LandmarkDetectionError: naming the path of the first field that is missing, unknown or not what it must be.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class Grid:
        ...     spacing_mm: tuple[float, float]
        >>> parse_record(Grid, {"spacing_mm": [1, 0.5]}, "grid.json")
        Grid(spacing_mm=(1.0, 0.5))
    """
    try:
        return _parse_dataclass(cls, data, "")
    except FieldError as error:
        message = f"{where}: {error}"
        raise LandmarkDetectionError(message) from None


def field_meanings(cls: type) -> dict[str, str]:
    """What the Attributes of a dataclass's docstring say of its fields, each in one line.

    Example:
        >>> field_meanings(Grid)
        {'spacing_mm': 'voxel size along j, i.'}
    """
    section = inspect.getdoc(cls).partition("\nAttributes:\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", section, flags=re.MULTILINE)
    return {name: " ".join(meaning.split()) for name, meaning in entries}


def record_to_json(record: object) -> Any:
    """The JSON value that `parse_record` turns back into this dataclass (or value inside one)."""
    if dataclasses.is_dataclass(record):
        return {field.name: record_to_json(getattr(record, field.name)) for field in dataclasses.fields(record)}
    if isinstance(record, Mapping):
        return {key: record_to_json(value) for key, value in record.items()}
    if isinstance(record, tuple | list):
        return [record_to_json(value) for value in record]
    if isinstance(record, np.ndarray | np.generic):
        return record.tolist()
    return record


def _parse_dataclass(cls: type[Record], data: object, path: str) -> Record:
    if not isinstance(data, dict):
        raise FieldError(path, "must be a JSON object")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for name in data:
        if name not in fields:
            close = difflib.get_close_matches(name, fields, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise FieldError(_joined(path, name), f"is not a known field{hint}; known are: {', '.join(fields)}")
    for name, field in fields.items():
        if name not in data and field.default is field.default_factory is dataclasses.MISSING:
            raise FieldError(_joined(path, name), "is missing")
    hints = get_type_hints(cls)
    values = {name: _parse(hints[name], value, _joined(path, name)) for name, value in data.items()}
    try:
        return cls(**values)
    except FieldError as error:
        raise FieldError(_joined(path, error.field), error.problem) from None
    except (ValueError, LandmarkDetectionError) as error:
        raise FieldError(path, f"is not valid: {str(error).rstrip('.')}") from None


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _parse(hint: Any, value: object, path: str) -> Any:
    """The value as the type hint wants it."""
    if hint in _SCALARS:
        return _parse_scalar(hint, value, path)
    if hint is Any:
        return _parse_any(value, path)
    if dataclasses.is_dataclass(hint):
        return _parse_dataclass(hint, value, path)
    if get_origin(hint) in _PARSERS:
        return _PARSERS[get_origin(hint)](get_args(hint), value, path)
    message = f"a record cannot have a field of type {hint}"
    raise TypeError(message)


def _parse_scalar(hint: type, value: object, path: str) -> bool | int | float | str:
    if hint is float and type(value) is int and abs(value) < 2**1023:
        value = float(value)
    if type(value) is not hint or (hint is float and not math.isfinite(value)):
        raise FieldError(path, f"must be {_SCALARS[hint]}")
    return value


def _parse_any(value: object, path: str) -> Any:
    if isinstance(value, dict):
        return _parse_dict((str, Any), value, path)
    if isinstance(value, list | tuple):
        return [_parse_any(item, f"{path}[{index}]") for index, item in enumerate(value)]
    return value if value is None else _parse_scalar(type(value), value, path)


def _parse_literal(choices: tuple, value: object, path: str) -> Any:
    for choice in choices:
        if type(value) is type(choice) and value == choice:
            return choice
    raise FieldError(path, f"must be {' or '.join(repr(choice) for choice in choices)}")


def _parse_optional(choices: tuple, value: object, path: str) -> Any:
    if value is None:
        return None
    (hint,) = (choice for choice in choices if choice is not types.NoneType)
    return _parse(hint, value, path)


def _parse_tuple(hints: tuple, value: object, path: str) -> tuple:
    if not isinstance(value, list | tuple):
        raise FieldError(path, "must be a list")
    if hints[-1] is Ellipsis:
        hints = hints[:1] * len(value)
    if len(value) != len(hints):
        raise FieldError(path, f"must be a list of {len(hints)} values")
    pairs = enumerate(zip(hints, value, strict=True))
    return tuple(_parse(hint, item, f"{path}[{index}]") for index, (hint, item) in pairs)


def _parse_dict(hints: tuple, value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FieldError(path, "must be a JSON object")
    return {key: _parse(hints[1], item, _joined(path, key)) for key, item in value.items()}


def _parse_array(_: tuple, value: object, path: str) -> np.ndarray:
    """A nested list of finite numbers, every row of the same length."""
    if not isinstance(value, list):
        raise FieldError(path, "must be a list of numbers")
    if value and isinstance(value[0], list):
        rows = [_parse_array((), row, f"{path}[{index}]") for index, row in enumerate(value)]
        if len({row.shape for row in rows}) > 1:
            raise FieldError(path, "must have rows of equal length")
        return np.stack(rows)
    return np.array(_parse_tuple((float, ...), value, path), dtype=np.float64)


_PARSERS = {
    Literal: _parse_literal,
    Union: _parse_optional,
    types.UnionType: _parse_optional,
    tuple: _parse_tuple,
    dict: _parse_dict,
    np.ndarray: _parse_array,
}
"""How a generic type is parsed, by its origin: (its arguments, the value, its path) -> the value as wanted."""
