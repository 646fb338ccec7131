"""Draws every bundled sample, for its model's page and as a thumbnail: `python Testing/sample_pictures.py`."""

from __future__ import annotations

import numpy as np
from model_pages import PAGES

from LandmarkDetectionLib.demo import load_demonstrations
from LandmarkDetectionLib.files.images import read_volume
from LandmarkDetectionLib.geometry import FloatArray, apply_affine
from LandmarkDetectionLib.models.registry import sample_thumbnail
from LandmarkDetectionLib.pictures import landmark_picture
from LandmarkDetectionLib.volume import Volume

_PICTURE_HEIGHT_PX = 360
_THUMBNAIL_HEIGHT_PX = 280


def write_pictures() -> None:
    """Detect in every sample, and draw it."""
    for case, detector in load_demonstrations():
        volume = read_volume(case.volume_path)
        landmarks = detector.detect(volume).landmark_set
        picture = landmark_picture(volume, landmarks, height_px=_PICTURE_HEIGHT_PX)
        (PAGES / f"{case.name}.png").write_bytes(picture)
        axial = axial_slice(volume, np.mean(landmarks.to_array(landmarks.present), axis=0))
        sample_thumbnail(case.name).write_bytes(landmark_picture(axial, height_px=_THUMBNAIL_HEIGHT_PX))


def axial_slice(volume: Volume, through_ras: FloatArray) -> Volume:
    """The slice of a volume that is closest to axial through a point (3,); a picture is its own."""
    volume = volume.reoriented("LPS")
    columns, rows, slices = volume.size
    k = int(np.clip(np.rint(apply_affine(np.linalg.inv(volume.ijk_to_ras), through_ras)[2]), 0, slices - 1))
    return volume.cropped((0, 0, k), (columns, rows, k + 1))


if __name__ == "__main__":
    write_pictures()
