"""Makes PySide6 look like PythonQt, as Slicer's modules see Qt: properties are attributes, and only real ones exist."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

from PySide6.QtCore import Property, QObject, SignalInstance

_set_attribute = QObject.__setattr__

_STAY_METHODS = {"sizeHint", "minimumSizeHint"}
"""Virtual functions that Qt itself calls; as Python properties they would break it."""


def use_pythonqt_properties(*modules: ModuleType) -> None:
    """Turn every Qt property of every class in PySide6 modules into a Python property, and refuse other attributes."""
    members = (getattr(module, name) for module in modules for name in dir(module))
    classes = {member for member in members if _is_qobject_class(member)}
    QObject.name = property(QObject.objectName, QObject.setObjectName)
    QObject.className = lambda self: self.metaObject().className()
    for qt_class in classes:
        _expose_properties(qt_class)
        if qt_class is not QObject:
            qt_class.__setattr__ = _set_existing_property


def _is_qobject_class(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, QObject)


def _expose_properties(qt_class: type[QObject]) -> None:
    meta_object = qt_class.staticMetaObject
    for index in range(meta_object.propertyOffset(), meta_object.propertyCount()):
        name = meta_object.property(index).name()
        if name not in _STAY_METHODS:
            setattr(qt_class, name, _property_named(name, meta_object.property(index).isWritable()))


def _property_named(name: str, is_writable: bool) -> property:
    setter_name = f"set{name[0].upper()}{name[1:]}"

    def read(self: QObject) -> Any:
        return self.property(name)

    def write(self: QObject, value: Any) -> None:
        if hasattr(self, setter_name):
            getattr(self, setter_name)(value)
        elif not self.setProperty(name, value):
            message = f"{self.metaObject().className()}.{name} cannot be {value!r}"
            raise ValueError(message)

    return property(read, write if is_writable else None)


def _set_existing_property(self: QObject, name: str, value: Any) -> None:
    """As in PythonQt, a misspelt property is an error, not a new attribute; the testbed's widgets may have secrets."""
    is_property = isinstance(inspect.getattr_static(type(self), name, None), property | Property)
    is_of_pyside = isinstance(value, SignalInstance)
    if not is_property and not is_of_pyside and not name.startswith("_"):
        message = f"{type(self).__name__} has no property {name!r}"
        raise AttributeError(message)
    _set_attribute(self, name, value)
