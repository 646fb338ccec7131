"""Whether a volume looks like what a model was made for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tiny_detector import write_tiny_bundle

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.models.bundle import load_card
from LandmarkDetectionLib.suitability import check_dimension, field_of_view_doubts, modality_doubts
from LandmarkDetectionLib.volume import Volume


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    return load_card(write_tiny_bundle(tmp_path_factory.mktemp("models")))


def volume(*size, spacing_mm=2.0):
    return Volume(np.zeros(size[::-1], np.uint8), np.diag([spacing_mm] * 3 + [1.0]), "head")


def test_a_volume_as_in_training_raises_no_doubt(card):
    check_dimension(volume(30, 30, 30), card)
    assert field_of_view_doubts(volume(30, 30, 30), card) == ()


def test_a_picture_is_refused_to_a_model_for_volumes(card):
    with pytest.raises(LandmarkDetectionError, match=r"volumes \(3D\), and this image has 30x30x1 voxels"):
        check_dimension(volume(30, 30, 1), card)


@pytest.mark.parametrize("size", [(1, 1, 1), (30, 1, 1)])
def test_what_is_neither_a_picture_nor_a_volume_is_refused_to_every_model(card, size):
    for dimension in (2, 3):
        with pytest.raises(LandmarkDetectionError, match="x1x1 voxels are neither a picture nor a volume"):
            check_dimension(volume(*size), dataclasses.replace(card, dimension=dimension))


def test_another_field_of_view_is_doubtful_along_the_model_s_axes(card):
    (doubt,) = field_of_view_doubts(volume(100, 30, 30), card)
    assert doubt.startswith("The field of view of 200 x 60 x 60 mm is unlike the 40 x 40 x 40 to 80 x 80 x 80 mm")


@pytest.mark.parametrize(
    ("modality", "least", "doubt"),
    [
        ("CT", 0, "expects CT in Hounsfield units, but the smallest value here is 0"),
        ("CT", -1024, ""),
        ("CBCT of the skull", 0, "expects CT"),
        ("micro-CT", 0, ""),
        ("MRI, T1-weighted", -1024, "values as low as -1024 look like CT"),
        ("MRI, T1-weighted", -3, ""),
        ("Ultrasound, 2D", -1024, "look like CT"),
        ("any", -1024, ""),
    ],
)
def test_values_of_another_modality_are_doubtful(card, modality, least, doubt):
    found = " ".join(modality_doubts(least, dataclasses.replace(card, modality=modality)))
    assert doubt in found
    assert bool(doubt) == bool(found)
