"""Loads .ui files that use Slicer's and CTK's widgets, and refuses properties and connections those do not have."""

from __future__ import annotations

from xml.etree import ElementTree

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QObject
from PySide6.QtUiTools import QUiLoader
from PySide6.QtWidgets import QWidget

from .ctk_widgets import CTK_WIDGETS
from .mrml_widgets import MRML_WIDGETS

_CUSTOM_WIDGETS = CTK_WIDGETS | MRML_WIDGETS

_DESIGNER_PROPERTIES = {"buddy"}
"""Set by the loader, although no property of the widget."""


class UiLoader(QUiLoader):
    """QUiLoader as Slicer has it, where designer plug-ins know the custom widgets."""

    def load(self, device: QIODevice, parent: QWidget | None = None) -> QWidget:
        """The widget of an open .ui file; connections that pass the scene are made in Python, where Qt cannot."""
        document = ElementTree.fromstring(bytes(device.readAll()))
        connections = document.find("connections")
        if connections is not None:
            document.remove(connections)
        buffer = QBuffer()
        buffer.setData(QByteArray(ElementTree.tostring(document)))
        buffer.open(QIODevice.OpenModeFlag.ReadOnly)
        root = super().load(buffer, parent)
        for element in document.iter("widget"):
            _check_properties(_named(root, element.get("name")), element)
        for connection in connections if connections is not None else ():
            _connect(root, connection)
        return root

    def createWidget(self, class_name: str, parent: QWidget | None = None, name: str = "") -> QWidget:
        """A widget of a class Qt knows or this testbed has."""
        if class_name in _CUSTOM_WIDGETS:
            widget = _CUSTOM_WIDGETS[class_name](parent)
            widget.setObjectName(name)
            return widget
        if class_name not in self.availableWidgets():
            message = f"the testbed has no widget {class_name}"
            raise ValueError(message)
        return super().createWidget(class_name, parent, name)


def _named(root: QWidget, name: str) -> QWidget:
    found = root if root.objectName == name else root.findChild(QWidget, name)
    if found is None:
        message = f"the .ui file has no widget {name}"
        raise ValueError(message)
    return found


def _check_properties(widget: QWidget, element: ElementTree.Element) -> None:
    """Qt turns a misspelt property into a dynamic one, without a word."""
    for entry in element.findall("property"):
        name = entry.get("name")
        is_known = entry.get("stdset") == "0" or name in _DESIGNER_PROPERTIES
        if not is_known and widget.metaObject().indexOfProperty(name) < 0:
            message = f"{element.get('class')} {element.get('name')} has no property {name!r}"
            raise ValueError(message)


def _connect(root: QWidget, connection: ElementTree.Element) -> None:
    sender, receiver = (_named(root, connection.findtext(end)) for end in ("sender", "receiver"))
    signal, slot = (connection.findtext(part).partition("(")[0] for part in ("signal", "slot"))
    _member(sender, signal).connect(_member(receiver, slot))


def _member(owner: QObject, name: str) -> object:
    if not hasattr(owner, name):
        message = f"{owner.objectName} has no signal or slot {name!r}"
        raise ValueError(message)
    return getattr(owner, name)
