"""A stand-in for the module SampleData: it keeps what other modules register."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class SampleDataSource:
    """A button of the module."""

    sampleName: str  # noqa: N815 - as in Slicer
    uris: str
    fileNames: str  # noqa: N815
    nodeNames: str  # noqa: N815
    customDownloader: Callable  # noqa: N815


class SampleDataLogic:
    """Its sources by category."""

    sources: ClassVar[dict[str, list[SampleDataSource]]] = {}

    @staticmethod
    def registerCustomSampleDataSource(*, category: str, **source: object) -> None:
        SampleDataLogic.sources.setdefault(category, []).append(SampleDataSource(**source))
