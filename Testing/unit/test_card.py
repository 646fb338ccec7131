"""A model card that contradicts itself or its format is refused with the path of the field."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import TINY_CARD

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.models.card import NOT_A_MEDICAL_DEVICE, Accuracy, ModelCard

REQUIRED = [
    *("name", "version", "method", "modality", "anatomy", "dimension", "description", "landmarks", "preprocessing"),
    *("network", "field_of_view_mm", "rotation_range_deg", "training", "licence", "citation", "limitations"),
]

UNKNOWN_XX = 'names "XX", which is not one of the model\'s landmarks'
REFUSALS = [
    ("name", "Brain", "name must be like brain-t1: a-z, 0-9, -"),
    ("name", "-brain", "name must be like brain-t1: a-z, 0-9, -"),
    ("name", "brain\n", "name must be like brain-t1: a-z, 0-9, -"),
    ("name", "../brain", "name must be like brain-t1: a-z, 0-9, -"),
    ("version", " ", "version must not be empty"),
    ("version", "1.0+a", 'version must not hold "+", which joins the versions of several models'),
    ("not_a_medical_device", "", "not_a_medical_device must not be empty"),
    ("dimension", 4, "dimension must be 2 or 3"),
    ("badge", "cool", "badge must be '' or 'research use only'"),
    ("landmarks", [], "landmarks must name at least one landmark"),
    ("landmarks.1.label", "AC", 'landmarks[1].label repeats the label "AC"'),
    ("landmarks.1.label", "", "landmarks[1].label must not be empty"),
    ("landmarks.1.side", "up", "landmarks[1].side must be left, right or empty"),
    ("interchangeable.0.1", "XX", f"interchangeable[0] {UNKNOWN_XX}"),
    ("interchangeable.0.1", "AC", "interchangeable[0] must name two different landmarks"),
    ("preprocessing.spacing_mm", [1, 0, 1], "preprocessing.spacing_mm must be three positive numbers"),
    ("preprocessing.spacing_mm", [1, 1], "preprocessing.spacing_mm must be a list of 3 values"),
    ("preprocessing.spacing_mm.2", float("nan"), "preprocessing.spacing_mm[2] must be a finite number"),
    ("preprocessing.spacng", 1, "preprocessing.spacng is not a known field (did you mean spacing_mm?)"),
    ("preprocessing.orientation", "RAA", 'preprocessing.orientation must be like "RAS"'),
    (
        "preprocessing.foreground_radius_mm",
        -1.0,
        "preprocessing.foreground_radius_mm must not be negative",
    ),
    (
        "preprocessing.high_percentile",
        0.5,
        "preprocessing.high_percentile must lie above low_percentile, both in 0 to 100",
    ),
    (
        "preprocessing.second_look_percentiles.0",
        101.0,
        "preprocessing.second_look_percentiles must lie above low_percentile, both in 0 to 100",
    ),
    ("network", [], "network must be a JSON object"),
    ("inference.step", float("inf"), "inference.step must be a finite number"),
    ("shape_model.mean", [0, 1], "shape_model.mean must have 9 numbers, 3 a landmark"),
    (
        "shape_model.eigenvectors",
        [[1, 0, 0]],
        "shape_model.eigenvectors must be one row of 9 numbers for each of the 2 eigenvalues",
    ),
    (
        "shape_model.eigenvalues",
        [1, 2, 3],
        "shape_model.eigenvectors must be one row of 9 numbers for each of the 3 eigenvalues",
    ),
    ("shape_model.eigenvalues.0", -1, "shape_model.eigenvalues must not be negative"),
    ("planes.0.fit.0", ["XX"], f"planes[0] {UNKNOWN_XX}"),
    ("planes.0.origin.0", ["XX"], f"planes[0] {UNKNOWN_XX}"),
    ("planes.0.x_towards", "up", "planes[0].x_towards must be 'R' or 'L' or 'A' or 'P' or 'S' or 'I' or 'order'"),
    ("measurements.0.labels.1", "XX", f"measurements[0] {UNKNOWN_XX}"),
    ("calibration.radius90_mm.XX", 1.0, f"calibration.radius90_mm {UNKNOWN_XX}"),
    ("calibration.radius90_mm.AC", 0.0, "calibration.radius90_mm.AC must be positive"),
    ("calibration.usual_error_mm.XX", 1.0, "calibration.usual_spread_mm must have the labels of usual_error_mm"),
    ("calibration.usual_spread_mm.AC", -1.0, "calibration.usual_spread_mm.AC must not be negative"),
    ("calibration.variance_scale.PC", 0.0, "calibration.variance_scale.PC must be positive"),
    ("field_of_view_mm.minimum.0", 0.0, "field_of_view_mm.minimum must be three positive numbers"),
    ("field_of_view_mm.maximum.0", 10.0, "field_of_view_mm.maximum must not be smaller than minimum"),
    ("rotation_range_deg", 181, "rotation_range_deg must lie between 0 and 180"),
    ("accuracy.0.cases", 0, "accuracy[0].cases must be at least 1"),
    ("accuracy.0.mre_mm", -1, "accuracy[0].mre_mm must not be negative"),
    ("weights_sha256", "abc", "weights_sha256 must be 64 hexadecimal digits in lower case"),
    ("wieghts", "", "wieghts is not a known field"),
    ("format_version", 2, "format_version is 2, but must be 1; update the extension"),
    ("format_version", True, "format_version must be 1"),
]


def with_value(data: dict, path: str | tuple, value: object) -> dict:
    """A copy in which the value at a path such as landmarks.0.label, or at the steps of one, is another."""
    changed = copy.deepcopy(data)
    steps = [int(step) if step.isdigit() else step for step in path.split(".")] if isinstance(path, str) else path
    *parents, last = steps
    target = changed
    for step in parents:
        target = target[step]
    target[last] = value
    return changed


def paths_of(value: object, path: tuple = ()) -> list[tuple]:
    """The steps of every path of a JSON value, containers included."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [deeper for key, item in pairs for deeper in ((*path, key), *paths_of(item, (*path, key)))]


@pytest.mark.parametrize(("path", "value", "problem"), REFUSALS)
def test_each_wrong_field_is_refused_in_one_sentence(path, value, problem):
    with pytest.raises(LandmarkDetectionError) as caught:
        ModelCard.from_json(with_value(TINY_CARD, path, value))
    assert str(caught.value).startswith(f"model.json: {problem}")
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("name", REQUIRED)
def test_each_required_field_is_missed(name):
    data = {key: value for key, value in TINY_CARD.items() if key != name}
    with pytest.raises(LandmarkDetectionError, match=rf"^model\.json: {name} is missing\.$"):
        ModelCard.from_json(data)


def test_the_format_version_must_be_stated():
    data = {key: value for key, value in TINY_CARD.items() if key != "format_version"}
    with pytest.raises(LandmarkDetectionError, match=r"^model\.json: format_version is missing, but must be 1"):
        ModelCard.from_json(data)


def test_all_other_fields_have_a_default():
    card = ModelCard.from_json({name: TINY_CARD[name] for name in ("format_version", *REQUIRED)})
    assert card.planes == ()
    assert card.shape_model is None
    assert card.not_a_medical_device == NOT_A_MEDICAL_DEVICE


@pytest.mark.parametrize("wrong", [None, 3, "card", [], [TINY_CARD]])
def test_a_card_that_is_no_object_is_refused(wrong):
    with pytest.raises(LandmarkDetectionError, match=r"^model\.json: it must be a JSON object\.$"):
        ModelCard.from_json(wrong)


def test_a_refused_plane_or_measurement_keeps_its_reason():
    with pytest.raises(LandmarkDetectionError, match=r'^model\.json: planes\[0\] is not valid: .*"axial"'):
        ModelCard.from_json(with_value(TINY_CARD, "planes.0.fit", [["AC"]]))
    with pytest.raises(LandmarkDetectionError, match=r'^model\.json: measurements\[0\] is not valid: .*"AC-PC"'):
        ModelCard.from_json(with_value(TINY_CARD, "measurements.0.labels", ["AC"]))


def test_a_card_made_in_python_obeys_the_same_rules():
    card = ModelCard.from_json(TINY_CARD)
    values = {name: getattr(card, name) for name in card.to_json()}
    with pytest.raises(LandmarkDetectionError, match=r"^name must be like brain-t1"):
        ModelCard(**values | {"name": "Not A Name"})


def test_a_card_round_trips_through_json_text():
    written = ModelCard.from_json(TINY_CARD).to_json()
    read = ModelCard.from_json(json.loads(json.dumps(written)))
    assert read.to_json() == written
    assert {name: written[name] for name in TINY_CARD if name != "accuracy"} == {
        name: value for name, value in TINY_CARD.items() if name != "accuracy"
    }
    assert read.labels == ("AC", "PC", "LE")
    assert read.shape_model.eigenvectors.shape == (2, 9)


@given(
    st.sampled_from(paths_of(TINY_CARD)),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()) | st.just({}),
)
def test_a_damaged_card_is_read_or_refused_but_never_fails_otherwise(path, value):
    try:
        card = ModelCard.from_json(with_value(TINY_CARD, path, value))
    except LandmarkDetectionError as refusal:
        assert str(refusal).startswith("model.json: ")  # noqa: PT017
    else:
        assert ModelCard.from_json(card.to_json()).to_json() == card.to_json()


@pytest.mark.parametrize(("split", "expected"), [("test", "brain, test split"), ("5 folds", "brain, 5 folds")])
def test_an_accuracy_says_what_it_was_measured_on(split, expected):
    accuracy = Accuracy("brain", split, cases=9, landmarks=4, mre_mm=3.0, median_mm=2.0, sd_mm=1.0, sdr={})
    assert accuracy.measured_on == expected
