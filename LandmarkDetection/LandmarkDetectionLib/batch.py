"""A run: case after case into one results folder; a case that fails never stops the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from .case_result import CaseResult, plane_image_stem
from .errors import DetectionCancelled, LandmarkDetectionError
from .failures import printable, unexpected_failure
from .files.atomic import whole_file
from .files.images import write_volume
from .files.results import DETECTION_SUFFIX, FAILED, CaseRow, ResultsFolder, read_detection
from .index_page import thumbnail_path, write_index_page
from .pictures import landmark_picture
from .reslicing import reslice, write_plane_png

if TYPE_CHECKING:
    from .detectors.base import ProgressCallback
    from .detectors.consensus_detector import AnyDetector
    from .files.dataset import Case
    from .landmarks import Detection
    from .models.joint_card import AnyCard
    from .planes import StandardPlane
    from .volume import Volume

_THUMBNAIL_HEIGHT_PX = 220
_LEAST_PLANE_COLUMNS = 400
_PLANE_IMAGE_SUFFIXES = (".png", ".nrrd")


class DetectionRun:
    """Detects case after case and writes each before the next; a kill at any moment leaves only whole files.

    Leaving the `with` block writes the index page of all cases in the folder, whatever ended the block.

    Args:
        output: the results folder; made if it is not there.
        with_planes: write the planes of each case and the images on them.
        resume: keep the cases that an earlier run has done completely with the same models and seed.
        seed: of every detection.

    Raises:
        LandmarkDetectionError: if the folder cannot be written.

    Example:
        >>> with DetectionRun(Path("results"), with_planes=True, resume=False, seed=0) as run:
        ...     for case in find_cases(Path("scans")):
        ...         run.process(case, detector)
    """

    def __init__(self, output: Path, *, with_planes: bool, resume: bool, seed: int) -> None:
        self.output = output
        self.results: list[CaseResult] = []
        self._folder = ResultsFolder(output)
        self._with_planes = with_planes
        self._resume = resume
        self._seed = seed

    def __enter__(self) -> DetectionRun:
        return self

    def __exit__(self, *_: object) -> None:
        write_index_page(self.output, [*self.results, *self._other_results()])

    def process(self, case: Case, detector: AnyDetector, progress: ProgressCallback | None = None) -> CaseResult:
        """Detect one case and write all that was found, or why it failed.

        Raises:
            LandmarkDetectionError: if the results folder can no longer be written.
        """
        result = self._earlier_result(case, detector) if self._resume else None
        if result is None:
            result = self._new_result(case, detector, progress)
        self.results.append(result)
        return result

    def _other_results(self) -> list[CaseResult]:
        """The cases that only earlier runs into the folder were about, as they left them."""
        cards = {result.card.weights_sha256: result.card for result in self.results}
        names = {result.name for result in self.results}
        return [self._as_written(row, cards) for row in self._folder.cases if row.case not in names]

    def _as_written(self, row: CaseRow, cards: Mapping[str, AnyCard]) -> CaseResult:
        image = Path(row.case)  # the tables know no more of it
        if row.status == FAILED:
            return CaseResult(row.case, image, None, None, row.message)
        try:
            detection = read_detection(self.output / f"{row.case}{DETECTION_SUFFIX}")
        except LandmarkDetectionError as error:
            return CaseResult(row.case, image, None, None, str(error))
        return CaseResult(row.case, image, cards.get(detection.weights_sha256), detection)

    def _earlier_result(self, case: Case, detector: AnyDetector) -> CaseResult | None:
        """What an earlier run wrote, if it is complete."""
        if not self._folder.is_complete(case.name, detector.card.weights_sha256):
            return None
        detection = read_detection(self.output / f"{case.name}{DETECTION_SUFFIX}")
        result = CaseResult(case.name, case.volume_path, detector.card, detection, is_kept=True)
        images = [path for plane in result.planes for path in self._plane_images(case.name, plane.name)]
        lacks_planes = self._with_planes and not all(path.is_file() for path in images)
        return None if detection.seed != self._seed or lacks_planes else result

    def _new_result(self, case: Case, detector: AnyDetector, progress: ProgressCallback | None) -> CaseResult:
        log = self.output / f"{case.name}.log"
        self._remove(case, detector, log)
        try:
            return self._detect_and_write(case, detector, progress)
        except DetectionCancelled:
            raise
        except LandmarkDetectionError as error:
            failure = printable(str(error))
        except Exception as error:
            failure = unexpected_failure(error, log)
        self._remove(case, detector)
        self._folder.write_failure(case.name, failure, str(detector.device))
        return CaseResult(case.name, case.volume_path, detector.card, None, failure)

    def _detect_and_write(self, case: Case, detector: AnyDetector, progress: ProgressCallback | None) -> CaseResult:
        """Pictures first, tables last: a case is complete once it is in the tables."""
        repairs: list[str] = []
        volume = case.read_volume(report=repairs.append)
        detection = detector.detect(volume, progress=progress, seed=self._seed)
        detection = dataclasses.replace(detection, notes=(*repairs, *detection.notes))
        result = CaseResult(case.name, case.volume_path, detector.card, detection)
        self._write_thumbnail(case.name, volume, detection)
        planes = result.planes if self._with_planes else []
        for plane in planes:
            self._write_plane_images(case.name, volume, plane)
        descriptions = {definition.label: definition.description for definition in detector.card.landmarks}
        self._folder.write_case(case.name, detection, planes, descriptions, result.measurements)
        return result

    def _write_thumbnail(self, case_name: str, volume: Volume, detection: Detection) -> None:
        """Slicer's own Python has no matplotlib; the index page does without pictures there."""
        if find_spec("matplotlib") is None:
            return
        picture = landmark_picture(volume, detection.landmark_set, height_px=_THUMBNAIL_HEIGHT_PX)
        with whole_file(thumbnail_path(self.output, case_name)) as path:
            path.write_bytes(picture)

    def _write_plane_images(self, case_name: str, volume: Volume, plane: StandardPlane) -> None:
        pixel_mm = min(float(volume.spacing_mm.min()), plane.size_mm[0] / _LEAST_PLANE_COLUMNS)
        image = reslice(volume, plane, pixel_mm)
        png, nrrd = self._plane_images(case_name, plane.name)
        write_plane_png(image, png)
        write_volume(image, nrrd)

    def _plane_images(self, case_name: str, plane_name: str) -> list[Path]:
        stem = plane_image_stem(case_name, plane_name)
        return [self.output / f"{stem}{suffix}" for suffix in _PLANE_IMAGE_SUFFIXES]

    def _remove(self, case: Case, detector: AnyDetector, *others: Path) -> None:
        """Pictures of an earlier run, or of a case that failed half-way; one that another program holds stays."""
        images = [path for plane in detector.card.planes for path in self._plane_images(case.name, plane.name)]
        for path in (thumbnail_path(self.output, case.name), *images, *others):
            with suppress(OSError):
                path.unlink()
