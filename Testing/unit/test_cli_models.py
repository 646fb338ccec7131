"""models list, show, import, verify, remove: the life of a bundle in the user's own folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_line import call, sentence_of
from tiny_detector import LABELS, write_tiny_bundle

from LandmarkDetectionLib.models.card import ModelCard


@pytest.fixture(autouse=True)
def models_folder(tmp_path, monkeypatch) -> Path:
    """The user's own models: none yet."""
    monkeypatch.setenv("LANDMARK_DETECTION_MODELS", str(tmp_path / "mine"))
    return tmp_path / "mine"


@pytest.fixture
def bundle(tmp_path) -> Path:
    return write_tiny_bundle(tmp_path, "tiny-head")


def listed_names() -> list[str]:
    return [model["name"] for model in json.loads(call("models", "list", "--json").out)]


def test_a_model_can_be_imported_listed_shown_verified_and_removed(bundle):
    shipped = listed_names()
    assert call("models", "import", bundle).out == "tiny-head 1.0 is imported: detect --model tiny-head\n"
    assert listed_names() == [*shipped, "tiny-head"]
    assert "tiny-head" in call("models", "list").out
    assert "Random weights, for tests." in call("models", "show", "tiny-head").out
    assert "is whole: SHA-256" in call("models", "verify", "tiny-head").out
    assert call("models", "remove", "tiny-head").status == 0
    assert listed_names() == shipped


def test_a_zip_can_be_imported(bundle):
    archive = shutil.make_archive(str(bundle), "zip", bundle)
    assert call("models", "import", archive).status == 0
    assert "tiny-head" in listed_names()


def test_a_damaged_model_is_not_imported(bundle, models_folder):
    (bundle / "weights.safetensors").write_bytes(b"cut")
    assert "SHA-256" in sentence_of(call("models", "import", bundle))
    assert not models_folder.exists()


def test_an_altered_model_is_not_verified(bundle, models_folder):
    call("models", "import", bundle)
    (models_folder / "tiny-head" / "weights.safetensors").write_bytes(b"altered")
    assert "SHA-256" in sentence_of(call("models", "verify", "tiny-head"))


def test_a_broken_model_does_not_hide_the_others(bundle, models_folder):
    call("models", "import", bundle)
    (models_folder / "broken").mkdir()
    listed = call("models", "list")
    assert listed.status == 0
    assert "tiny-head" in listed.out
    assert "broken" in listed.err


def test_the_list_for_machines_tells_what_a_choice_needs(bundle):
    call("models", "import", bundle)
    (model,) = [model for model in json.loads(call("models", "list", "--json").out) if model["name"] == "tiny-head"]
    assert set(model) >= {"name", "method", "anatomy", "modality", "landmarks", "licence", "accuracy"}
    assert [landmark["label"] for landmark in model["landmarks"]] == list(LABELS)


def test_a_card_for_machines_can_be_read_back(bundle):
    shown = json.loads(call("models", "show", bundle, "--json").out)
    assert ModelCard.from_json(shown).name == "tiny-head"


def test_a_card_names_its_landmarks_planes_and_limits(bundle):
    shown = call("models", "show", bundle).out
    assert all(label in shown for label in LABELS)
    assert all(words in shown for words in ("axial from below", "Finds nothing.", "Apache-2.0", "not measured"))
    assert "not a medical device" in shown
    assert "90 % within 3.5 to 3.5 mm, by landmark; 9 cases, split conformal" in shown


@pytest.mark.parametrize("action", ["import", "verify", "remove"])
def test_each_action_can_answer_a_machine(bundle, action):
    call("models", "import", bundle)
    answer = json.loads(call("models", action, bundle if action == "import" else "tiny-head", "--json").out)
    assert answer["name"] == "tiny-head"


def test_a_model_of_an_unknown_method_is_not_imported(bundle, models_folder):
    card = json.loads((bundle / "model.json").read_text())
    (bundle / "model.json").write_text(json.dumps(card | {"method": "future"}))
    assert "uses the method future, which this version lacks" in sentence_of(call("models", "import", bundle))
    assert not (models_folder / "tiny-head").exists()
