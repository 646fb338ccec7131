"""A stand-in for slicer.parameterNodeWrapper: typed values on a MRML node, bound to widgets by a dynamic property."""

from __future__ import annotations

import enum
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

import slicer
import vtk
from PySide6.QtWidgets import QCheckBox, QComboBox, QLineEdit, QSpinBox, QWidget

from .mrml_widgets import qMRMLNodeComboBox

_TEXT_TYPES: dict[type, Callable[[str], Any]] = {str: str, int: int, float: float, bool: lambda text: text == "True"}


@dataclass(frozen=True)
class WithinRange:
    """Annotation of a number: the smallest and the largest it may be."""

    minimum: int
    maximum: int

    def validate(self, value: int) -> None:
        if not self.minimum <= value <= self.maximum:
            message = f"Value must be within range [{self.minimum}, {self.maximum}], is {value}"
            raise ValueError(message)


_ANY_WHOLE_NUMBER = WithinRange(-(2**31), 2**31 - 1)
"""Where nothing is said, in Slicer too, whatever the .ui file says."""


def parameterNodeWrapper(described: type) -> type:
    """Class decorator: every annotated name becomes a property that lives on the wrapped MRML node."""
    annotations = typing.get_type_hints(described, include_extras=True)
    described._parameters = {
        name: _Parameter(name, kind, getattr(described, name, None)) for name, kind in annotations.items()
    }
    for name, parameter in described._parameters.items():
        setattr(described, name, property(parameter.read, parameter.write))
    return type(described.__name__, (_ParameterNode, described), {"__module__": described.__module__})


class _Parameter:
    """How one value is kept: nodes as references, all else as text."""

    def __init__(self, name: str, annotated: Any, default: Any) -> None:
        kind, *extras = get_args(annotated) if get_origin(annotated) is Annotated else (annotated,)
        self.range = next((extra for extra in extras if isinstance(extra, WithinRange)), _ANY_WHOLE_NUMBER)
        is_node = issubclass(kind, slicer.vtkMRMLNode)
        if not is_node and kind not in _TEXT_TYPES and not issubclass(kind, enum.Enum):
            message = f"no parameter can be of type {kind}"
            raise TypeError(message)
        self.name, self.kind, self.is_node, self.default = name, kind, is_node, default
        if default is None and not is_node:
            self.default = next(iter(kind)) if issubclass(kind, enum.Enum) else kind()

    def read(self, wrapper: _ParameterNode) -> Any:
        if self.is_node:
            return wrapper.parameterNode.GetNodeReference(self.name)
        text = wrapper.parameterNode.GetParameter(self.name)
        if issubclass(self.kind, enum.Enum):
            return self.kind[text]
        return _TEXT_TYPES[self.kind](text)

    def write(self, wrapper: _ParameterNode, value: Any) -> None:
        if not (value is None and self.is_node) and not isinstance(value, self.kind):
            message = f"{self.name} must be a {self.kind.__name__}, not {value!r}"
            raise TypeError(message)
        if self.kind is int:
            self.range.validate(value)
        if self.is_node:
            wrapper.parameterNode.SetNodeReferenceID(self.name, None if value is None else value.GetID())
        else:
            text = value.name if isinstance(value, enum.Enum) else str(value)
            wrapper.parameterNode.SetParameter(self.name, text)


class _ParameterNode:
    """What every wrapped class can do."""

    def __init__(self, node: slicer.vtkMRMLScriptedModuleNode) -> None:
        self.parameterNode = node
        self._connections: dict[int, tuple[int, dict[str, _Binding]]] = {}
        self._is_updating = False
        for parameter in self._parameters.values():
            if not parameter.is_node and parameter.name not in node.GetParameterNames():
                parameter.write(self, parameter.default)

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and name != "parameterNode" and name not in self._parameters:
            message = f"{type(self).__name__} has no parameter {name!r}"
            raise AttributeError(message)
        super().__setattr__(name, value)

    def AddObserver(self, event: int, callback: Callable, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def connectGui(self, ui: object) -> int:
        """Bind every widget whose property SlicerParameterName names a parameter; the node's values win."""
        named = {widget.property("SlicerParameterName"): widget for widget in vars(ui).values()}
        named.pop(None, None)
        if unknown := named.keys() - self._parameters.keys():
            message = f"widgets are bound to parameters that do not exist: {sorted(unknown)}"
            raise ValueError(message)
        bindings = {name: _Binding(widget, self._parameters[name]) for name, widget in named.items()}
        for name, binding in bindings.items():
            binding.show(getattr(self, name))
            binding.on_change(lambda name=name, binding=binding: self._take(name, binding))
        observer = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda _caller, _event: self._show(bindings))
        self._connections[observer] = (observer, bindings)
        return observer

    def disconnectGui(self, tag: int) -> None:
        observer, bindings = self._connections.pop(tag)
        self.RemoveObserver(observer)
        for binding in bindings.values():
            binding.on_change(None)

    def _take(self, name: str, binding: _Binding) -> None:
        if not self._is_updating:
            setattr(self, name, binding.value())

    def _show(self, bindings: dict[str, _Binding]) -> None:
        if self._is_updating:
            return
        self._is_updating = True
        try:
            for name, binding in bindings.items():
                binding.show(getattr(self, name))
        finally:
            self._is_updating = False


class _Binding:
    """One widget as the editor of one value."""

    def __init__(self, widget: QWidget, parameter: _Parameter) -> None:
        kind = parameter.kind
        self._widget = widget
        if isinstance(widget, QSpinBox):
            widget.setRange(parameter.range.minimum, parameter.range.maximum)
        self._choices = list(kind) if issubclass(kind, enum.Enum) else []
        self._changed = self._signal_of(widget, kind)
        self._slot: Callable[[], None] | None = None
        if self._choices:
            widget.clear()
            for choice in self._choices:
                widget.addItem(choice.label() if hasattr(choice, "label") else choice.name)

    @staticmethod
    def _signal_of(widget: QWidget, kind: type) -> Any:
        if isinstance(widget, qMRMLNodeComboBox) and issubclass(kind, slicer.vtkMRMLNode):
            return widget.currentNodeChanged
        if isinstance(widget, QComboBox) and issubclass(kind, enum.Enum):
            return widget.currentIndexChanged
        if isinstance(widget, QCheckBox) and kind is bool:
            return widget.toggled
        if isinstance(widget, QSpinBox) and kind is int:
            return widget.valueChanged
        if isinstance(widget, QLineEdit) and kind is str:
            return widget.textChanged
        message = f"a {type(widget).__name__} cannot edit a {kind.__name__}"
        raise TypeError(message)

    def on_change(self, callback: Callable[[], None] | None) -> None:
        if self._slot is not None:
            self._changed.disconnect(self._slot)
        self._slot = None if callback is None else lambda *_arguments: callback()
        if self._slot is not None:
            self._changed.connect(self._slot)

    def value(self) -> Any:
        if isinstance(self._widget, qMRMLNodeComboBox):
            return self._widget.currentNode()
        if isinstance(self._widget, QComboBox):
            return self._choices[self._widget.currentIndex]
        return self._widget.checked if isinstance(self._widget, QCheckBox) else self._widget_text_or_number()

    def _widget_text_or_number(self) -> str | int:
        return self._widget.text if isinstance(self._widget, QLineEdit) else self._widget.value

    def show(self, value: Any) -> None:
        if isinstance(self._widget, qMRMLNodeComboBox):
            self._widget.setCurrentNode(value)
        elif isinstance(self._widget, QComboBox):
            self._widget.setCurrentIndex(self._choices.index(value))
        elif isinstance(self._widget, QCheckBox):
            self._widget.setChecked(value)
        elif isinstance(self._widget, QLineEdit):
            self._widget.setText(value)
        else:
            self._widget.setValue(value)
