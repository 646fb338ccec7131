"""The Detect landmarks button, its progress bar and status line, and the child process behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from LandmarkDetectionLib.failures import OUT_OF_DEVICE_MEMORY
from LandmarkDetectionLib.landmarks import Detection
from LandmarkDetectionLib.volume import Volume
from LandmarkDetectionLib.worker_client import DetectionWorker, Failed, Finished, Progress

_POLL_INTERVAL_MS = 50


class DetectionSection:
    """Runs one detection at a time without holding up the program.

    Args:
        ui: widgets of the panel by name.
        on_detect: called when the user asks for a detection; it calls `start`.
        on_finished: called with the detection, in the coordinates of the volume given to `start`.
        on_cpu_wanted: called when the graphics processor's memory did not suffice and the user takes the CPU instead.
    """

    def __init__(
        self,
        ui: Any,
        on_detect: Callable[[], None],
        on_finished: Callable[[Detection], None],
        on_cpu_wanted: Callable[[], None],
    ) -> None:
        self._ui = ui
        self._on_detect = on_detect
        self._on_finished = on_finished
        self._on_cpu_wanted = on_cpu_wanted
        self._problem = ""
        self._worker = DetectionWorker()
        self._timer = qt.QTimer()
        self._timer.setInterval(_POLL_INTERVAL_MS)
        self._timer.timeout.connect(self._on_timeout)
        ui.detectButton.clicked.connect(self._on_clicked)
        self._say("")
        self._update_widgets()

    @property
    def is_busy(self) -> bool:
        """Whether a detection is running."""
        return self._worker.is_busy

    @property
    def process_id(self) -> int | None:
        """Of the child process, None if there is none."""
        return self._worker.process_id

    def set_problem(self, problem: str) -> None:
        """Why a detection cannot start now, as a sentence; empty if it can."""
        self._problem = problem
        self._update_widgets()

    def start(self, volume: Volume, models: Mapping[Path, Mapping[str, str]], device: str, seed: int) -> None:
        """Begin a detection; arguments are those of `DetectionWorker.detect`.

        Raises:
            LandmarkDetectionError: if it cannot begin.
        """
        self._worker.detect(volume, models, device=device, seed=seed)
        self._show_progress(Progress(0.0, _("Starting")))
        self._timer.start()
        self._update_widgets()

    def stop(self) -> None:
        """End a detection if one is running, and its process."""
        if self._worker.is_busy:
            self._timer.stop()
            self._worker.cancel()
            self._say(_("Cancelled."))
            self._update_widgets()

    def close(self) -> None:
        """End the child process, whether it is busy or waits for work."""
        self.stop()
        self._worker.close()

    def _on_clicked(self) -> None:
        if self._worker.is_busy:
            self.stop()
        else:
            self._on_detect()

    def _on_timeout(self) -> None:
        for event in self._worker.poll():
            if isinstance(event, Progress):
                self._show_progress(event)
                continue
            self._timer.stop()
            self._update_widgets()
            if isinstance(event, Finished):
                self._show_finished(event.detection)
            else:
                self._show_failed(event)

    def _show_progress(self, progress: Progress) -> None:
        self._ui.progressBar.setValue(round(progress.fraction * self._ui.progressBar.maximum))
        self._say(f"{progress.text}...")

    def _show_finished(self, detection: Detection) -> None:
        found = sum(not landmark.missing for landmark in detection.landmarks)
        summary = _("{found} of {all} landmarks found in {seconds:.1f} s on {device}.").format(
            found=found, all=len(detection.landmarks), seconds=detection.seconds, device=detection.device
        )
        self._say("\n".join((summary, *detection.notes)))
        with slicer.util.tryWithErrorDisplay(_("The landmarks could not be shown.")):
            self._on_finished(detection)

    def _show_failed(self, failure: Failed) -> None:
        self._say(str(failure.error))
        if failure.kind == OUT_OF_DEVICE_MEMORY:
            if slicer.util.confirmYesNoDisplay(_("{problem} Detect on the CPU now?").format(problem=failure.error)):
                self._on_cpu_wanted()
            return
        slicer.util.errorDisplay(str(failure.error), detailedText=failure.log_tail)

    def _say(self, text: str) -> None:
        self._ui.statusLabel.setText(text)
        self._ui.statusLabel.setVisible(bool(text))

    def _update_widgets(self) -> None:
        is_busy = self._worker.is_busy
        self._ui.progressBar.setVisible(is_busy)
        self._ui.detectButton.setText(_("Cancel") if is_busy else _("Detect landmarks"))
        self._ui.detectButton.setEnabled(is_busy or not self._problem)
        hint = _("Stop the detection.") if is_busy else self._problem or _("Find the model's landmarks in the volume.")
        self._ui.detectButton.setToolTip(hint)
