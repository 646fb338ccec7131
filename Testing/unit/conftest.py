"""Tiny model bundles, so that no unit test waits for a trained one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from LandmarkDetectionLib.models.bundle import save_bundle
from LandmarkDetectionLib.models.card import ModelCard

TINY_TENSORS = {"head.weight": torch.arange(6, dtype=torch.float16).reshape(2, 3), "head.bias": torch.ones(2)}


@pytest.fixture
def tiny_card_json() -> dict:
    """The contents of a model.json that uses every part a card may have; each test gets its own copy."""
    return {
        "format_version": 1,
        "name": "tiny-brain",
        "version": "1.0.0",
        "method": "pin",
        "modality": "MR T1",
        "anatomy": "brain",
        "dimension": 3,
        "description": "Three landmarks that nobody trained.",
        "landmarks": [
            {"label": "AC", "description": "anterior commissure", "side": ""},
            {"label": "PC", "description": "posterior commissure", "side": ""},
            {"label": "LE", "description": "left eye", "side": "left"},
        ],
        "interchangeable": [["AC", "PC"]],
        "preprocessing": {
            "orientation": "RAS",
            "spacing_mm": [1.0, 1.0, 1.5],
            "low_percentile": 1.0,
            "high_percentile": 99.0,
            "centre": "foreground",
        },
        "network": {"patch_size": 101, "nested": {"channels": [30, 32]}},
        "inference": {"iterations": 10},
        "shape_model": {
            "mean": [0, 1, 2, 3, 4, 5, 6, 7, 8],
            "eigenvectors": [[1, 0, 0, 0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0, 0, 0]],
            "eigenvalues": [4.0, 1.0],
        },
        "planes": [
            {
                "name": "axial",
                "description": "through the commissures",
                "fit": [["AC"], ["PC"], ["LE"]],
                "normal_towards": "S",
                "axis": [["PC"], ["AC"]],
                "x_towards": "order",
                "origin": [["AC"]],
                "size_mm": [200.0, 160.0],
            }
        ],
        "measurements": [
            {
                "name": "AC-PC",
                "description": "distance of the commissures",
                "kind": "distance",
                "labels": ["AC", "PC"],
                "unit": "mm",
            }
        ],
        "field_of_view_mm": {"minimum": [150.0, 180.0, 150.0], "maximum": [260.0, 260.0, 256.0]},
        "rotation_range_deg": 20.0,
        "accuracy": [
            {
                "dataset": "brain",
                "split": "test",
                "cases": 12,
                "landmarks": 3,
                "mre_mm": 1.5,
                "median_mm": 1.4,
                "sd_mm": 0.7,
                "sdr": {"2.0": 0.8, "4.0": 1.0},
                "mean_position_mre_mm": 17.6,
            }
        ],
        "calibration": {"radius90_mm": {"AC": 2.0, "PC": 2.1, "LE": 3.0}, "cases": 20, "method": "split conformal"},
        "resources": {"cpu_seconds": 1.2, "gpu_seconds": None, "memory_mb": 500.0},
        "training": {"data": "none", "cases": 0, "licence": "CC0", "preset": "quick", "notes": ""},
        "licence": "Apache-2.0",
        "badge": "research use only",
        "citation": "nobody",
        "limitations": "finds nothing",
        "not_a_medical_device": "Not a medical device.",
        "weights_sha256": "",
    }


@pytest.fixture
def tiny_card(tiny_card_json: dict) -> ModelCard:
    """The same, parsed."""
    return ModelCard.from_json(tiny_card_json)


@pytest.fixture
def tiny_bundle(tmp_path: Path, tiny_card: ModelCard) -> Path:
    """The folder of a whole bundle named tiny-brain; the folder above it holds nothing else."""
    folder = tmp_path / "bundles" / "tiny-brain"
    save_bundle(folder, tiny_card, TINY_TENSORS)
    return folder


@pytest.fixture
def zip_of() -> Callable[[Path], Path]:
    """Zips a bundle's folder, files at the top."""

    def make(folder: Path) -> Path:
        return Path(shutil.make_archive(str(folder), "zip", folder))

    return make
