"""Stand-ins for the base classes of scripted modules."""

from __future__ import annotations

import importlib
import logging
import unittest
from pathlib import Path

import slicer
from PySide6.QtWidgets import QWidget


class ScriptedLoadableModule:
    """What Slicer knows of a module before its panel is opened."""

    def __init__(self, parent: object) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__
        if not hasattr(slicer, "selfTests"):
            slicer.selfTests = {}
        slicer.selfTests[self.moduleName] = self.runTest

    def runTest(self, msec: int = 100) -> None:
        """What the button "Test" of the panel starts."""
        test = getattr(importlib.import_module(self.__module__), f"{self.moduleName}Test")()
        test.messageDelay = msec
        test.runTest()


class ScriptedLoadableModuleWidget:
    """A panel in the module area."""

    def __init__(self, parent: QWidget) -> None:
        self.parent = parent
        self.layout = parent.layout()
        self.moduleName = type(self).__name__.removesuffix("Widget")

    def resourcePath(self, name: str) -> str:
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / name)

    def setup(self) -> None:
        """Overridden by modules."""

    def cleanup(self) -> None:
        """Overridden by modules."""


class ScriptedLoadableModuleLogic:
    """What a module can do without a panel."""

    def __init__(self) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self) -> slicer.vtkMRMLScriptedModuleNode:
        """The module's only node in the scene; made at the first call."""
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.vtkMRMLScriptedModuleNode()
            node.SetSingletonTag(self.moduleName)
            node.SetName(self.moduleName)
            node = slicer.mrmlScene.AddNode(node)
        node.SetAttribute("ModuleName", self.moduleName)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """A module's self-test, which users can start from its panel."""

    messageDelay = 100  # noqa: N815 - as in Slicer

    def delayDisplay(self, message: str) -> None:
        """Let the window follow the test."""
        slicer.util.delayDisplay(message, self.messageDelay)

    def runTest(self) -> None:
        """Run every test of the class; as in Slicer, a class without one passes."""
        names = [name for name in dir(self) if "test" in name and callable(getattr(self, name))]
        if not names:
            logging.warning("No test is defined in %s", type(self).__name__)
        for name in names:
            self.setUp()
            getattr(self, name)()
            self.tearDown()
