"""A model small enough to be built by every test that needs one; nobody trained it."""

from __future__ import annotations

import torch

TINY_CARD = {
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
        "foreground_radius_mm": 0.0,
        "pose_spacing_mm": 0.0,
        "second_look_percentiles": [90.0],
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
    "calibration": {
        "radius90_mm": {"AC": 2.0, "PC": 2.1, "LE": 3.0},
        "cases": 20,
        "method": "split conformal",
        "usual_error_mm": {"AC": 1.0, "PC": 1.2},
        "usual_spread_mm": {"AC": 0.5, "PC": 0.4},
        "variance_scale": {"AC": 1.5, "PC": 0.8},
        "presence_weight": 0.5,
        "presence_bias": -1.0,
    },
    "resources": {"cpu_seconds": 1.2, "gpu_seconds": None, "memory_mb": 500.0},
    "training": {"data": "none", "cases": 0, "licence": "CC0", "preset": "quick", "notes": ""},
    "licence": "Apache-2.0",
    "badge": "research use only",
    "citation": "nobody",
    "limitations": "finds nothing",
    "not_a_medical_device": "Not a medical device.",
    "weights_sha256": "",
}
"""The contents of a model.json that uses every part a card may have. Change a copy, never this."""

TINY_TENSORS = {"head.weight": torch.arange(6, dtype=torch.float16).reshape(2, 3), "head.bias": torch.ones(2)}
