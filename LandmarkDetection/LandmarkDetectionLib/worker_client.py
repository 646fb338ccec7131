"""DetectionWorker: detects in a child process, so that the program that asks stays alive and can cancel."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .child_log import death_of, read_lines, tail_of
from .child_process import end_process_tree, start_python
from .errors import LandmarkDetectionError
from .failures import OUT_OF_DEVICE_MEMORY, OUT_OF_MEMORY, UNEXPECTED
from .files.detection_json import detection_from_json
from .landmarks import Detection
from .volume import Volume
from .worker import PROBLEM

_PIECE_BYTES = 2**24
"""What is copied at once: some 10 ms."""

_WHOLE = object()


@dataclass(frozen=True)
class Progress:
    """How far a detection is: a fraction in [0, 1] and what is being done."""

    fraction: float
    text: str


@dataclass(frozen=True)
class Finished:
    """A detection, in the coordinates of the volume that was sent."""

    detection: Detection


@dataclass(frozen=True)
class Failed:
    """Why there is no detection: a sentence for the user, its kind, and the last lines of the child's log."""

    error: LandmarkDetectionError
    kind: str
    log_tail: str


Event = Progress | Finished | Failed


class DetectionWorker:
    """A child process of the same Python that detects, one volume at a time, and stays ready for the next.

    It needs no thread: `poll` reads, without waiting, what the child has written to a file.

    Example:
        >>> worker = DetectionWorker()
        >>> worker.detect(volume, {Path("brain-t1"): {}})
        >>> while worker.is_busy:
        ...     for event in worker.poll(): print(event)
        >>> worker.close()
    """

    def __init__(self) -> None:
        self._child: _Child | None = None
        self._is_busy = False

    @property
    def is_busy(self) -> bool:
        """Whether a detection was asked for that neither finished, failed nor was cancelled."""
        return self._is_busy

    @property
    def process_id(self) -> int | None:
        """Of the child process, None if there is none."""
        return None if self._child is None else self._child.process.pid

    def detect(
        self,
        volume: Volume,
        models: Mapping[Path, Mapping[str, str]],
        *,
        device: str = "auto",
        seed: int = 0,
    ) -> None:
        """Start a detection; `poll` tells what becomes of it.

        Args:
            volume: copied to a temporary file; a large one piece by piece, by this call and by `poll`, so that neither
                takes long. Its voxels must not change before the first progress is told.
            models: folder or zip of the model bundle, with options of its method by name; of several, their consensus.
            device, seed: as for the detector.

        Raises:
            LandmarkDetectionError: if the volume cannot be written or the child cannot be started.
        """
        if self._is_busy:
            message = "A detection is running: wait for it or cancel it first."
            raise LandmarkDetectionError(message)
        if self._child is None or not self._child.is_alive:
            self.close()
            self._child = _Child()
        request = {
            "models": [{"bundle": str(bundle.resolve()), "options": dict(own)} for bundle, own in models.items()],
            "device": device,
            "seed": seed,
        }
        self._child.begin(request, volume)
        self._is_busy = True

    def poll(self) -> list[Event]:
        """What happened since the last call; never waits."""
        if not self._is_busy:
            return []
        try:
            self._child.go_on()
        except LandmarkDetectionError as error:
            self._is_busy = False
            return [Failed(error, PROBLEM, self._child.log_tail())]
        was_alive = self._child.is_alive
        events = [_event_of(answer, self._child) for answer in self._child.new_answers()]
        if not was_alive and not any(isinstance(event, Finished | Failed) for event in events):
            events.append(self._child.death())
        if any(isinstance(event, Finished | Failed) for event in events):
            self._is_busy = False
            self._child.take_back_volume()
        return events

    def cancel(self) -> None:
        """End the child and all its children at once; the next detection starts a new one."""
        self.close()

    def close(self) -> None:
        """End the child, if there is one, and remove its files."""
        self._is_busy = False
        if self._child is not None:
            self._child.end()
            self._child = None


class _Child:
    """The process with its folder of temporary files: its answers, its log, and the volume it works on."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="LandmarkDetection-"))
        self._log = self._folder / "log.txt"
        self._voxels = self._folder / "voxels.npy"
        answers = self._folder / "answers.jsonl"
        answers.touch()
        try:
            with self._log.open("wb") as log:
                self.process = start_python(f"{__package__}.worker", str(answers), log=log)
        except OSError as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            message = f"The detection process could not be started ({error.strerror}): restart the program."
            raise LandmarkDetectionError(message) from error
        self._answers = answers.open("rb")
        self._unfinished_line = b""
        self._request: dict[str, Any] | None = None
        self._copying: Iterator[None] = iter(())

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def begin(self, request: dict[str, Any], volume: Volume) -> None:
        """Begin to write the voxels where the child maps them into its memory."""
        description = {"voxels": str(self._voxels), "ijk_to_ras": volume.ijk_to_ras.tolist(), "name": volume.name}
        self._request = request | {"volume": description}
        self._copying = _copying(volume.voxels, self._voxels)
        self.go_on()

    def go_on(self) -> None:
        """Write some more of the voxels, and ask the child once they are whole.

        Raises:
            LandmarkDetectionError: if they cannot be written.
        """
        if self._request is None:
            return
        try:
            is_whole = next(self._copying, _WHOLE) is _WHOLE
        except OSError as error:
            name, self._request = self._request["volume"]["name"], None
            self.take_back_volume()
            message = f"{name} could not be copied to {self._folder} ({error.strerror or error}): free disk space."
            raise LandmarkDetectionError(message) from error
        if is_whole:
            self._send(self._request)
            self._request = None

    def take_back_volume(self) -> None:
        with contextlib.suppress(OSError):
            self._voxels.unlink(missing_ok=True)

    def _send(self, request: dict[str, Any]) -> None:
        """A child that has died meanwhile is noticed by the next poll."""
        with contextlib.suppress(OSError):
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()

    def new_answers(self) -> list[dict[str, Any]]:
        *lines, self._unfinished_line = (self._unfinished_line + self._answers.read()).split(b"\n")
        return [json.loads(line) for line in lines]

    def log_tail(self) -> str:
        return tail_of(read_lines(self._log))

    def death(self) -> Failed:
        """What to say once it has ended without an answer."""
        death = death_of(self.process.returncode, read_lines(self._log), "detection process")
        return Failed(LandmarkDetectionError(death.message), death.kind, self.log_tail())

    def end(self) -> None:
        end_process_tree(self.process)
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self._answers.close()
        self._copying = iter(())
        shutil.rmtree(self._folder, ignore_errors=True)


def _copying(voxels: NDArray, path: Path) -> Iterator[None]:
    """Writes a .npy file; after each piece of it the caller may do something else."""
    step = max(1, _PIECE_BYTES // max(voxels[0].nbytes, 1))
    with path.open("wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(voxels.dtype), "fortran_order": False, "shape": voxels.shape}
        np.lib.format.write_array_header_1_0(file, header)
        for first in range(0, len(voxels), step):
            if first:
                yield
            file.write(np.ascontiguousarray(voxels[first : first + step]).data)


def _event_of(answer: dict[str, Any], child: _Child) -> Event:
    if answer["event"] == "progress":
        return Progress(answer["fraction"], answer["text"])
    if answer["event"] == "result":
        return Finished(detection_from_json(answer["detection"]))
    kind, text = answer["kind"], answer["message"]
    advice = {
        PROBLEM: text,
        OUT_OF_DEVICE_MEMORY: "The graphics processor has too little free memory for this: choose the CPU as device.",
        OUT_OF_MEMORY: "The computer has too little free memory for this detection: close other programs or data.",
        UNEXPECTED: f"The detection failed unexpectedly ({text}): report this with its log.",
    }
    return Failed(LandmarkDetectionError(advice[kind]), kind, child.log_tail())
