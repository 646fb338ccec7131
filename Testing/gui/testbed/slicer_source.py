"""Slicer's own Python classes, from a checkout of its source, where the testbed has stand-ins for them otherwise."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import slicer
from PySide6.QtWidgets import QWidget

from . import packaging

VARIABLE = "SLICER_SOURCE"
"""The environment variable that names the checkout."""

_MODULES = (
    "slicer.util",
    "slicer.i18n",
    "slicer.packaging",
    "slicer.parameterNodeWrapper",
    "slicer.ScriptedLoadableModule",
    "SampleData",
)

_CTK_WIDGETS = (
    "ctkCheckBox",
    "ctkCheckablePushButton",
    "ctkColorPickerButton",
    "ctkComboBox",
    "ctkDirectoryButton",
    "ctkDoubleRangeSlider",
    "ctkDoubleSlider",
    "ctkDoubleSpinBox",
    "ctkPathLineEdit",
    "ctkRangeWidget",
    "ctkSliderWidget",
)
_MRML_WIDGETS = ("qMRMLRangeWidget", "qMRMLSliderWidget", "qMRMLSpinBox")


def slicer_source() -> Path | None:
    """The checkout to use, if there is one."""
    return Path(os.environ[VARIABLE]) if VARIABLE in os.environ else None


def use_slicers_own_classes(checkout: Path) -> None:
    """Have `slicer.util` and the others, and SampleData, imported from the checkout."""
    import ctk

    for names, module in ((_CTK_WIDGETS, ctk), (_MRML_WIDGETS, slicer)):
        vars(module).update({name: _absent_widget(name) for name in names})
    slicer.__path__ = [str(checkout / "Base" / "Python" / "slicer")]
    sys.path.insert(0, str(checkout / "Modules" / "Scripted" / "SampleData"))
    for name in _MODULES:
        sys.modules.pop(name, None)
    for name in _MODULES:
        importlib.import_module(name)
    slicer.packaging.pip_install = lambda requirements, **_options: packaging.pip_install(requirements)


def _absent_widget(name: str) -> type[QWidget]:
    """A class that Slicer's code compares widgets with, and that the testbed has no widget of."""

    def refuse(_class: type, *_arguments: object) -> None:
        message = f"the testbed has no widget {name}"
        raise TypeError(message)

    return type(name, (QWidget,), {"__new__": refuse})
