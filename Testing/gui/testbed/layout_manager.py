"""A stand-in for the layout manager: the slice views of the application, as scripts get at them."""

from __future__ import annotations

import slicer
import vtk

from .logics import Logics
from .slice_view import SliceView


class LayoutManager:
    """`slicer.app.layoutManager()`: it has slice views alone; asking it for anything else is an error."""

    def __init__(self, logics: Logics) -> None:
        self._logics = logics
        self._views: dict[str, SliceView] = {}

    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(self._logics.slices)

    def sliceWidget(self, name: str) -> SliceWidget | None:
        """None if there is no view of that name."""
        logic = self._logics.slices.get(name)
        return None if logic is None else SliceWidget(logic)

    def mrmlSliceLogics(self) -> vtk.vtkCollection:
        return self._logics.application.GetSliceLogics()

    def resetSliceViews(self) -> None:
        for logic in self._logics.slices.values():
            logic.FitSliceToBackground()

    def view(self, name: str) -> SliceView:
        """The window that draws a slice view, for tests; it is made when it is first asked for."""
        if name not in self._views:
            self._views[name] = SliceView(self._logics, name)
        return self._views[name]


class SliceWidget:
    """One of the slice views, of which scripts use what is behind the picture."""

    def __init__(self, logic: slicer.vtkMRMLSliceLogic) -> None:
        self._logic = logic

    def sliceLogic(self) -> slicer.vtkMRMLSliceLogic:
        return self._logic

    def mrmlSliceNode(self) -> slicer.vtkMRMLSliceNode:
        return self._logic.GetSliceNode()

    def fitSliceToBackground(self) -> None:
        self._logic.FitSliceToBackground()
