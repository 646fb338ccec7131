"""The pages about the bundled models: they say what the cards say, and the samples have pictures."""

from __future__ import annotations

import re

import pytest
from model_pages import PAGES, page_of, shipped_cards
from PySide6.QtGui import QImage

from LandmarkDetectionLib.models.registry import sample_image, sample_thumbnail

CARDS = [pytest.param(card, id=card.name) for card in shipped_cards()]
SAMPLED = [pytest.param(card.name, id=card.name) for card in shipped_cards() if sample_image(card.name)]


@pytest.mark.parametrize("card", CARDS)
def test_every_bundled_model_has_a_page_that_is_up_to_date(card):
    page = (PAGES / f"{card.name}.md").read_text(encoding="utf-8")
    assert page == page_of(card), "run: python Testing/model_pages.py"


def test_no_page_or_picture_is_left_of_a_model_that_is_gone():
    assert {file.stem for file in PAGES.iterdir()} == {card.name for card in shipped_cards()}


@pytest.mark.parametrize("card", CARDS)
def test_a_page_tells_what_a_user_must_know(card):
    page = page_of(card)
    assert all(text in page for text in (card.licence, card.limitations, card.citation, card.not_a_medical_device))
    assert card.worst_cases, "nobody looked at the cases it errs most on"
    assert card.worst_cases in page
    assert all(f"| {mark.label} |" in page for mark in card.landmarks)
    assert all(f"{accuracy.mre_mm:.2f} mm" in page for accuracy in card.accuracy)


@pytest.mark.parametrize("name", SAMPLED)
def test_every_sample_has_a_thumbnail_and_a_picture_on_its_page(name):
    advice = "run: python Testing/sample_pictures.py"
    assert QImage(str(sample_thumbnail(name))).height() == 280, advice
    (picture,) = re.findall(r"!\[[^\]]+\]\((.+)\)", (PAGES / f"{name}.md").read_text(encoding="utf-8"))
    assert not QImage(str(PAGES / picture)).isNull(), advice


def test_a_model_without_a_sample_has_no_thumbnail():
    assert sample_thumbnail("a model of one's own") is None
