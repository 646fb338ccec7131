"""The template as which a model's volumes are laid: the mean of the training volumes, laid upon one of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from ..detectors.pose import PoseTemplate, centred_volume, windowed_volume
from ..errors import LandmarkDetectionError
from ..geometry import FloatArray, rigid_fit
from ..preprocessing import Preprocessing
from .cases import TrainingCase

_LEAST_POINTS = 3


def pose_template(cases: Sequence[TrainingCase], preprocessing: Preprocessing) -> PoseTemplate:
    """The mean of volumes whose landmarks are laid upon those of the first case that has them all, or most.

    Raises:
        LandmarkDetectionError: if the landmarks cannot tell how a volume lies.
    """
    labels = sorted({label for case in cases for label in case.landmarks.present})
    first = max(cases, key=lambda case: len(case.landmarks.present))
    spacing_mm = preprocessing.pose_spacing_mm
    side = int(np.ceil(max(np.max(case.volume.spacing_mm * case.volume.size) for case in cases) / spacing_mm))
    grid = centred_volume(np.zeros((side, side, side), np.uint8), spacing_mm)
    to_middle = np.eye(4)
    to_middle[:3, 3] = -first.volume.centre_ras
    middle = first.landmarks.transformed(to_middle).to_array(labels)
    total = np.zeros(grid.voxels.shape)
    for case in cases:
        motion = _motion(case.landmarks.to_array(labels), middle, case.name)
        total += windowed_volume(case.volume, preprocessing).moved(motion).on_grid(grid.ijk_to_ras, grid.size).voxels
    return PoseTemplate(np.round(total / len(cases)).astype(np.uint8), preprocessing)


def all_posed(cases: Sequence[TrainingCase], template: PoseTemplate) -> list[TrainingCase]:
    """Each as `posed`, one after the other, which takes a second or two a case."""
    return [posed(case, template) for case in tqdm(cases, desc="Finding poses", unit="case", leave=False, disable=None)]


def posed(case: TrainingCase, template: PoseTemplate) -> TrainingCase:
    """A case that lies as a template does, as far as a detection could tell."""
    motion = template.pose_of(case.volume)
    return dataclasses.replace(case, volume=case.volume.moved(motion), landmarks=case.landmarks.transformed(motion))


def _motion(points: FloatArray, others: FloatArray, name: str) -> FloatArray:
    """4x4 rigid map of points (n, 3) upon others, NaN where one is missing."""
    is_known = np.isfinite(points).all(axis=1) & np.isfinite(others).all(axis=1)
    if is_known.sum() < _LEAST_POINTS:
        message = f"{name}: fewer than three of its landmarks tell how it lies; leave out pose_spacing_mm, or the case."
        raise LandmarkDetectionError(message)
    return rigid_fit(points[is_known], others[is_known])
