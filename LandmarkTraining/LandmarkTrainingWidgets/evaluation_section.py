"""The Evaluate section: how well the trained model does on cases it has never seen."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
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
        is_news = owner is not self._owner or (not self.is_busy and setup != self._setup)
        self._problem, self._owner = problem, owner
        if is_news:
            self._setup = self._setup if self.is_busy else setup
            self._show_report(_read_report(self._setup))
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
        self._ui.evaluationLabel.setText(_("Finding the landmarks of the test cases..."))
        self._update_widgets()

    def stop(self) -> None:
        """End an evaluation if one is running."""
        if self.is_busy:
            self._runner.stop()
            self._ui.evaluationLabel.setText(_("Cancelled."))
            self._end()

    def _on_evaluate_clicked(self) -> None:
        if self.is_busy:
            self.stop()
        else:
            self._on_evaluate()

    def _show_finished(self, _output: str) -> None:
        self._show_report(_read_report(self._setup))
        self._end()

    def _show_failed(self, failure: CommandFailed) -> None:
        self._ui.evaluationLabel.setText(str(failure.error))
        self._end()
        slicer.util.errorDisplay(str(failure.error), detailedText=failure.log_tail)

    def _end(self) -> None:
        self._update_widgets()
        self._on_ended()

    def _show_report(self, report: dict[str, Any] | None) -> None:
        ui = self._ui
        ui.evaluationLabel.setText("" if report is None else _summary(report))
        for table in (ui.accuracyTable, ui.landmarkErrorsTable):
            table.setVisible(report is not None)
        if report is not None:
            fill_table(ui.accuracyTable, *rows_of(_narrow(accuracy_rows(report)), _("Test cases")))
            fit_height(ui.accuracyTable)
            fill_table(ui.landmarkErrorsTable, *rows_of(_narrow(landmark_rows(report)), _("Landmark")))
        if self._owner is not None and report is not None:
            sheet = Sheet(_("Errors on the test cases"), _("Error (mm)"), _("Landmarks within this error (%)"))
            curve = _cumulative(self._setup.report_folder)
            draw_curves(self._owner, _CHART_ROLE, sheet, {report["model"]["name"]: curve})
        self._has_report = report is not None

    def _on_open_clicked(self) -> None:
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(self._setup.report_folder / "index.html")))

    def _on_curve_clicked(self) -> None:
        show_chart(chart_of(self._owner, _CHART_ROLE))

    def _update_widgets(self) -> None:
        ui, is_busy = self._ui, self.is_busy
        ui.evaluationBar.setVisible(is_busy)
        ui.evaluateButton.setText(_("Cancel") if is_busy else _("Evaluate on the test cases"))
        ui.evaluateButton.setEnabled(is_busy or not self._problem)
        purpose = _("Compare the model with the truth on cases it has never seen.")
        ui.evaluateButton.setToolTip(_("Stop the evaluation.") if is_busy else self._problem or purpose)
        hint = "" if self._has_report else _("Evaluate the model first.")
        for button in (ui.openReportButton, ui.showCurveButton):
            button.setEnabled(self._has_report)
            button.setToolTip(hint)
        ui.evaluationLabel.setVisible(bool(ui.evaluationLabel.text))


def _read_report(setup: TrainingSetup) -> dict[str, Any] | None:
    """The report on the model as it is now, None if there is none."""
    file = setup.report_folder / "report.json"
    if not file.exists() or not setup.is_trained:
        return None
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
        is_of_this_model = report["model"]["weights_sha256"] == load_card(setup.output).weights_sha256
    except (OSError, ValueError, KeyError, LandmarkDetectionError):
        return None
    return report if is_of_this_model else None


def _narrow(rows: Rows) -> Rows:
    """The mean and the first success rate: what a panel has room for; the report has the rest."""
    return {title: {heading: row[heading] for heading in _main_headings(list(row))} for title, row in rows.items()}


def _main_headings(headings: list[str]) -> list[str]:
    return headings[:1] + [heading for heading in headings if heading.startswith("≤")][:1]


def _summary(report: dict[str, Any]) -> str:
    text = _("Test cases: {cases}, points: {points}, mean error {error:.2f} mm, median {median:.2f} mm.")
    overall = report["overall"]
    lines = [
        text.format(
            cases=report["cases"], points=overall["points"], error=overall["mre_mm"], median=overall["median_mm"]
        )
    ]
    return "\n".join(lines + [f"{one['case']}: {one['message']}" for one in report["failed"]])


def _cumulative(report_folder: Path) -> list[tuple[float, float]]:
    """(error, share of the points within it in per cent) pairs; points without a prediction are never reached."""
    with (report_folder / "errors.csv").open(newline="", encoding="utf-8") as file:
        cells = [row["error_mm"] for row in csv.DictReader(file) if row["truth"] == "present"]
    errors = sorted(float(cell) for cell in cells if cell)
    return [(0.0, 0.0), *((error, 100.0 * count / len(cells)) for count, error in enumerate(errors, 1))]
