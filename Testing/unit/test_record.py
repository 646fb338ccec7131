"""JSON objects become dataclasses only when every field is what its type hint says."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.geometry import FloatArray
from LandmarkDetectionLib.models.record import FieldError, parse_record, record_to_json


@dataclass(frozen=True)
class Layer:
    channels: int
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.channels < 1:
            raise FieldError("channels", "must be positive")  # noqa: EM101


@dataclass(frozen=True)
class Settings:
    name: str
    augmented: bool
    window: tuple[float, float]
    layers: tuple[Layer, ...]
    first: Layer | None
    centre: Literal["foreground", "volume"]
    version: Literal[1, 2]
    radii: dict[str, float]
    extra: dict[str, Any]
    seed: int = 7
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, eq=False)
class Arrays:
    mean: FloatArray
    modes: FloatArray


@dataclass(frozen=True)
class Percentage:
    value: float

    def __post_init__(self) -> None:
        if not 0 <= self.value <= 100:
            message = "Percentages end at 100."
            raise ValueError(message)


@dataclass(frozen=True)
class Report:
    success: Percentage


@dataclass(frozen=True)
class Unsupported:
    bytes_of_it: bytes


VALID = {
    "name": "x",
    "augmented": True,
    "window": [0, 1.5],
    "layers": [{"channels": 3}],
    "first": None,
    "centre": "volume",
    "version": 2,
    "radii": {"AC": 1.0},
    "extra": {"deep": [1, "two", None, {"three": False}]},
}

finite = st.floats(allow_nan=False, allow_infinity=False)
layers = st.builds(Layer, channels=st.integers(1), dropout=finite)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
settings_records = st.builds(
    Settings,
    name=st.text(),
    augmented=st.booleans(),
    window=st.tuples(finite, finite),
    layers=st.lists(layers, max_size=3).map(tuple),
    first=st.none() | layers,
    centre=st.sampled_from(["foreground", "volume"]),
    version=st.sampled_from([1, 2]),
    radii=st.dictionaries(st.text(), finite, max_size=3),
    extra=st.dictionaries(st.text(), json_values, max_size=3),
    seed=st.integers(),
    notes=st.lists(st.text(), max_size=3).map(tuple),
)


@given(settings_records)
def test_a_record_survives_the_way_through_json(record):
    text = json.dumps(record_to_json(record))
    assert parse_record(Settings, json.loads(text), "file.json") == record


def test_fields_with_a_default_may_be_left_out():
    settings = parse_record(Settings, VALID, "file.json")
    assert settings.seed == 7
    assert settings.layers == (Layer(3, 0.0),)
    assert settings.window == (0.0, 1.5)


@pytest.mark.parametrize(
    ("field_name", "value", "sentence"),
    [
        ("name", 3, "name must be a text."),
        ("augmented", 1, "augmented must be true or false."),
        ("seed", True, "seed must be a whole number."),
        ("seed", 1.0, "seed must be a whole number."),
        ("window", [0], "window must be a list of 2 values."),
        ("window", "01", "window must be a list."),
        ("window", [0, "1"], "window[1] must be a finite number."),
        ("window", [0, True], "window[1] must be a finite number."),
        ("window", [0, float("nan")], "window[1] must be a finite number."),
        ("window", [0, float("inf")], "window[1] must be a finite number."),
        ("window", [0, 10**400], "window[1] must be a finite number."),
        ("layers", {}, "layers must be a list."),
        ("layers", [{"channels": 3}, 4], "layers[1] must be a JSON object."),
        ("layers", [{"channels": 0}], "layers[0].channels must be positive."),
        ("layers", [{}], "layers[0].channels is missing."),
        (
            "first",
            {"channels": 1, "dropuot": 0.5},
            "first.dropuot is not a known field (did you mean dropout?); known are: channels, dropout.",
        ),
        ("first", {"channels": 1, "xyz": 0.5}, "first.xyz is not a known field; known are: channels, dropout."),
        ("centre", "middle", "centre must be 'foreground' or 'volume'."),
        ("version", True, "version must be 1 or 2."),
        ("version", 2.0, "version must be 1 or 2."),
        ("radii", [1], "radii must be a JSON object."),
        ("radii", {"AC": None}, "radii.AC must be a finite number."),
        ("extra", {"a": [0, float("nan")]}, "extra.a[1] must be a finite number."),
    ],
)
def test_a_field_of_the_wrong_type_is_named_in_one_sentence(field_name, value, sentence):
    with pytest.raises(LandmarkDetectionError) as caught:
        parse_record(Settings, VALID | {field_name: value}, "file.json")
    assert str(caught.value) == f"file.json: {sentence}"


def test_what_is_not_an_object_is_refused():
    with pytest.raises(LandmarkDetectionError, match=r"^file\.json: it must be a JSON object\.$"):
        parse_record(Settings, [VALID], "file.json")


@pytest.mark.parametrize("missing", [f.name for f in dataclasses.fields(Settings) if f.name in VALID])
def test_a_missing_field_is_named(missing):
    data = {name: value for name, value in VALID.items() if name != missing}
    with pytest.raises(LandmarkDetectionError, match=rf"^file\.json: {missing} is missing\.$"):
        parse_record(Settings, data, "file.json")


def test_a_refusal_by_the_dataclass_itself_keeps_its_reason():
    sentence = r"^file\.json: success is not valid: Percentages end at 100\.$"
    with pytest.raises(LandmarkDetectionError, match=sentence):
        parse_record(Report, {"success": {"value": 101}}, "file.json")


def test_arrays_are_read_from_nested_lists_and_written_back():
    data = {"mean": [1, 2.5], "modes": [[1, 0], [0, 1]]}
    arrays = parse_record(Arrays, data, "file.json")
    np.testing.assert_array_equal(arrays.modes, np.eye(2))
    assert arrays.mean.dtype == np.float64
    assert record_to_json(arrays) == data


@pytest.mark.parametrize(
    ("modes", "sentence"),
    [
        ([[1, 0], [0]], "modes must have rows of equal length."),
        ([[1, 0], 0], "modes[1] must be a list of numbers."),
        ([1, [0]], "modes[1] must be a finite number."),
        ([[1, "0"]], "modes[0][1] must be a finite number."),
        (3, "modes must be a list of numbers."),
    ],
)
def test_an_array_that_is_no_array_is_refused(modes, sentence):
    with pytest.raises(LandmarkDetectionError) as caught:
        parse_record(Arrays, {"mean": [], "modes": modes}, "file.json")
    assert str(caught.value) == f"file.json: {sentence}"


@given(json_values)
def test_no_json_value_gets_past_as_anything_but_a_record_or_a_sentence(value):
    with pytest.raises(LandmarkDetectionError, match=r"^file\.json: "):
        parse_record(Settings, value, "file.json")


def test_a_dataclass_that_json_cannot_hold_is_the_programmers_error():
    with pytest.raises(TypeError, match="cannot have a field of type"):
        parse_record(Unsupported, {"bytes_of_it": ""}, "file.json")


def test_numbers_from_numpy_are_written_as_plain_numbers():
    written = record_to_json(Settings(**VALID | {"seed": np.int64(3), "window": (np.float32(0.5), 1.0)}))
    assert json.loads(json.dumps(written))["window"] == [0.5, 1.0]
