"""The Dataset section: which dataset to train on, what it holds, and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from LandmarkDetectionLib.command_client import CommandFailed
from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.files.dataset_division import TEST, VALIDATION, divide_cases
from LandmarkDetectionLib.files.dataset_writer import is_new

from .command_runner import CommandRunner
from .tables import fill_table


class DatasetSection:
    """Shows a dataset, checks it in a child process, and divides it.

    Args:
        ui: widgets of the panel by name.
        on_changed: called when the dataset that is shown has changed on the disk.
    """

    def __init__(self, ui: Any, on_changed: Callable[[], None]) -> None:
        self._ui = ui
        self._on_changed = on_changed
        self._path = ""
        self._check = CommandRunner(self._show_problems, self._show_check_failed)
        self.dataset: Dataset | None = None
        self.problem = ""
        self._is_new = False
        ui.browseDatasetButton.clicked.connect(self._on_browse_clicked)
        ui.browsePackButton.clicked.connect(self._on_browse_pack_clicked)
        ui.checkButton.clicked.connect(self._on_check_clicked)
        ui.divideButton.clicked.connect(self._on_divide_clicked)
        self.show("")

    def show(self, path: str) -> None:
        """Show the dataset at a path; nothing is read again if it is shown already."""
        if path != self._path or self.dataset is None:
            self._check.stop()
            self._path = path
            self._forget_problems()
            self._read()
        self._update_widgets()

    @property
    def adding_problem(self) -> str:
        """Why no case can be added, as a sentence; empty if one can."""
        if self.dataset is not None and self.dataset.path.is_file():
            return _("A packed file takes no cases: add them to the folder it was made from, and pack that again.")
        return "" if self.dataset is not None or self._is_new else self.problem

    @property
    def testing_problem(self) -> str:
        """Why no model can be evaluated on it, as a sentence; empty if one can."""
        if self.dataset is None:
            return self.problem
        if self.dataset.splits.get(TEST):
            return ""
        if not self._division_problem():
            return _("The dataset has no test cases: divide it.")
        return _('The dataset has no test cases: name some as "test" under "split" in its dataset.json.')

    def reload(self) -> None:
        """Read the dataset again, and check it if that was wanted before."""
        self._read()
        self._update_widgets()

    def close(self) -> None:
        """End a check that is running."""
        self._check.stop()

    def _read(self) -> None:
        self.dataset, self.problem, self._is_new = None, "", False
        try:
            if not self._path:
                self.problem = _("Choose the folder of a dataset, or name a new one and add cases to it.")
            elif is_new(Path(self._path)):
                self._is_new = True
                self.problem = _("This folder is new: the first case that you add will make it a dataset.")
            else:
                self.dataset = Dataset.load(self._path)
        except LandmarkDetectionError as error:
            self.problem = str(error)
        self._ui.datasetLabel.setText(self.problem if self.dataset is None else _summary(self.dataset))

    def start_check(self) -> None:
        """List what is wrong with the dataset, as `landmark-detection dataset check` does.

        Raises:
            LandmarkDetectionError: if the check cannot be started.
        """
        self._check.stop()
        self._forget_problems()
        self._check.start("dataset", "check", self._path, "--json")
        self._ui.checkLabel.setText(_("Checking every image and landmark..."))
        self._update_widgets()

    def _on_check_clicked(self) -> None:
        if self._check.is_busy:
            self._check.stop()
            self._ui.checkLabel.setText(_("The check was cancelled."))
            self._update_widgets()
            return
        with slicer.util.tryWithErrorDisplay(_("The check could not start.")):
            self.reload()
            self.start_check()

    def _show_problems(self, output: str) -> None:
        problems = json.loads(output)
        rows = [(one["case"] or _("(dataset)"), one["message"]) for one in problems]
        fill_table(self._ui.problemsTable, (_("Case"), _("Problem")), rows)
        self._arrange_problems()
        self._ui.problemsTable.setVisible(bool(rows))
        text = _("Problems found: {count}").format(count=len(rows)) if rows else _("No problem was found.")
        self._ui.checkLabel.setText(text)
        self._update_widgets()

    def _arrange_problems(self) -> None:
        """Long sentences are shown whole."""
        table = self._ui.problemsTable
        header = table.horizontalHeader()
        header.setSectionResizeMode(0, qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(1, qt.QHeaderView.Stretch)
        for row in range(table.rowCount):
            table.item(row, 1).setTextAlignment(qt.Qt.AlignLeft | qt.Qt.AlignVCenter)
        table.verticalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)

    def _show_check_failed(self, failure: CommandFailed) -> None:
        self._ui.checkLabel.setText(str(failure.error))
        self._update_widgets()
        slicer.util.errorDisplay(str(failure.error), detailedText=failure.log_tail)

    def _forget_problems(self) -> None:
        self._ui.problemsTable.setRowCount(0)
        self._ui.problemsTable.setVisible(False)
        self._ui.checkLabel.setText("")

    def _on_divide_clicked(self) -> None:
        with slicer.util.tryWithErrorDisplay(_("The dataset was not divided.")):
            divide_cases(self._path)
            self.reload()
            self._on_changed()

    def _on_browse_clicked(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(
            self._ui.browseDatasetButton, _("Choose the folder of a dataset"), self._path
        )
        if folder:
            self._ui.datasetEdit.setText(folder)

    def _on_browse_pack_clicked(self) -> None:
        title, kinds = _("Choose a packed dataset"), _("Packed datasets (*.zip);;All files (*)")
        file = qt.QFileDialog.getOpenFileName(self._ui.browsePackButton, title, self._path, kinds)
        if file:
            self._ui.datasetEdit.setText(file)

    def _update_widgets(self) -> None:
        ui, dataset = self._ui, self.dataset
        ui.checkButton.setEnabled(dataset is not None)
        ui.checkButton.setText(_("Stop checking") if self._check.is_busy else _("Check"))
        purpose = _("Read every image and list what is wrong, by case: labels, places, sides, files.")
        ui.checkButton.setToolTip(self.problem or purpose)
        problem = self._division_problem()
        ui.divideButton.setEnabled(not problem)
        purpose = _("Choose about 15 % of the subjects for validation and 15 % for testing, and write it down.")
        ui.divideButton.setToolTip(problem or purpose)
        ui.checkLabel.setVisible(bool(ui.checkLabel.text))

    def _division_problem(self) -> str:
        if self.dataset is None:
            return self.problem
        if self.dataset.path.is_file():
            return _("A packed file cannot be divided: divide the folder it was made from.")
        if self.dataset.splits.get(VALIDATION):
            return _("This dataset says already which cases are for what.")
        return ""


def _summary(dataset: Dataset) -> str:
    splits = ", ".join(f"{split} {len(names)}" for split, names in dataset.splits.items())
    counts = (
        _("1 case") if len(dataset.cases) == 1 else _("{count} cases").format(count=len(dataset.cases)),
        _("1 landmark") if len(dataset.labels) == 1 else _("{count} landmarks").format(count=len(dataset.labels)),
        splits or _("not divided"),
    )
    return " · ".join(filter(None, (dataset.name, dataset.modality, *counts, dataset.licence)))
