"""Images to try the shipped models on, in Slicer's module Sample Data; they come with the extension."""

from __future__ import annotations

from typing import Any

import slicer

from LandmarkDetectionLib.files.images import read_volume
from LandmarkDetectionLib.models.registry import list_models, sample_image, sample_thumbnail
from LandmarkDetectionLib.mrml import add_volume

_CATEGORY = "Landmark Detection"


def register_sample_data() -> None:
    """Offer the image of every model that has one; called when Slicer has started."""
    from SampleData import SampleDataLogic

    for card in list_models():
        image = sample_image(card.name)
        if image is not None:
            SampleDataLogic.registerCustomSampleDataSource(
                category=_CATEGORY,
                sampleName=card.name,
                uris=image.as_uri(),
                fileNames=image.name,
                nodeNames=card.name,
                thumbnailFileName=str(sample_thumbnail(card.name)),
                customDownloader=_load,
            )


def _load(source: Any) -> list[slicer.vtkMRMLScalarVolumeNode]:
    """Add the image of a source to the scene and show it."""
    node = add_volume(read_volume(sample_image(source.sampleName)))
    node.SetName(source.sampleName)
    slicer.util.setSliceViewerLayers(background=node, fit=True)
    return [node]
