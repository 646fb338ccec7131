"""A stand-in for `slicer.app`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from types import SimpleNamespace

import slicer
from PySide6.QtCore import QSettings
from PySide6.QtWidgets import QApplication, QMainWindow, QWidget

from .layout_manager import LayoutManager
from .logics import Logics


class Signals:
    """Signals of an object that only exists in C++, known by their signature."""

    def __init__(self, *signatures: str) -> None:
        self._slots: dict[str, list[Callable]] = {signature: [] for signature in signatures}

    def connect(self, signature: str, slot: Callable) -> None:
        self._slots[signature].append(slot)

    def disconnect(self, signature: str, slot: Callable) -> None:
        self._slots[signature].remove(slot)

    def emit(self, signature: str, *arguments: object) -> None:
        for slot in self._slots[signature]:
            slot(*arguments)


class Application(Signals):
    """`slicer.app`: the Qt application with a main window, and what Slicer adds to it."""

    applicationName = "Slicer testbed"  # noqa: N815 - as in Slicer

    def __init__(self) -> None:
        super().__init__("startupCompleted()")
        self._settings_folder = tempfile.TemporaryDirectory(prefix="testbed-")
        QSettings.setDefaultFormat(QSettings.Format.IniFormat)
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, self._settings_folder.name)
        self._qt = QApplication.instance() or QApplication(["Slicer"])
        self._qt.setOrganizationName("testbed")
        self._main_window = QMainWindow()
        self._main_window.setObjectName("qSlicerMainWindow")
        self.logics = Logics()
        self._layout_manager = LayoutManager(self.logics)
        self._module_manager = Signals("moduleAboutToBeUnloaded(QString)")

    def close(self) -> None:
        """As when Slicer ends; another application may follow."""
        self._main_window.setObjectName("")
        self._main_window.deleteLater()
        self._settings_folder.cleanup()

    def testingEnabled(self) -> bool:
        """Whether messages are suppressed; no, tests read them."""
        return False

    def applicationLogic(self) -> slicer.vtkSlicerApplicationLogic:
        return self.logics.application

    def layoutManager(self) -> LayoutManager:
        return self._layout_manager

    def moduleManager(self) -> Signals:
        """Only its signal."""
        return self._module_manager

    def userSettings(self) -> QSettings:
        """Of this run of the tests alone."""
        return QSettings()

    def commandOptions(self) -> SimpleNamespace:
        return SimpleNamespace(noMainWindow=False)

    def topLevelWidgets(self) -> list[QWidget]:
        return self._qt.topLevelWidgets()

    def processEvents(self) -> None:
        self._qt.processEvents()

    def setOverrideCursor(self, cursor: object) -> None:
        self._qt.setOverrideCursor(cursor)

    def restoreOverrideCursor(self) -> None:
        self._qt.restoreOverrideCursor()

    def translate(self, _context: str, text: str) -> str:
        return text
