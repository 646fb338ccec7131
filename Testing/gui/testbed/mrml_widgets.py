"""Stand-ins for the MRML widgets that the panels use."""

# ruff: noqa: N801, N815 - the names are Slicer's
from __future__ import annotations

import slicer
from PySide6.QtCore import Property, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QWidget


class qMRMLWidget(QWidget):
    """A widget that hands the scene on to those inside it."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: slicer.vtkMRMLScene | None = None

    def mrmlScene(self) -> slicer.vtkMRMLScene | None:
        return self._scene

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)


class ModulePanel(qMRMLWidget):
    """What a module's panel is built into; it knows whether the user has it open."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._is_entered = False

    def setEntered(self, is_entered: bool) -> None:
        self._is_entered = is_entered

    isEntered = Property(bool, lambda self: self._is_entered)


class qMRMLNodeComboBox(QWidget):
    """A chooser of nodes that follows the scene. Without a "none" entry it always has a node chosen if there is one."""

    currentNodeChanged = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: slicer.vtkMRMLScene | None = None
        self._settings: dict[str, object] = {}
        self._nodes: list[slicer.vtkMRMLNode | None] = []
        self._current: slicer.vtkMRMLNode | None = None
        self._combo_box = QComboBox(self)
        self._combo_box.currentIndexChanged.connect(self._on_index_changed)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo_box)
        self.setFocusProxy(self._combo_box)

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        self._scene = scene
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent, scene.EndImportEvent):
            scene.AddObserver(event, self._on_scene_changed)
        self._fill()

    def currentNode(self) -> slicer.vtkMRMLNode | None:
        return self._current

    def setCurrentNode(self, node: slicer.vtkMRMLNode | None) -> None:
        self._combo_box.setCurrentIndex(self._nodes.index(node) if node in self._nodes else self._index_of_none())

    def nodeCount(self) -> int:
        return sum(node is not None for node in self._nodes)

    def _index_of_none(self) -> int:
        return 0 if self.noneEnabled else -1

    def _on_scene_changed(self, _caller: object, _event: str) -> None:
        self._fill()

    def _fill(self) -> None:
        chosen = self._current
        self._combo_box.blockSignals(True)
        self._nodes = ([None] if self.noneEnabled else []) + self._eligible_nodes()
        self._combo_box.clear()
        self._combo_box.addItems(["None" if node is None else node.GetName() for node in self._nodes])
        fallback = 0 if self._nodes else -1
        self._combo_box.setCurrentIndex(self._nodes.index(chosen) if chosen in self._nodes else fallback)
        self._combo_box.blockSignals(False)
        self._on_index_changed(self._combo_box.currentIndex)

    def _eligible_nodes(self) -> list[slicer.vtkMRMLNode]:
        hidden_classes = self.hideChildNodeTypes or []
        return [
            node
            for class_name in self.nodeTypes or []
            for node in slicer.util.getNodesByClass(class_name, self._scene)
            if not node.GetHideFromEditors() and not any(node.IsA(hidden) for hidden in hidden_classes)
        ]

    def _on_index_changed(self, index: int) -> None:
        node = self._nodes[index] if index >= 0 else None
        if node is not self._current:
            self._current = node
            self.currentNodeChanged.emit(node)

    def _setting(name: str, kind: str, default: object) -> Property:  # noqa: N805 - makes the properties below
        def read(self: qMRMLNodeComboBox) -> object:
            return self._settings.get(name, default)

        def write(self: qMRMLNodeComboBox, value: object) -> None:
            self._settings[name] = value
            if self._scene is not None:
                self._fill()

        return Property(kind, read, write)

    nodeTypes = _setting("nodeTypes", "QStringList", None)
    hideChildNodeTypes = _setting("hideChildNodeTypes", "QStringList", None)
    noneEnabled = _setting("noneEnabled", "bool", False)
    addEnabled = _setting("addEnabled", "bool", True)
    removeEnabled = _setting("removeEnabled", "bool", True)
    renameEnabled = _setting("renameEnabled", "bool", False)


MRML_WIDGETS = {"qMRMLWidget": qMRMLWidget, "qMRMLNodeComboBox": qMRMLNodeComboBox}
