"""The `qt` module: PySide6's classes under one name, in the dialect of PythonQt."""

from __future__ import annotations

from functools import cache
from types import ModuleType

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

from .qt_properties import use_pythonqt_properties
from .ui_loader import UiLoader


class _FileDialog(QtWidgets.QFileDialog):
    """PythonQt returns the chosen path alone, not the filter as well."""

    @staticmethod
    def getOpenFileName(*arguments: object) -> str:
        return QtWidgets.QFileDialog.getOpenFileName(*arguments)[0]

    @staticmethod
    def getSaveFileName(*arguments: object) -> str:
        return QtWidgets.QFileDialog.getSaveFileName(*arguments)[0]


@cache
def qt_module() -> ModuleType:
    """PySide6 itself changes: this is for test processes alone."""
    use_pythonqt_properties(QtCore, QtGui, QtWidgets, QtUiTools)
    module = ModuleType("qt")
    for source in (QtCore, QtGui, QtWidgets, QtUiTools):
        vars(module).update({name: getattr(source, name) for name in dir(source) if not name.startswith("_")})
    module.QUiLoader = UiLoader
    module.QFileDialog = _FileDialog
    return module
