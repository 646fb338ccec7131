"""A stand-in for `slicer.app`, and the scene, logics and slice views that come with the application."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import slicer
import vtk
from PySide6.QtCore import QSettings
from PySide6.QtWidgets import QApplication, QMainWindow, QWidget

_SLICE_VIEWS = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}


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
        self._qt = QApplication.instance() or QApplication(["Slicer"])
        self._main_window = QMainWindow()
        self._main_window.setObjectName("qSlicerMainWindow")
        self.logics = Logics()
        self._settings_folder = tempfile.TemporaryDirectory(prefix="testbed-")
        settings_file = Path(self._settings_folder.name, "Slicer.ini")
        self._settings = QSettings(str(settings_file), QSettings.Format.IniFormat)

    def testingEnabled(self) -> bool:
        """Whether messages are suppressed; no, tests read them."""
        return False

    def applicationLogic(self) -> slicer.vtkSlicerApplicationLogic:
        return self.logics.application

    def layoutManager(self) -> None:
        """As without a main window: tests open the views they need."""

    def userSettings(self) -> QSettings:
        """Of this run of the tests alone."""
        return self._settings

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


class Logics:
    """The scene with the module logics and slice views that a started Slicer has."""

    def __init__(self) -> None:
        self.scene = slicer.vtkMRMLScene()
        self.application = slicer.vtkSlicerApplicationLogic()
        self.application.SetMRMLScene(self.scene)
        self.application.SetSliceLogics(vtk.vtkCollection())
        self._colours = slicer.vtkMRMLColorLogic()
        self._colours.SetMRMLScene(self.scene)
        self.markups = slicer.vtkSlicerMarkupsLogic()
        self.volumes = slicer.vtkSlicerVolumesLogic()
        for logic in (self.markups, self.volumes):
            logic.SetMRMLApplicationLogic(self.application)
            logic.SetMRMLScene(self.scene)
        self.application.SetModuleLogic("Markups", self.markups)
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)
        for name, orientation in _SLICE_VIEWS.items():
            self._add_slice_view(name, orientation)

    def grey(self) -> slicer.vtkMRMLColorNode:
        """The colours of volumes, which go when the scene is closed."""
        if self.scene.GetNodeByID("vtkMRMLColorTableNodeGrey") is None:
            self._colours.AddDefaultColorNodes()
        return self.scene.GetNodeByID("vtkMRMLColorTableNodeGrey")

    def _add_slice_view(self, name: str, orientation: str) -> None:
        node = self.scene.CreateNodeByClass("vtkMRMLSliceNode")
        node.UnRegister(None)
        node.SetSingletonTag(name)
        node.SetLayoutName(name)
        node.SetName(name)
        self.scene.AddNode(node)
        node.SetOrientation(orientation)
        node.SetFieldOfView(250.0, 250.0, 1.0)
        node.SetDimensions(250, 250, 1)
