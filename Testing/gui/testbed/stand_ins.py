"""The testbed's own versions of Slicer's Python classes."""

from __future__ import annotations

import sys

import slicer

from . import i18n, packaging, parameter_node, sample_data, scripted_module

_MODULES = {
    "slicer.i18n": i18n,
    "slicer.parameterNodeWrapper": parameter_node,
    "slicer.ScriptedLoadableModule": scripted_module,
    "slicer.packaging": packaging,
    "SampleData": sample_data,
}


def use_stand_ins() -> None:
    """Have them imported where Slicer's own classes would be."""
    sys.modules.update(_MODULES)
    for name, module in _MODULES.items():
        if name.startswith("slicer."):
            setattr(slicer, name.removeprefix("slicer."), module)
