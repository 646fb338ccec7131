"""A stand-in for the module SampleData: it keeps what other modules register."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import slicer


@dataclass(frozen=True)
class SampleDataSource:
    """A button of the module."""

    sampleName: str  # noqa: N815 - as in Slicer
    uris: str
    fileNames: str  # noqa: N815
    nodeNames: str  # noqa: N815
    customDownloader: Callable  # noqa: N815
    thumbnailFileName: str | None = None  # noqa: N815


class SampleDataLogic:
    """Keeps the sources by category where Slicer keeps them."""

    @staticmethod
    def registerCustomSampleDataSource(*, category: str, **source: object) -> None:
        if not hasattr(slicer.modules, "sampleDataSources"):
            slicer.modules.sampleDataSources = {}
        slicer.modules.sampleDataSources.setdefault(category, []).append(SampleDataSource(**source))
