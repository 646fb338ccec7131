"""A small stand-in for the Slicer application: it runs the modules' code unchanged, on the real MRML library and Qt.

It has what is not in slicer-core: the application object, the base classes of scripted modules, the parameter node
wrapper, and the few CTK and MRML widgets that the panels use. It is stricter than Slicer where it can be: a misspelt
property, an unknown signal or widget, and an exception that leaves a slot are errors of the test.
"""

from __future__ import annotations

import ctypes
import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import slicer
from PySide6.QtWidgets import QVBoxLayout

from . import ctk_widgets, sample_data, scripted_module
from .application import Application
from .ctk_widgets import ctkMessageBox
from .mrml_widgets import MRML_WIDGETS, ModulePanel
from .packaging import make_packaging_module
from .parameter_node import parameterNodeWrapper
from .qt_module import make_qt_module
from .slice_view import SliceView

_POLL_MICROSECONDS = 5_000
_sleep_holding_the_lock = ctypes.PyDLL(None).usleep
"""Slicer's event loop holds Python's lock while it waits: no other thread of Python runs meanwhile."""


class Testbed:
    """One application a process, with one scene, as in Slicer."""

    __test__ = False

    def __init__(self) -> None:
        _install("qt", make_qt_module())
        _install("ctk", _module_of("ctk", vars(ctk_widgets)))
        _install("slicer.i18n", _module_of("i18n", {"tr": lambda text: text, "translate": lambda _context, text: text}))
        _install("slicer.parameterNodeWrapper", _module_of("w", {"parameterNodeWrapper": parameterNodeWrapper}))
        _install("slicer.ScriptedLoadableModule", scripted_module)
        _install("slicer.packaging", make_packaging_module())
        _install("SampleData", sample_data)
        vars(slicer).update(MRML_WIDGETS)
        self.application = slicer.app = Application()
        self.logics = self.application.logics
        self.scene = slicer.mrmlScene = self.logics.scene
        slicer.modules = SimpleNamespace(
            markups=SimpleNamespace(logic=lambda: self.logics.markups),
            volumes=SimpleNamespace(logic=lambda: self.logics.volumes),
        )
        self.uncaught: list[BaseException] = []
        sys.excepthook = lambda _kind, error, _traceback: self.uncaught.append(error)

    @property
    def messages(self) -> list[str]:
        """Texts of the message boxes shown so far; clear it to forget them."""
        return ctkMessageBox.shown

    @property
    def answers(self) -> list[str]:
        """Names of the buttons to press in the questions to come, such as "Yes"."""
        return ctkMessageBox.answers

    def load_module(self, path: Path) -> ModuleType:
        """Load a scripted module as Slicer does: its folder goes on the path, its file is imported by name."""
        sys.path.insert(0, str(path.parent))
        python_module = importlib.import_module(path.stem)
        description = SimpleNamespace(path=str(path))
        getattr(python_module, path.stem)(description)
        setattr(slicer.modules, path.stem.lower(), description)
        return python_module

    def open_panel(self, python_module: ModuleType) -> object:
        """Build the module's panel and enter it."""
        frame = ModulePanel()
        frame.setLayout(QVBoxLayout())
        frame.setMRMLScene(self.scene)
        panel = getattr(python_module, f"{python_module.__name__}Widget")(frame)
        panel.setup()
        panel.enter()
        frame.setEntered(True)
        frame.show()
        return panel

    def open_slice_view(self, name: str) -> SliceView:
        """A window with one of the slice views."""
        view = SliceView(self.logics, name)
        view.resize(300, 300)
        view.show()
        self.application.processEvents()
        return view

    def close_panel(self, panel: object) -> None:
        """As when Slicer ends."""
        panel.parent.setEntered(False)
        panel.exit()
        panel.cleanup()
        panel.parent.hide()
        panel.parent.deleteLater()
        self.application.processEvents()

    def wait_until(self, condition: Callable[[], bool], limit_s: float = 120.0) -> None:
        """Let the application run until something is true."""
        ends = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > ends:
                message = f"it did not happen within {limit_s} s"
                raise TimeoutError(message)
            self.application.processEvents()
            _sleep_holding_the_lock(_POLL_MICROSECONDS)


def _install(name: str, module: ModuleType) -> None:
    sys.modules[name] = module
    if name.startswith("slicer."):
        setattr(slicer, name.removeprefix("slicer."), module)


def _module_of(name: str, members: dict[str, object]) -> ModuleType:
    module = ModuleType(name)
    vars(module).update({key: value for key, value in members.items() if not key.startswith("__")})
    return module
