"""The Train section: the child process that trains, how far it is, and its curves."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _

from LandmarkDetectionLib.command_client import CommandFailed
from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.models.bundle import load_card
from LandmarkDetectionLib.training.log_files import TrainingProgress, read_progress
from LandmarkDetectionLib.training_setup import TrainingPart, TrainingSetup

from .choices import Plot
from .command_runner import CommandRunner
from .curves import Sheet, chart_of, draw_curves, show_chart

_DOUBLE_CLICK_S = 0.5
"""So long after a start, a click is the second half of a double click, which does not mean Cancel."""

_CHART_ROLES = {Plot.ERROR: "errorChart", Plot.LOSS: "lossChart"}


class TrainingSection:
    """Runs one training at a time without holding up the program; it goes on when the scene is closed.

    Args:
        ui: widgets of the panel by name.
        on_train: called when the user asks for a training, with whether to go on with one that stopped; it calls
            `start`.
        on_ended: called when a training has ended, whichever way.
    """

    def __init__(self, ui: Any, on_train: Callable[[bool], None], on_ended: Callable[[], None]) -> None:
        self._ui = ui
        self._on_train = on_train
        self._on_ended = on_ended
        self._problem = ""
        self._owner: slicer.vtkMRMLScriptedModuleNode | None = None
        self._setup: TrainingSetup | None = None
        self._progress = self._before = TrainingProgress()
        self._is_plot_wanted = False
        self._started_s = 0.0
        self._runner = CommandRunner(self._show_finished, self._show_failed, self._follow)
        ui.trainButton.clicked.connect(self._on_train_clicked)
        ui.resumeButton.clicked.connect(lambda: self._on_train(True))
        ui.showPlotButton.clicked.connect(self._on_show_clicked)
        self._update_widgets()

    @property
    def is_busy(self) -> bool:
        """Whether a training is running."""
        return self._runner.is_busy

    @property
    def process_id(self) -> int | None:
        """Of the child process, None if there is none."""
        return self._runner.process_id

    @property
    def progress(self) -> TrainingProgress:
        """What the training that is shown has reached."""
        return self._progress

    @property
    def running(self) -> TrainingSetup | None:
        """What is being trained, None if nothing is."""
        return self._setup if self.is_busy else None

    def show(self, owner: slicer.vtkMRMLScriptedModuleNode | None, setup: TrainingSetup, problem: str) -> None:
        """Show how far a training is.

        Args:
            owner: node that refers to the charts.
            setup: what would be trained; one that is running is shown instead.
            problem: why it cannot start, as a sentence; empty if it can.
        """
        is_news = owner is not self._owner
        self._problem, self._owner = problem, owner
        if not self.is_busy and setup != self._setup:
            self._setup, is_news = setup, True
            self._ui.trainingLabel.setText(_origin_text(setup))
            self._progress = read_progress(setup.part.folder)
        if is_news and self._progress.step:
            self._draw()
        self._update_widgets()

    def forget_scene(self) -> None:
        """Called when the scene is closed: the charts are gone."""
        self._owner = None

    def start(self, setup: TrainingSetup, *, resume: bool) -> None:
        """Begin a training, or go on with it.

        Raises:
            LandmarkDetectionError: if the process cannot be started.
        """
        # What an earlier training left is not shown as the state of this one, which has not read its cases yet.
        before = read_progress(setup.part.folder)
        self._runner.start(*setup.training_arguments(resume=resume))
        self._started_s = time.monotonic()
        self._setup, self._before = setup, before
        self._progress = before if resume else TrainingProgress()
        self._is_plot_wanted = True
        self._draw()
        self._ui.trainingLabel.setText(_("Starting: reading the cases..."))
        self._update_widgets()

    def stop(self) -> None:
        """End a training if one is running, with all its processes; it can be resumed from its last validation."""
        if self.is_busy:
            self._runner.stop()
            self._ui.trainingLabel.setText(_("Cancelled."))
            self._end()

    def chart(self, plot: Plot) -> slicer.vtkMRMLPlotChartNode | None:
        """The chart of a kind, None if there is nothing to plot yet."""
        return None if self._owner is None else chart_of(self._owner, _CHART_ROLES[plot])

    def _on_train_clicked(self) -> None:
        if not self.is_busy:
            self._on_train(False)
        elif time.monotonic() - self._started_s > _DOUBLE_CLICK_S:
            self.stop()

    @property
    def _chosen_plot(self) -> Plot:
        return list(Plot)[self._ui.plotSelector.currentIndex]

    def _on_show_clicked(self) -> None:
        show_chart(self.chart(self._chosen_plot))

    def _follow(self) -> None:
        part = self._setup.part
        progress = read_progress(part.folder)
        if progress in (self._progress, self._before):
            return
        if progress.plan is None:  # the training of the next fold has not begun to learn
            self._progress = progress
            self._update_widgets()
            return
        self._progress = progress
        self._draw()
        self._ui.trainingLabel.setText(_progress_text(progress, part))
        self._update_widgets()
        if self._is_plot_wanted and self.chart(self._chosen_plot) is not None:
            self._is_plot_wanted = False
            self._on_show_clicked()

    def _show_finished(self, _output: str) -> None:
        try:
            self._follow()
            self._ui.trainingLabel.setText(_result_text(self._setup))
        finally:
            self._end()

    def _show_failed(self, failure: CommandFailed) -> None:
        self._ui.trainingLabel.setText(str(failure.error))
        self._end()
        slicer.util.errorDisplay(str(failure.error), detailedText=failure.log_tail)

    def _end(self) -> None:
        """Show what the files say at the end: a training that failed at once has changed nothing."""
        self._progress = read_progress(self._setup.part.folder)
        try:
            self._draw()
            self._update_widgets()
        finally:
            self._on_ended()

    def _draw(self) -> None:
        if self._owner is None:
            return
        name = self._setup.name
        errors = Sheet(_("Validation error"), _("Step"), _("Mean error (mm)"))
        draw_curves(self._owner, _CHART_ROLES[Plot.ERROR], errors, {name: self._progress.errors_mm})
        losses = Sheet(_("Training loss"), _("Step"), _("Loss"))
        draw_curves(self._owner, _CHART_ROLES[Plot.LOSS], losses, {name: self._progress.losses})

    def _update_widgets(self) -> None:
        ui, is_busy = self._ui, self.is_busy
        ui.progressBar.setVisible(is_busy)
        ui.progressBar.setValue(round(self._fraction * ui.progressBar.maximum))
        ui.trainButton.setText(_("Cancel") if is_busy else _("Train"))
        ui.trainButton.setEnabled(is_busy or not self._problem)
        hint = _("Stop the training; it can be resumed.") if is_busy else self._problem or _("Train a new model.")
        ui.trainButton.setToolTip(hint)
        problem = self._resume_problem()
        ui.resumeButton.setEnabled(not problem)
        ui.resumeButton.setToolTip(problem or _("Go on where the training of this name stopped."))
        has_plot = self._owner is not None and self.chart(self._chosen_plot) is not None
        ui.showPlotButton.setEnabled(has_plot)
        ui.showPlotButton.setToolTip("" if has_plot else _("There is nothing to plot yet."))
        ui.trainingLabel.setVisible(bool(ui.trainingLabel.text))

    @property
    def _fraction(self) -> float:
        """Of the whole training that is over."""
        if self._setup is None:
            return 0.0
        part = self._setup.part
        return (part.number - 1 + self._progress.fraction) / part.count

    def _resume_problem(self) -> str:
        if self.is_busy:
            return _("A training is running.")
        if self._problem:
            return self._problem
        if self._setup is None or not self._setup.can_resume:
            return _("No training of this name has stopped before its end.")
        return ""


def may_begin(setup: TrainingSetup) -> bool:
    """Whether nothing is lost by a new training, or the user agrees."""
    if setup.can_resume:
        question = _("A training of {name} stopped before its end. Forget what it has reached, and begin anew?")
    elif setup.is_trained:
        question = _("{name} is trained already. Train it anew, and replace it?")
    else:
        return True
    return slicer.util.confirmOkCancelDisplay(question.format(name=setup.name))


def _result_text(setup: TrainingSetup) -> str:
    error = setup.validation_error_mm
    if error is None:
        return _("{name} is trained.").format(name=setup.name)
    text = _("{name} is trained: {error:.2f} mm mean error on the validation cases that chose the weights.")
    return text.format(name=setup.name, error=error)


def _origin_text(setup: TrainingSetup) -> str:
    """What the model of this name was trained on, which may be another dataset than the chosen one; empty if none."""
    try:
        return _("{name} was trained on {data}.").format(name=setup.name, data=load_card(setup.output).training.data)
    except LandmarkDetectionError:
        return ""


def _progress_text(progress: TrainingProgress, part: TrainingPart) -> str:
    parts = [_("Training {number} of {count}").format(number=part.number, count=part.count)] if part.count > 1 else []
    parts.append(_("Step {step} of {steps}").format(step=progress.step, steps=progress.plan.steps))
    if progress.minutes_left is not None:
        left = _time_left(progress.minutes_left)
        parts.append(left if part.count == 1 else _("{time} in this training").format(time=left))
    if progress.best_error_mm is not None:
        parts.append(_("best validation error {error:.2f} mm").format(error=progress.best_error_mm))
    return " · ".join(parts)


def _time_left(minutes: float) -> str:
    if minutes < 1.0:
        return _("less than a minute left")
    if minutes < 90.0:
        return _("{count:.0f} min left").format(count=minutes)
    return _("{count:.1f} h left").format(count=minutes / 60.0)
