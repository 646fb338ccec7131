"""The Evaluate section: how well the trained model does on cases it has never seen."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from LandmarkDetectionLib.command_client import CommandFailed
from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.evaluation.cells import Rows
from LandmarkDetectionLib.evaluation.report_tables import accuracy_rows, landmark_rows
from LandmarkDetectionLib.files.dataset_division import TEST
from LandmarkDetectionLib.models.bundle import load_card
from LandmarkDetectionLib.training_setup import TrainingSetup
from LandmarkDetectionWidgets.table_cells import fit_height

from .command_runner import CommandRunner
from .curves import Sheet, chart_of, draw_curves, show_chart
from .tables import fill_table, rows_of

_CHART_ROLE = "curveChart"


@dataclass(frozen=True)
class _ShownReport:
    """What the panel shows of a report.

    Attributes:
        summary: numbers of cases and points, mean and median error, and what is not among them.
        accuracy, landmarks: errors of the model and its rivals, and of each landmark.
        curve: (error, share of the points within it in per cent) pairs.
    """

    summary: str
    accuracy: Rows
    landmarks: Rows
    curve: list[tuple[float, float]]


class EvaluationSection:
    """Evaluates the trained model in a child process, and shows the report of the last evaluation.

    Args:
        ui: widgets of the panel by name.
        on_evaluate: called when the user asks for an evaluation; it calls `start`.
        on_ended: called when one has ended, whichever way.
    """

    def __init__(self, ui: Any, on_evaluate: Callable[[], None], on_ended: Callable[[], None]) -> None:
        self._ui = ui
        self._on_evaluate = on_evaluate
        self._on_ended = on_ended
        self._problem = ""
        self._owner: slicer.vtkMRMLScriptedModuleNode | None = None
        self._setup: TrainingSetup | None = None
        self._runner = CommandRunner(self._show_finished, self._show_failed)
        ui.evaluateButton.clicked.connect(self._on_evaluate_clicked)
        ui.openReportButton.clicked.connect(self._on_open_clicked)
        ui.showCurveButton.clicked.connect(self._on_curve_clicked)
        self._show_report(None)
        self._update_widgets()

    @property
    def is_busy(self) -> bool:
        """Whether an evaluation is running."""
        return self._runner.is_busy

    @property
    def running(self) -> TrainingSetup | None:
        """What is being evaluated, None if nothing is."""
        return self._setup if self.is_busy else None

    @property
    def process_id(self) -> int | None:
        """Of the child process, None if there is none."""
        return self._runner.process_id

    def show(self, owner: slicer.vtkMRMLScriptedModuleNode | None, setup: TrainingSetup, problem: str) -> None:
        """Show what is known of a model.

        Args:
            owner: node that refers to the chart.
            setup: what was trained; one that is being evaluated is shown instead.
            problem: why it cannot be evaluated, as a sentence; empty if it can.
        """
        is_news = not self.is_busy and (owner is not self._owner or setup != self._setup)
        self._problem, self._owner = problem, owner
        if is_news:
            self._setup = setup
            self._show_report(_read_report(setup))
        self._update_widgets()

    def forget_scene(self) -> None:
        """Called when the scene is closed: the chart is gone."""
        self._owner = None

    def reload(self) -> None:
        """Show the report there is now: a new model has none yet."""
        if self._setup is not None:
            self._show_report(_read_report(self._setup))
            self._update_widgets()

    def start(self, setup: TrainingSetup) -> None:
        """Begin an evaluation.

        Raises:
            LandmarkDetectionError: if the process cannot be started.
        """
        self._setup = setup
        self._runner.start(*setup.evaluation_arguments(TEST))
        self._show_report(None)
        self._ui.evaluationLabel.setText(_("Finding the landmarks of the test cases..."))
        self._update_widgets()

    def stop(self) -> None:
        """End an evaluation if one is running."""
        if self.is_busy:
            self._runner.stop()
            self.reload()
            if self._report is None:
                self._ui.evaluationLabel.setText(_("Cancelled."))
            self._end()

    def _on_evaluate_clicked(self) -> None:
        if self.is_busy:
            self.stop()
        else:
            self._on_evaluate()

    def _show_finished(self, _output: str) -> None:
        try:
            self._show_report(_read_report(self._setup))
        finally:
            self._end()

    def _show_failed(self, failure: CommandFailed) -> None:
        self._ui.evaluationLabel.setText(str(failure.error))
        self._end()
        slicer.util.errorDisplay(str(failure.error), detailedText=failure.log_tail)

    def _end(self) -> None:
        self._update_widgets()
        self._on_ended()

    def _show_report(self, report: _ShownReport | None) -> None:
        ui, self._report = self._ui, report
        ui.evaluationLabel.setText("" if report is None else report.summary)
        for table in (ui.accuracyTable, ui.landmarkErrorsTable):
            table.setVisible(report is not None)
        if report is not None:
            fill_table(ui.accuracyTable, *rows_of(report.accuracy, _("Test cases")))
            fit_height(ui.accuracyTable)
            fill_table(ui.landmarkErrorsTable, *rows_of(report.landmarks, _("Landmark")))
            self._draw()  # last: it changes the parameter node, for which the panel may show another report

    def _draw(self) -> None:
        if self._owner is not None:
            sheet = Sheet(_("Errors on the test cases"), _("Error (mm)"), _("Landmarks within this error (%)"))
            draw_curves(self._owner, _CHART_ROLE, sheet, {self._setup.name: self._report.curve})

    def _on_open_clicked(self) -> None:
        page = self._setup.report_folder / "index.html"
        if page.exists():
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(page)))
        else:
            self.reload()
            slicer.util.errorDisplay(_("The report is no longer there: evaluate the model again."))

    def _on_curve_clicked(self) -> None:
        self._draw()  # the chart may have been deleted
        show_chart(chart_of(self._owner, _CHART_ROLE))

    def _update_widgets(self) -> None:
        ui, is_busy = self._ui, self.is_busy
        ui.evaluationBar.setVisible(is_busy)
        ui.evaluateButton.setText(_("Cancel") if is_busy else _("Evaluate on the test cases"))
        ui.evaluateButton.setEnabled(is_busy or not self._problem)
        purpose = _("Compare the model with the truth on cases it has never seen.")
        ui.evaluateButton.setToolTip(_("Stop the evaluation.") if is_busy else self._problem or purpose)
        hint = _("Evaluate the model first.") if self._report is None else ""
        for button in (ui.openReportButton, ui.showCurveButton):
            button.setEnabled(self._report is not None)
            button.setToolTip(hint)
        ui.evaluationLabel.setVisible(bool(ui.evaluationLabel.text))


def _read_report(setup: TrainingSetup) -> _ShownReport | None:
    """The report on the model as it is now and on this dataset, None if there is none that can be read whole."""
    try:
        report = json.loads((setup.report_folder / "report.json").read_text(encoding="utf-8"))
        if report["model"]["weights_sha256"] != load_card(setup.output).weights_sha256:
            return None
        if report["dataset_path"] != str(Path(setup.dataset).resolve()):
            return None
        accuracy, landmarks = _narrow(accuracy_rows(report)), _narrow(landmark_rows(report))
        return _ShownReport(_summary(report), accuracy, landmarks, _cumulative(setup.report_folder))
    except (OSError, KeyError, TypeError, ValueError, AttributeError, LandmarkDetectionError):
        return None


def _narrow(rows: Rows) -> Rows:
    """The mean and the first success rate: what a panel has room for; the report has the rest."""
    return {title: {heading: row[heading] for heading in _main_headings(list(row))} for title, row in rows.items()}


def _main_headings(headings: list[str]) -> list[str]:
    return headings[:1] + [heading for heading in headings if heading.startswith("≤")][:1]


def _summary(report: Mapping[str, Any]) -> str:
    overall = report["overall"]
    points, found = overall["points"], overall["points"] - overall["failed"]
    text = _("Test cases: {cases}, points: {points}, mean error {error:.2f} mm, median {median:.2f} mm.")
    if found == 0:
        text = _("Test cases: {cases}, points: {points}: no point was found.")
    elif found < points:
        text = _(
            "Test cases: {cases}, points: {found} of {points} found, mean error {error:.2f} mm, median {median:.2f} mm."
        )
    error, median = overall["mre_mm"], overall["median_mm"]
    lines = [text.format(cases=report["cases"], points=points, found=found, error=error, median=median)]
    if unknown := report["landmarks_unknown_to_model"]:
        lines.append(_("Not found by this model, not counted: {labels}.").format(labels=", ".join(unknown)))
    return "\n".join(lines + [f"{one['case']}: {one['message']}" for one in report["failed"]])


def _cumulative(report_folder: Path) -> list[tuple[float, float]]:
    """(error, share of the points within it in per cent) pairs; points without a prediction are never reached."""
    with (report_folder / "errors.csv").open(newline="", encoding="utf-8") as file:
        cells = [row["error_mm"] for row in csv.DictReader(file) if row["truth"] == "present"]
    errors = sorted(float(cell) for cell in cells if cell)
    return [(0.0, 0.0), *((error, 100.0 * count / len(cells)) for count, error in enumerate(errors, 1))]
