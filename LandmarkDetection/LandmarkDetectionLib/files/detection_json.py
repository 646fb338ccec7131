"""A whole Detection as JSON: the markups format has no place for most of it that survives a resave in Slicer."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import LandmarkDetectionError
from ..geometry import RAS_TO_LPS, FloatArray
from ..landmarks import DetectedLandmark, Detection, Doubt

FORMAT_VERSION = 1

_FLIP = RAS_TO_LPS[:3, :3]


def detection_to_json(detection: Detection) -> dict[str, Any]:
    """The JSON object of a detection; positions and covariances are in LPS, as in every file."""
    path_ras = detection.path_ras
    return {
        "format_version": FORMAT_VERSION,
        "model": {
            "name": detection.model_name,
            "version": detection.model_version,
            "weights_sha256": detection.weights_sha256,
        },
        "device": detection.device,
        "seconds": detection.seconds,
        "seed": detection.seed,
        "notes": list(detection.notes),
        "landmarks": [_landmark_to_json(landmark) for landmark in detection.landmarks],
        "path_lps": None if path_ras is None else (np.asarray(path_ras) @ _FLIP).tolist(),
    }


def _landmark_to_json(landmark: DetectedLandmark) -> dict[str, Any]:
    return {
        "label": landmark.label,
        "position_lps": (_FLIP @ landmark.position_ras).tolist(),
        "covariance_lps": (_FLIP @ landmark.covariance_ras @ _FLIP).tolist(),
        "presence": landmark.presence,
        "missing": landmark.missing,
        "radius90_mm": landmark.radius90_mm,
        "evidence": landmark.evidence,
        "disagreement_mm": landmark.disagreement_mm,
        "doubts": [doubt.value for doubt in landmark.doubts],
    }


def detection_from_json(content: Any) -> Detection:
    """The detection a JSON object holds.

    Raises:
        LandmarkDetectionError: if the object is not what `detection_to_json` makes.
    """
    try:
        if content["format_version"] != FORMAT_VERSION:
            message = f"format version {content['format_version']} is not known"
            raise ValueError(message)
        path_lps = content["path_lps"]
        return Detection(
            landmarks=tuple(_landmark_from_json(landmark) for landmark in content["landmarks"]),
            model_name=str(content["model"]["name"]),
            model_version=str(content["model"]["version"]),
            weights_sha256=str(content["model"]["weights_sha256"]),
            device=str(content["device"]),
            seconds=float(content["seconds"]),
            seed=int(content["seed"]),
            path_ras=None if path_lps is None else _array(path_lps, (None, len(content["landmarks"]), 3)) @ _FLIP,
            notes=tuple(str(note) for note in content["notes"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"The detection cannot be understood ({error!r}): detect the landmarks again."
        raise LandmarkDetectionError(message) from error


def _landmark_from_json(content: dict[str, Any]) -> DetectedLandmark:
    return DetectedLandmark(
        label=str(content["label"]),
        position_ras=_FLIP @ _array(content["position_lps"], (3,)),
        covariance_ras=_FLIP @ _array(content["covariance_lps"], (3, 3)) @ _FLIP,
        presence=float(content["presence"]),
        missing=bool(content["missing"]),
        radius90_mm=_optional_number(content["radius90_mm"]),
        evidence=_optional_number(content.get("evidence")),
        disagreement_mm=_optional_number(content.get("disagreement_mm")),
        doubts=tuple(Doubt(doubt) for doubt in content.get("doubts", ())),
    )


def _optional_number(value: Any) -> float | None:
    return None if value is None else float(value)


def _array(value: Any, shape: tuple[int | None, ...]) -> FloatArray:
    array = np.array(value, dtype=np.float64)
    matches = array.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True))
    if not matches or not np.isfinite(array).all():
        message = f"{value} is not an array of finite numbers of shape {shape}"
        raise ValueError(message)
    return array
