"""A small stand-in for the Slicer application: it runs the modules' code unchanged, on the real MRML library and Qt.

It has what is not in slicer-core: the application object, the base classes of scripted modules, the parameter node
wrapper, and the few CTK and MRML widgets that the panels use. It is stricter than Slicer where it can be: a misspelt
property, an unknown signal or widget, and an exception that leaves a slot are errors of the test.

With SLICER_SOURCE set to a checkout of Slicer's source, the Python classes are Slicer's own instead.
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

from . import ctk_widgets
from .application import Application
from .ctk_widgets import ctkMessageBox
from .mrml_widgets import MRML_WIDGETS, ModulePanel
from .qt_module import qt_module
from .slice_view import SliceView
from .slicer_source import slicer_source, use_slicers_own_classes
from .stand_ins import use_stand_ins

_POLL_MICROSECONDS = 5_000
_sleep_holding_the_lock = ctypes.PyDLL(None).usleep
"""Slicer's event loop holds Python's lock while it waits: no other thread of Python runs meanwhile."""


class Testbed:
    """One application with one scene, as in Slicer; a process can have several, one after another."""

    __test__ = False

    def __init__(self) -> None:
        sys.modules["qt"] = qt_module()
        sys.modules["ctk"] = _ctk_module()
        vars(slicer).update(MRML_WIDGETS)
        self.application = slicer.app = Application()
        self.logics = self.application.logics
        self.scene = slicer.mrmlScene = self.logics.scene
        slicer.modules = SimpleNamespace(
            markups=SimpleNamespace(logic=lambda: self.logics.markups),
            volumes=SimpleNamespace(logic=lambda: self.logics.volumes),
        )
        if source := slicer_source():
            use_slicers_own_classes(source)
        else:
            use_stand_ins()
        self._loaded: list[str] = []
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
        self._loaded.append(path.stem)
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
        view = self.application.layoutManager().view(name)
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

    def close(self) -> None:
        """End the application, and forget its modules and the packages of their panels."""
        for name in list(sys.modules):
            if name.partition(".")[0].removesuffix("Widgets") in self._loaded:
                del sys.modules[name]
        self.application.close()

    def wait_until(self, condition: Callable[[], bool], limit_s: float = 120.0) -> None:
        """Let the application run until something is true."""
        ends = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > ends:
                message = f"it did not happen within {limit_s} s"
                raise TimeoutError(message)
            self.application.processEvents()
            _sleep_holding_the_lock(_POLL_MICROSECONDS)


def _ctk_module() -> ModuleType:
    module = ModuleType("ctk")
    vars(module).update({name: value for name, value in vars(ctk_widgets).items() if name.startswith("ctk")})
    return module
