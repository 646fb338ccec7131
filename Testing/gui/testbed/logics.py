"""The scene with the module logics and slice logics that a started Slicer has."""

from __future__ import annotations

import slicer
import vtk

_SLICE_VIEWS = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}


class Logics:
    """One scene, and everything that keeps it alive."""

    def __init__(self) -> None:
        self.scene = slicer.vtkMRMLScene()
        self.application = slicer.vtkSlicerApplicationLogic()
        self.application.SetMRMLScene(self.scene)
        self.application.SetSliceLogics(vtk.vtkCollection())
        self._colours = slicer.vtkMRMLColorLogic()
        self._colours.SetMRMLScene(self.scene)
        self.markups = slicer.vtkSlicerMarkupsLogic()
        self.volumes = slicer.vtkSlicerVolumesLogic()
        for logic in (self.markups, self.volumes):
            logic.SetMRMLApplicationLogic(self.application)
            logic.SetMRMLScene(self.scene)
        self.application.SetModuleLogic("Markups", self.markups)
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)
        self.slices = {name: self._slice_logic(name, orientation) for name, orientation in _SLICE_VIEWS.items()}

    def grey(self) -> slicer.vtkMRMLColorNode:
        """The colours of volumes, which go when the scene is closed."""
        if self.scene.GetNodeByID("vtkMRMLColorTableNodeGrey") is None:
            self._colours.AddDefaultColorNodes()
        return self.scene.GetNodeByID("vtkMRMLColorTableNodeGrey")

    def _slice_logic(self, name: str, orientation: str) -> slicer.vtkMRMLSliceLogic:
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLApplicationLogic(self.application)
        logic.SetMRMLScene(self.scene)
        logic.SetSliceNode(self._slice_node(name, orientation))
        self.application.GetSliceLogics().AddItem(logic)
        return logic

    def _slice_node(self, name: str, orientation: str) -> slicer.vtkMRMLSliceNode:
        node = self.scene.CreateNodeByClass("vtkMRMLSliceNode")
        node.UnRegister(None)
        node.SetSingletonTag(name)
        node.SetLayoutName(name)
        node.SetName(name)
        self.scene.AddNode(node)
        node.SetOrientation(orientation)
        node.SetFieldOfView(250.0, 250.0, 1.0)
        node.SetDimensions(250, 250, 1)
        return node
