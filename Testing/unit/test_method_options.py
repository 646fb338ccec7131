"""The options of every method are listed with what they mean, from where they are defined."""

from __future__ import annotations

import dataclasses
import re

import pytest
from command_line import call
from tiny_detector import write_tiny_bundle

from LandmarkDetectionLib.detectors.options import MethodOption, options_of
from LandmarkDetectionLib.detectors.registry import DETECTORS, detector_class
from LandmarkDetectionLib.models.record import field_meanings


@pytest.mark.parametrize("method", DETECTORS)
def test_every_option_of_a_method_is_described(tiny_card, method):
    settings = detector_class(dataclasses.replace(tiny_card, method=method)).inference_settings
    assert list(field_meanings(settings)) == [field.name for field in dataclasses.fields(settings)]


def test_an_option_has_the_value_of_the_card_else_that_of_the_method(tiny_card):
    card = dataclasses.replace(tiny_card, method="cascade", inference={"refinements": 3})
    decoding, refinements = options_of(card)
    assert refinements == MethodOption("refinements", "3", (), "how often the second stage corrects the position.")
    assert (decoding.value, decoding.choices) == ("arg-max", ("arg-max", "sub-voxel"))


def test_a_meaning_over_several_lines_is_one():
    @dataclasses.dataclass
    class Walk:
        """A walk.

        Attributes:
            steps: how many,
                counted twice.
            dog: whether one comes along.

        Raises:
            Rain: always.
        """

        steps: int
        dog: bool

    assert field_meanings(Walk) == {"steps": "how many, counted twice.", "dog": "whether one comes along."}


def test_a_model_is_shown_with_its_options(tmp_path):
    shown = call("models", "show", write_tiny_bundle(tmp_path)).out
    assert re.search(r"--option +value +meaning\n", shown)
    assert re.search(r"^confidence +maximum +weight of a mode in rule C\. One of: maximum, pairwise\.$", shown, re.M)
