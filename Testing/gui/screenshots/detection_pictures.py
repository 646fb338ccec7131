"""Pictures of Landmark Detection, on the sample of the model brain-t1."""

from __future__ import annotations

from types import ModuleType

import slicer
from PySide6.QtCore import QPoint
from testbed import Testbed

from .window import Album, Window

_SAMPLE = "brain-t1"
_LANDMARK = "Left putamen"
_MISSING = "Right pallidum"
_DRAGGED = QPoint(9, -6)


def picture_detection(testbed: Testbed, module: ModuleType, album: Album) -> None:
    """From the open volume to reviewed landmarks, planes and measurements."""
    testbed.application.emit("startupCompleted()")
    sources = {source.sampleName: source for source in slicer.modules.sampleDataSources["Landmark Detection"]}
    (volume,) = sources[_SAMPLE].customDownloader(sources[_SAMPLE])
    volume.SetName("Colin27")
    panel = testbed.open_panel(module)
    window = Window(testbed, panel)
    window.show_volume(volume)
    window.open_sections("input", "landmarks")
    album.add("landmark-detection-start", window)
    _detect(testbed, panel, window, album)
    _review(testbed, panel, window, album)
    _derive(testbed, panel, window, album)
    panel.ui.manageModelsButton.click()
    album.add("landmark-detection-models", panel.input.models.window)
    panel.input.models.window.close()
    window.close()
    testbed.close_panel(panel)


def _detect(testbed: Testbed, panel: object, window: Window, album: Album) -> None:
    panel.ui.detectButton.click()
    testbed.wait_until(lambda: panel.ui.progressBar.value > 0.5 * panel.ui.progressBar.maximum)
    album.add("landmark-detection-running", window)
    testbed.wait_until(lambda: not panel.detection.is_busy)
    _choose(panel, _LANDMARK)
    window.zoom(1.6)
    window.open_sections("input", "landmarks")
    album.add("landmark-detection-landmarks", window)


def _review(testbed: Testbed, panel: object, window: Window, album: Album) -> None:
    """Some are right, one is taken for missing, and one is moved with the mouse."""
    for label in ("Left thalamus", "Right thalamus", "Left caudate", "Right caudate"):
        _choose(panel, label)
        panel.ui.acceptButton.click()
    _choose(panel, _MISSING)
    panel.ui.missingButton.click()
    row = _choose(panel, _LANDMARK)
    testbed.application.processEvents()
    view = window.view("Red")
    place = view.place_of(panel.shown.node.GetNthControlPointPositionWorld(row))
    view.drag(place, place + _DRAGGED)
    testbed.application.processEvents()
    panel.ui.ellipsoidsCheckBox.setChecked(True)
    _choose(panel, "Right putamen")
    window.open_sections("landmarks")
    album.add("landmark-detection-review", window)
    _choose(panel, _MISSING)
    panel.ui.resetButton.click()


def _derive(testbed: Testbed, panel: object, window: Window, album: Album) -> None:
    panel.ui.ellipsoidsCheckBox.setChecked(False)
    for plane, view in (("Mid-sagittal", "Yellow"), ("Axial", "Red")):
        panel.ui.planeSelector.setCurrentIndex(panel.ui.planeSelector.findText(plane))
        panel.ui.sliceViewSelector.setCurrentNode(window.view(view).node)
        panel.ui.showPlaneButton.click()
    panel.ui.addPlaneButton.click()
    window.open_sections("planes", "measurements", "export")
    album.add("landmark-detection-planes", window)


def _choose(panel: object, label: str) -> int:
    """Click a landmark in the table; its row."""
    table = panel.ui.landmarksTable
    row = next(row for row in range(table.rowCount) if table.item(row, 0).text() == label)
    table.setCurrentCell(row, 0)
    table.cellClicked.emit(row, 0)
    return row
