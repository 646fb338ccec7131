"""Trains the tiny model of the self-tests anew, in a minute: `python Testing/spots_model.py`."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

from LandmarkDetectionLib.files.dataset_division import divide_cases
from LandmarkDetectionLib.files.dataset_writer import add_case
from LandmarkDetectionLib.models.bundle import load_bundle, save_bundle
from LandmarkDetectionLib.spots import SPOTS_MODEL, spots_case, spots_models_folder
from LandmarkDetectionLib.training.run import train

FIRST_SEED, CASES = 1000, 80
"""The self-tests use other seeds."""

_SETTINGS = {
    "optimisation": {
        "steps": 4000,
        "minutes": 4.0,
        "validate_every": 400,
        "batch_size": 64,
        "pool_size": 64,
        "learning_rate": 3e-3,
    },
    "augmentation": {
        "rotation_deg": 0.0,
        "scale": 0.0,
        "stretch": 0.0,
        "centre_shift_mm": 1.0,
        "gamma": 0.1,
        "noise": 0.02,
    },
    "network": {"patch_size": 13, "widths": [8, 16], "hidden": 32},
    "preprocessing": {"spacing_mm": [1.0, 1.0, 1.0], "centre": "content"},
    "inference": {"random_initialisations": 5},
}


def main() -> None:
    """Write the bundle into the library's Resources."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed in range(FIRST_SEED, FIRST_SEED + CASES):
            add_case(folder / "spots", *spots_case(seed))
        divide_cases(folder / "spots")
        (folder / "settings.json").write_text(json.dumps(_SETTINGS), encoding="utf-8")
        trained = folder / "models" / SPOTS_MODEL
        train(folder / "spots", "pin", trained, preset="quick", device="cpu", config=folder / "settings.json")
        bundle = load_bundle(trained)
    card = replace(
        bundle.card,
        anatomy="two bright spots",
        modality="Test pattern",
        description="Finds two bright spots in noise. The modules' self-tests detect with it and train it further.",
        training=replace(bundle.card.training, data="Testing/spots_model.py", licence="Apache-2.0 (simulated)"),
        licence="Apache-2.0",
        limitations="Of no use but for the self-tests.",
    )
    save_bundle(spots_models_folder() / SPOTS_MODEL, card, bundle.tensors)


if __name__ == "__main__":
    main()
