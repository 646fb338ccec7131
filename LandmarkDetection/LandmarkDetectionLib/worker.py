"""The child process that detects for the panel: `python -m LandmarkDetectionLib.worker FILE`.

It reads one JSON object a line on its standard input and appends answers, one a line, to FILE; what libraries print
does not get in between. `DetectionWorker` is the other end.

request     {"models": [{"bundle": a path, "options"}], "device", "seed",
             "volume": {"voxels": a .npy file, "ijk_to_ras", "name"}}
answers     {"event": "progress", "fraction", "text"}
            {"event": "result", "detection"}
            {"event": "error", "kind", "message"}

It stays for the next request, with the models it used last in memory, and ends when its input does.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .child_process import lines_until_orphaned
from .errors import LandmarkDetectionError
from .failures import OUT_OF_DEVICE_MEMORY, OUT_OF_MEMORY, kind_of
from .volume import Volume

if TYPE_CHECKING:
    from .detectors.consensus_detector import AnyDetector

PROBLEM = "problem"
"""Kind of error: a sentence the user can act on."""

Answer = Callable[[dict[str, Any]], None]


def main(answers_file: str) -> None:
    """Answer requests until standard input ends."""
    with Path(answers_file).open("a", encoding="utf-8") as answers:

        def answer(event: dict[str, Any]) -> None:
            answers.write(json.dumps(event) + "\n")
            answers.flush()

        session = _Session()
        for line in lines_until_orphaned(sys.stdin):
            session.respond(json.loads(line), answer)


class _Session:
    """Detects, keeping the last detector for the next request."""

    def __init__(self) -> None:
        self._detector: AnyDetector | None = None
        self._detector_key: object = None

    def respond(self, request: dict[str, Any], answer: Answer) -> None:
        try:
            answer({"event": "result", "detection": self._detect(request, answer)})
        except LandmarkDetectionError as error:
            answer({"event": "error", "kind": PROBLEM, "message": str(error)})
        except Exception as error:
            traceback.print_exc()
            kind = kind_of(error)
            if kind in (OUT_OF_MEMORY, OUT_OF_DEVICE_MEMORY):
                self._detector = self._detector_key = None
            answer({"event": "error", "kind": kind, "message": f"{type(error).__name__}: {error}"})

    def _detect(self, request: dict[str, Any], answer: Answer) -> dict[str, Any]:
        from .files.detection_json import detection_to_json

        def progress(fraction: float, text: str) -> None:
            answer({"event": "progress", "fraction": fraction, "text": text})

        progress(0.0, "Loading the model")
        detector = self._detector_for(request)
        detection = detector.detect(_volume_of(request["volume"]), progress=progress, seed=request["seed"])
        return detection_to_json(detection)

    def _detector_for(self, request: dict[str, Any]) -> AnyDetector:
        from .detectors.registry import load_consensus
        from .models.bundle import load_bundle

        models = [Path(model["bundle"]) for model in request["models"]]
        cards = [model / "model.json" if model.is_dir() else model for model in models]
        key = (request["models"], [card.stat().st_mtime_ns for card in cards], request["device"])
        if key != self._detector_key:
            self._detector = self._detector_key = None
            bundles = [load_bundle(model) for model in models]
            options = [model["options"] for model in request["models"]]
            self._detector = load_consensus(bundles, request["device"], options)
            self._detector_key = key
        return self._detector


def _volume_of(description: dict[str, Any]) -> Volume:
    voxels = np.load(description["voxels"], mmap_mode="r", allow_pickle=False)
    return Volume(voxels, np.array(description["ijk_to_ras"]), description["name"])


if __name__ == "__main__":
    main(sys.argv[1])
