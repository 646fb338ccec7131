"""A recipe is a preset, changed by what a configuration file says, and checked before anything is trained."""

from __future__ import annotations

import json

import pytest

from LandmarkDetectionLib.detectors.pin_search import PINInference, PINNetworkSettings
from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.models.record import parse_record
from LandmarkDetectionLib.training.pin_training import PIN
from LandmarkDetectionLib.training.recipe import load_recipe
from LandmarkDetectionLib.training.registry import METHODS
from LandmarkDetectionLib.training.run import load_method


def write(folder, content):
    path = folder / "config.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize("preset", PIN.presets)
def test_every_preset_makes_a_network_and_a_search_that_can_run(preset):
    recipe = load_recipe(PIN, preset)
    parse_record(PINNetworkSettings, recipe.network, preset)
    parse_record(PINInference, recipe.inference, preset)


def test_quick_and_standard_end_within_5_and_60_minutes():
    assert load_recipe(PIN, "quick").optimisation.minutes < 5
    assert load_recipe(PIN, "standard").optimisation.minutes < 60


def test_paper_preset_is_the_published_schedule():
    recipe = load_recipe(PIN, "paper")
    assert (recipe.optimisation.steps, recipe.optimisation.batch_size) == (100_000, 64)
    assert (recipe.optimisation.learning_rate, recipe.optimisation.weight_decay) == (0.001, 0.0)
    assert recipe.optimisation.constant_rate
    assert recipe.optimisation.gradient_clip == 0.0
    assert (recipe.method.alpha, recipe.method.explained_variance, recipe.method.dropout) == (0.5, 0.995, 0.5)
    assert (recipe.method.near_share, recipe.method.followed_share) == (0.0, 0.0)
    assert recipe.method.published_initialisation
    assert recipe.augmentation == type(recipe.augmentation)()
    assert parse_record(PINNetworkSettings, recipe.network, "paper") == PINNetworkSettings()
    inference = parse_record(PINInference, recipe.inference, "paper")
    assert (inference.rule, inference.confidence, inference.random_initialisations) == ("C", "maximum", 5)
    assert inference.most_iterations == 10


def test_configuration_changes_single_entries(tmp_path):
    config = write(tmp_path, {"optimisation": {"steps": 7}, "network": {"hidden": 64}, "method": {"alpha": 0.25}})
    plain, changed = load_recipe(PIN, "quick"), load_recipe(PIN, "quick", config)
    assert (changed.optimisation.steps, changed.network["hidden"], changed.method.alpha) == (7, 64, 0.25)
    assert changed.optimisation.minutes == plain.optimisation.minutes
    assert changed.network["patch_size"] == plain.network["patch_size"]
    assert changed.method.near_share == plain.method.near_share
    assert load_recipe(PIN, "quick") == plain, "a preset is not changed for good"


def test_fields_of_the_card_are_taken_whole(tmp_path):
    card = {"licence": "CC0-1.0", "planes": [{"name": "TV"}]}
    assert load_recipe(PIN, "quick", write(tmp_path, {"card": card})).card == card


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "cannot be read as a JSON configuration"),
        ("[1]", "a configuration is a JSON object"),
        ({"optimization": {}}, r"optimization is not a known field \(did you mean optimisation\?\)"),
        ({"optimisation": {"step": 3}}, r"optimisation.step is not a known field"),
        ({"optimisation": {"steps": "many"}}, "optimisation.steps must be a whole number"),
        ({"optimisation": {"steps": 0}}, "optimisation.steps must be above zero"),
        ({"optimisation": {"pool_size": -1}}, "optimisation.pool_size must be above zero"),
        ({"optimisation": {"validate_every": 0}}, "optimisation.validate_every must be above zero"),
        ({"method": {"alpha": 1.5}}, "method: alpha must lie between 0 and 1"),
        ({"method": {"followed_share": -0.1}}, "method: followed_share must lie between 0 and 1"),
        ({"network": {"hiden": 64}}, r"network: hiden is not a known field \(did you mean hidden\?\)"),
        ({"inference": {"iterations": "ten"}}, "inference: iterations must be"),
        ({"preprocessing": {"spacing": 2.0}}, "preprocessing: spacing is not a known field"),
        ({"augmentation": {"crop_mm": [1, 2]}}, "augmentation.crop_mm must be six numbers"),
        ({"augmentation": {"rotation_deg": None}}, "augmentation.rotation_deg must be a finite number"),
    ],
)
def test_wrong_configuration_is_refused_in_a_sentence(tmp_path, content, complaint):
    with pytest.raises(LandmarkDetectionError, match=complaint) as refusal:
        load_recipe(PIN, "quick", write(tmp_path, content))
    assert "config.json" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_missing_configuration_is_refused(tmp_path):
    with pytest.raises(LandmarkDetectionError, match=r"absent\.json: cannot be read"):
        load_recipe(PIN, "quick", tmp_path / "absent.json")


def test_unknown_preset_is_refused():
    with pytest.raises(LandmarkDetectionError, match='no preset "slow"; choose one of: quick, standard, paper'):
        load_recipe(PIN, "slow")


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("part", ["network", "inference", "method"])
def test_no_method_takes_a_setting_it_does_not_know(tmp_path, name, part):
    with pytest.raises(LandmarkDetectionError, match=f"{part}: wisdom is not a known field"):
        load_recipe(load_method(name), "quick", write(tmp_path, {part: {"wisdom": 3}}))


def test_a_file_that_is_not_there_is_named_in_words(tmp_path):
    with pytest.raises(LandmarkDetectionError, match=r"cannot be read as a JSON configuration \(No such file"):
        load_recipe(PIN, "quick", tmp_path / "none.json")
