"""Models are found by name or path; a broken one is reported and never in the way of the others."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import fields, replace
from pathlib import Path

import pytest
from tiny_models import TINY_TENSORS

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.models import registry
from LandmarkDetectionLib.models.bundle import load_bundle, load_card, save_bundle


@pytest.fixture
def user_folder(tmp_path, monkeypatch) -> Path:
    """An empty place for imported models."""
    monkeypatch.setenv(registry.MODELS_FOLDER_VARIABLE, str(tmp_path / "user"))
    return tmp_path / "user"


@pytest.fixture
def shipped(tmp_path, monkeypatch, tiny_card, user_folder) -> Path:
    """Package resources that ship one model, shipped-brain, with a sample."""
    resources = tmp_path / "Resources"
    card = save_bundle(resources / "Models" / "folder", replace(tiny_card, name="shipped-brain"), TINY_TENSORS)
    line = {"name": card.name, "folder": "folder", "weights_sha256": card.weights_sha256, "sample": "Samples/head.nrrd"}
    (resources / "Models" / "registry.json").write_text(json.dumps({"format_version": 1, "models": [line]}))
    monkeypatch.setattr(registry, "resources_folder", lambda: resources)
    return resources


@pytest.mark.usefixtures("shipped")
class TestFinding:
    def test_by_name_among_the_shipped_and_the_imported(self, shipped, user_folder, tiny_bundle):
        registry.import_model(tiny_bundle)
        assert registry.find_model("shipped-brain") == shipped / "Models" / "folder"
        assert registry.find_model("tiny-brain") == user_folder / "tiny-brain"

    def test_by_path_of_a_folder_or_a_zip(self, tiny_bundle):
        archive = Path(shutil.make_archive(str(tiny_bundle), "zip", tiny_bundle))
        assert registry.find_model(tiny_bundle) == tiny_bundle
        assert registry.find_model(str(archive)) == archive

    def test_a_name_comes_before_a_folder_that_happens_to_lie_here(self, shipped, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "shipped-brain").mkdir()
        assert registry.find_model("shipped-brain") == shipped / "Models" / "folder"
        assert registry.find_model("./shipped-brain") == Path("./shipped-brain")

    def test_an_unknown_name_is_answered_with_the_known_and_the_closest(self, tiny_bundle):
        registry.import_model(tiny_bundle)
        with pytest.raises(LandmarkDetectionError) as caught:
            registry.find_model("tiny-brian")
        assert str(caught.value) == (
            '"tiny-brian" is not a model\'s name or a bundle\'s path (did you mean "tiny-brain"?); '
            "choose one of: shipped-brain, tiny-brain."
        )

    def test_a_path_where_nothing_lies_is_answered_without_names(self, tmp_path):
        with pytest.raises(LandmarkDetectionError, match=r"gone does not exist; give the folder or zip of a model"):
            registry.find_model(tmp_path / "gone")

    def test_the_default_place_is_in_the_users_home(self, monkeypatch, tmp_path):
        monkeypatch.delenv(registry.MODELS_FOLDER_VARIABLE, raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))
        assert registry.user_models_folder() == tmp_path / ".landmark-detection" / "models"

    def test_the_sample_of_a_shipped_model(self, shipped, tiny_bundle):
        registry.import_model(tiny_bundle)
        assert registry.sample_image("shipped-brain") == shipped / "Samples" / "head.nrrd"
        assert registry.sample_image("tiny-brain") is None


@pytest.mark.usefixtures("shipped")
class TestListing:
    def test_shipped_first_then_imported(self, tiny_bundle):
        registry.import_model(tiny_bundle)
        assert [card.name for card in registry.list_models()] == ["shipped-brain", "tiny-brain"]
        assert registry.broken_models() == []

    def test_nothing_imported_is_no_problem(self, user_folder):
        assert not user_folder.exists()
        assert [card.name for card in registry.list_models()] == ["shipped-brain"]

    def test_broken_ones_are_reported_and_the_others_listed(self, user_folder, tiny_bundle):
        registry.import_model(tiny_bundle)
        shutil.copytree(tiny_bundle, user_folder / "renamed")
        (user_folder / "empty").mkdir()
        (user_folder / ".interrupted").mkdir()
        (user_folder / "notes.txt").write_text("not a model")
        assert [card.name for card in registry.list_models()] == ["shipped-brain", "tiny-brain"]
        empty, renamed = registry.broken_models()
        assert empty.endswith("empty is not a model bundle: it holds no model.json.")
        assert renamed.endswith('renamed holds the model "tiny-brain"; give the folder that name.')

    def test_a_shipped_model_hides_a_stray_folder_of_its_name(self, shipped, user_folder, tiny_bundle):
        shutil.copytree(tiny_bundle, user_folder / "shipped-brain")
        assert [card.name for card in registry.list_models()] == ["shipped-brain"]
        assert registry.find_model("shipped-brain") == shipped / "Models" / "folder"


@pytest.mark.usefixtures("shipped")
class TestImporting:
    def test_from_a_zip_with_its_preview(self, user_folder, tiny_bundle):
        (tiny_bundle / "preview.png").write_bytes(b"picture")
        card = registry.import_model(shutil.make_archive(str(tiny_bundle), "zip", tiny_bundle))
        assert card.name == "tiny-brain"
        assert load_bundle(user_folder / "tiny-brain").card.to_json() == card.to_json()
        assert (user_folder / "tiny-brain" / "preview.png").read_bytes() == b"picture"

    def test_a_newer_version_replaces_the_older(self, user_folder, tiny_bundle, tiny_card):
        registry.import_model(tiny_bundle)
        save_bundle(tiny_bundle, replace(tiny_card, version="2.0.0"), TINY_TENSORS)
        registry.import_model(tiny_bundle)
        assert load_card(user_folder / "tiny-brain").version == "2.0.0"

    def test_what_is_damaged_leaves_nothing_behind(self, user_folder, tiny_bundle):
        (tiny_bundle / "weights.safetensors").write_bytes(b"damaged")
        with pytest.raises(LandmarkDetectionError, match="SHA-256 differs"):
            registry.import_model(tiny_bundle)
        assert not user_folder.exists()

    def test_the_name_of_a_shipped_model_is_taken(self, shipped, user_folder):
        with pytest.raises(LandmarkDetectionError, match=r'because a shipped model is named "shipped-brain"'):
            registry.import_model(shipped / "Models" / "folder")
        assert not user_folder.exists()


@pytest.mark.usefixtures("shipped")
class TestVerifying:
    def test_a_whole_model_gives_its_card(self, tiny_bundle):
        registry.import_model(tiny_bundle)
        assert registry.verify_model("shipped-brain").name == "shipped-brain"
        assert registry.verify_model("tiny-brain").name == "tiny-brain"

    def test_a_damaged_model_is_named(self, user_folder, tiny_bundle):
        registry.import_model(tiny_bundle)
        (user_folder / "tiny-brain" / "weights.safetensors").write_bytes(b"damaged")
        with pytest.raises(LandmarkDetectionError, match=r"tiny-brain: weights\.safetensors is not the file"):
            registry.verify_model("tiny-brain")

    def test_a_shipped_model_with_weights_of_its_own_is_noticed(self, shipped, tiny_card):
        other = {name: tensor + 1 for name, tensor in TINY_TENSORS.items()}
        save_bundle(shipped / "Models" / "folder", replace(tiny_card, name="shipped-brain"), other)
        with pytest.raises(LandmarkDetectionError, match=r'The weights of "shipped-brain" are not those'):
            registry.verify_model("shipped-brain")


@pytest.mark.usefixtures("shipped")
class TestRemoving:
    def test_an_imported_model_goes(self, user_folder, tiny_bundle):
        registry.import_model(tiny_bundle)
        registry.remove_model("tiny-brain")
        assert list(user_folder.iterdir()) == []

    def test_a_broken_one_goes_too(self, user_folder):
        (user_folder / "broken").mkdir(parents=True)
        (user_folder / "broken" / "model.json").write_text("{")
        registry.remove_model("broken")
        assert registry.broken_models() == []

    def test_a_shipped_one_stays(self, shipped):
        with pytest.raises(LandmarkDetectionError, match=r'^"shipped-brain" is shipped with the extension'):
            registry.remove_model("shipped-brain")
        assert (shipped / "Models" / "folder" / "model.json").exists()

    @pytest.mark.parametrize("name", ["unknown", "../Resources", ".", ""])
    def test_what_is_no_imported_model_is_refused(self, tiny_bundle, name):
        registry.import_model(tiny_bundle)
        with pytest.raises(LandmarkDetectionError, match=r"is not an imported model; choose one of: tiny-brain\.$"):
            registry.remove_model(name)

    def test_a_folder_with_other_contents_is_left_alone(self, user_folder, tiny_bundle):
        registry.import_model(tiny_bundle)
        (user_folder / "tiny-brain" / "notes.txt").write_text("mine")
        with pytest.raises(LandmarkDetectionError, match=r"holds notes\.txt, .* move it elsewhere first"):
            registry.remove_model("tiny-brain")
        assert (user_folder / "tiny-brain" / "model.json").exists()


@pytest.mark.usefixtures("user_folder")
class TestShippedResources:
    """The real package data."""

    @pytest.fixture
    def lines(self) -> list[dict]:
        return json.loads((registry.resources_folder() / "Models" / "registry.json").read_text())["models"]

    def test_the_schema_describes_what_is_parsed(self):
        schema = json.loads((registry.resources_folder() / "Models" / "registry.schema.json").read_text())
        line = schema["properties"]["models"]["items"]
        assert schema["required"] == list(schema["properties"]) == [f.name for f in fields(registry.Registry)]
        assert line["required"] == list(line["properties"]) == [f.name for f in fields(registry.BundledModel)]

    def test_every_line_follows_the_schema(self, lines):
        schema = json.loads((registry.resources_folder() / "Models" / "registry.schema.json").read_text())
        properties = schema["properties"]["models"]["items"]["properties"]
        patterns = {name: rule["pattern"] for name, rule in properties.items() if "pattern" in rule}
        assert {"name", "weights_sha256"} == patterns.keys()
        assert all(re.search(pattern, line[name]) for line in lines for name, pattern in patterns.items())

    def test_every_shipped_model_is_whole_and_registered_with_its_hash(self, lines):
        assert [card.name for card in registry.list_models()] == [line["name"] for line in lines]
        for line in lines:
            weights = registry.find_model(line["name"]) / "weights.safetensors"
            assert registry.verify_model(line["name"]).name == line["name"]
            assert hashlib.sha256(weights.read_bytes()).hexdigest() == line["weights_sha256"]
            assert weights.stat().st_size <= 10 * 2**20

    def test_every_folder_and_every_sample_is_there_and_in_the_registry(self, lines):
        folders = {entry.name for entry in (registry.resources_folder() / "Models").iterdir() if entry.is_dir()}
        assert folders == {line["folder"] for line in lines}
        assert all(registry.sample_image(line["name"]).is_file() for line in lines if line["sample"] is not None)
