"""What the panel remembers with the scene."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from slicer import vtkMRMLMarkupsFiducialNode, vtkMRMLScalarVolumeNode
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

from LandmarkDetectionLib.training_setup import LONGEST_NAME, TrainingSetup
from LandmarkDetectionWidgets.device import Device

from .choices import Plot, Preset


@parameterNodeWrapper
class LandmarkTrainingParameterNode:
    """What the panel remembers with the scene.

    dataset - folder or packed file to train on, as it was typed; see `typed_path`.
    landmarks, volume - the case to add to it.
    method, preset, initial, model_name, device, config, folds - what to train, and how; see `TrainingSetup`.
    plot - what the plot view shows.
    """

    dataset: str = ""
    landmarks: vtkMRMLMarkupsFiducialNode
    volume: vtkMRMLScalarVolumeNode
    method: str = "pin"
    preset: Preset = Preset.QUICK
    initial: str = ""
    model_name: str = ""
    device: Device = Device.AUTO
    config: str = ""
    folds: Annotated[int, WithinRange(1, 20)] = 1
    plot: Plot = Plot.ERROR


def typed_path(text: str) -> str:
    """The path that a person means: file managers copy paths in quotes, and ~ is the user's folder."""
    path = text.strip().strip("\"'").strip()
    return str(Path(path).expanduser()) if Path(path).parts[:1] == ("~",) else path


def setup_of(node: LandmarkTrainingParameterNode, suggested_name: str) -> TrainingSetup:
    """What the panel would train; the suggested name holds where the user gives none.

    Of a name that is too long only so much is kept that it is refused: no system has files of such names.
    """
    return TrainingSetup(
        dataset=typed_path(node.dataset),
        method=node.method,
        preset=node.preset.value,
        name=(node.model_name or suggested_name)[: LONGEST_NAME + 1],
        device=node.device.value,
        initial=node.initial,
        config=typed_path(node.config),
        folds=node.folds,
    )


def keep_setup(node: LandmarkTrainingParameterNode, setup: TrainingSetup) -> None:
    """Make the panel show what is being trained."""
    node.dataset, node.method, node.model_name = setup.dataset, setup.method, setup.name
    node.initial, node.config, node.folds = setup.initial, setup.config, setup.folds
    node.preset, node.device = Preset(setup.preset), Device(setup.device)
