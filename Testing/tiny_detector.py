"""A PIN model bundle small enough to write and run in a test: random weights, real method."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from LandmarkDetectionLib.models.bundle import load_bundle, save_bundle
from LandmarkDetectionLib.models.card import ModelCard
from LandmarkDetectionLib.networks.pin import PINNetwork
from LandmarkDetectionLib.shape_model import ShapeModel

LABELS = ("AC", "PC", "RE", "LE")
MEAN_SHAPE_MM = np.array([[0.0, 12.0, 0.0], [0.0, -12.0, 0.0], [15.0, 15.0, -8.0], [-15.0, 15.0, -8.0]])
NETWORK = {"patch_size": 11, "widths": [4, 8], "hidden": 8}
INFERENCE = {"random_initialisations": 2, "iterations": 5}
ENDLESS = {"iterations": 1_000_000, "tolerance_mm": -1.0}
"""Inference settings with which a detection lasts until it is cancelled."""


def write_tiny_bundle(folder: Path, name: str = "tiny", **inference: float) -> Path:
    """Write a bundle of four landmarks, two planes and a calibration to `folder / name`."""
    torch.manual_seed(0)
    network = PINNetwork(3 * len(LABELS), outputs=2, widths=NETWORK["widths"], hidden=NETWORK["hidden"])
    save_bundle(folder / name, ModelCard.from_json(_card(name, INFERENCE | inference)), network.state_dict())
    return folder / name


def write_second_opinion(folder: Path, name: str, seed: int, shift_mm: float = 0.0) -> Path:
    """The tiny bundle with slightly other weights, which finds everything `shift_mm` higher."""
    bundle = load_bundle(write_tiny_bundle(folder, name))
    generator = torch.Generator().manual_seed(seed)
    tensors = {key: one + 0.001 * torch.randn(one.shape, generator=generator) for key, one in bundle.tensors.items()}
    shape = bundle.card.shape_model
    mean = shape.mean + np.tile([0.0, 0.0, shift_mm], len(LABELS))
    card = replace(bundle.card, shape_model=ShapeModel(mean, shape.eigenvectors, shape.eigenvalues))
    save_bundle(folder / name, card, tensors)
    return folder / name


def _card(name: str, inference: dict[str, float]) -> dict:
    modes = np.zeros((2, 3 * len(LABELS)))
    modes[0, 1::3] = modes[1, 2::3] = 1.0 / np.sqrt(len(LABELS))
    return {
        "format_version": 1,
        "name": name,
        "version": "1.0",
        "method": "pin",
        "modality": "any",
        "anatomy": "test head",
        "dimension": 3,
        "description": "Random weights, for tests.",
        "landmarks": [{"label": label, "description": f"{label} of a test", "side": ""} for label in LABELS],
        "preprocessing": {"orientation": "RAS", "spacing_mm": [2.0, 2.0, 2.0], "centre": "content"},
        "network": NETWORK,
        "inference": inference,
        "shape_model": {
            "mean": MEAN_SHAPE_MM.ravel().tolist(),
            "eigenvectors": modes.tolist(),
            "eigenvalues": [4.0, 1.0],
        },
        "planes": [_plane("axial", "S"), _plane("axial from below", "I")],
        "field_of_view_mm": {"minimum": [40.0, 40.0, 40.0], "maximum": [80.0, 80.0, 80.0]},
        "rotation_range_deg": 0.0,
        "calibration": {"radius90_mm": {"AC": 3.5}, "cases": 9, "method": "split conformal"},
        "training": {"data": "none", "cases": 0, "licence": "CC0-1.0", "preset": "none"},
        "licence": "Apache-2.0",
        "citation": "nobody",
        "limitations": "Finds nothing.",
    }


def _plane(name: str, normal_towards: str) -> dict:
    return {
        "name": name,
        "description": "Through the first three landmarks.",
        "fit": [["AC"], ["PC"], ["RE"]],
        "normal_towards": normal_towards,
        "axis": [["PC"], ["AC"]],
        "x_towards": "order",
        "origin": [["AC"], ["PC"]],
        "size_mm": [40.0, 30.0],
    }
