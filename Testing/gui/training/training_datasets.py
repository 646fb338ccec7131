"""Datasets that are learned in seconds, and settings that make a training short, endless or fail."""

from __future__ import annotations

import json
from pathlib import Path

from LandmarkDetectionLib.files.dataset_division import divide_cases
from LandmarkDetectionLib.files.dataset_writer import add_case
from LandmarkDetectionLib.spots import spots_case

CASES = 8

_SHORT = {
    "optimisation": {"steps": 12, "minutes": 2.0, "validate_every": 4, "batch_size": 8, "pool_size": 4},
    "network": {"patch_size": 13, "widths": [8, 16], "hidden": 16},
    "preprocessing": {"spacing_mm": [2.0, 2.0, 2.0], "centre": "content"},
}


def write_spots(folder: Path, divided: bool = True) -> Path:
    """A dataset folder of these cases."""
    for seed in range(CASES):
        add_case(folder, *spots_case(seed))
    if divided:
        divide_cases(folder)
    return folder


def write_settings(folder: Path) -> dict[str, Path]:
    """Files of settings: "short" ends after a few steps, "endless" never, nor does "parallel" in two processes."""
    endless = _SHORT["optimisation"] | {"steps": 10**9, "minutes": 1e6}
    contents = {
        "short": _SHORT,
        "endless": _SHORT | {"optimisation": endless},
        "parallel": _SHORT | {"optimisation": endless | {"devices": 2}},
    }
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return {name: folder / f"{name}.json" for name in contents}
