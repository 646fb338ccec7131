"""A small dataset folder, and a detector that knows its truth and errs by fixed offsets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.images import write_volume
from LandmarkDetectionLib.files.markups import write_markups
from LandmarkDetectionLib.landmarks import DetectedLandmark, Detection, LandmarkSet
from LandmarkDetectionLib.volume import Volume

SHAPE = LandmarkSet({"AC": (20.0, 30.0, 20.0), "PC": (20.0, 10.0, 20.0), "LE": (5.0, 20.0, 20.0)})
SHIFTS = {"train1": 0.0, "train2": 2.0, "one": 4.0, "two": -4.0, "three & four": 0.0}
OFFSETS_MM = {"AC": (3.0, 0.0, 0.0), "PC": (3.0, 0.0, 0.0), "LE": (0.0, 0.0, 0.5)}


def moved(landmarks: LandmarkSet, *offset_mm: float) -> LandmarkSet:
    """Every landmark at the same offset from its place."""
    return LandmarkSet({label: None if point is None else point + offset_mm for label, point in landmarks.items()})


TRUTHS = {name: moved(SHAPE, shift, 0.0, 0.0) for name, shift in SHIFTS.items()}


class KnowingDetector:
    """Knows the truth of every volume by its name, and errs by fixed offsets."""

    def __init__(
        self,
        card,
        truths: Mapping[str, LandmarkSet] = TRUTHS,
        *,
        offsets_mm: Mapping[str, tuple[float, ...]] = OFFSETS_MM,
        radius90_mm=None,
        missing=(),
        refuses=(),
        breaks=(),
        shape_space_mm=None,
    ):
        self.card = replace(card, weights_sha256="ab" * 32)
        self.offsets_mm, self.radius90_mm = offsets_mm, radius90_mm
        self.truths, self.missing, self.refuses, self.breaks = truths, missing, refuses, breaks
        self.shape_space_mm = shape_space_mm
        self.seeds = []

    def detect(self, volume, *, seed=0):
        self.seeds.append(seed)
        if volume.name in self.refuses:
            message = f"{volume.name}: too dark; choose another."
            raise LandmarkDetectionError(message)
        if volume.name in self.breaks:
            message = "out of memory"
            raise RuntimeError(message)
        marks = tuple(
            DetectedLandmark(
                label,
                self.truths[volume.name][label] + self.offsets_mm[label],
                np.eye(3),
                presence=0.25 if label in self.missing else 1.0,
                missing=label in self.missing,
                radius90_mm=self.radius90_mm,
            )
            for label in self.card.labels
        )
        return Detection(marks, self.card.name, "1.0.0", "ab" * 32, "cpu", seconds=0.25, seed=seed)

    def shape_space_error_mm(self, _volume, _landmarks):
        return self.shape_space_mm


def write_dataset(folder: Path, truths: Mapping[str, LandmarkSet] = TRUTHS) -> Path:
    """Two training cases and three test cases of 40 x 40 x 40 mm."""
    voxels = np.random.default_rng(0).integers(0, 255, (20, 20, 20), dtype=np.uint8)
    grid = np.diag([2.0, 2.0, 2.0, 1.0])
    for name, truth in truths.items():
        write_volume(Volume(voxels, grid, name), folder / "volumes" / f"{name}.nii.gz")
        write_markups(truth, folder / "landmarks" / f"{name}.mrk.json")
    write_markups(moved(truths["one"], 0, 0, 1), folder / "landmarks" / "one.ann.mrk.json")
    description = {
        "name": "tiny",
        "dimension": 3,
        "landmarks": [{"label": label} for label in SHAPE],
        "observers": ["ann"],
        "split": {"train": ["train1", "train2"], "test": ["one", "two", "three & four"]},
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder
