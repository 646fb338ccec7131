"""Fixtures of the unit tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tiny_models import TINY_CARD, TINY_TENSORS

from LandmarkDetectionLib.models.bundle import save_bundle
from LandmarkDetectionLib.models.card import ModelCard

# The benchmarks are scripts that find each other in their folder.
sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))


@pytest.fixture
def tiny_card() -> ModelCard:
    """The card of a model that nobody trained; it uses every part a card may have."""
    return ModelCard.from_json(TINY_CARD)


@pytest.fixture
def tiny_bundle(tmp_path: Path, tiny_card: ModelCard) -> Path:
    """The folder of a whole bundle named tiny-brain; the folder above it holds nothing else."""
    folder = tmp_path / "bundles" / "tiny-brain"
    save_bundle(folder, tiny_card, TINY_TENSORS)
    return folder
