"""Slicer's main window as far as a picture needs it: a module's panel, and views with their coloured bars."""

from __future__ import annotations

import io
from pathlib import Path

import slicer
from PIL import Image
from PySide6.QtCore import QBuffer, QIODevice, Qt
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QScrollArea, QStackedWidget, QVBoxLayout, QWidget
from testbed import Testbed
from testbed.plot_view import PlotView
from testbed.slice_view import SliceView
from testbed.three_d_view import ThreeDView

_WIDTH, _HEIGHT = 1280, 860
_PANEL_WIDTH = 530
_COLOURS = 96
_BAR_COLOURS = {"Red": "#f34a33", "Green": "#6eb04b", "Yellow": "#edd54c", "1": "#6f7fd0", "P": "#e0e0e0"}
_THREE_D_DIRECTION = (0.25, 0.55, 0.8)
_THREE_D_DISTANCE_MM = 300.0


class Album:
    """A folder of pictures.

    Args:
        folder: made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def add(self, name: str, widget: QWidget) -> None:
        """Keep what a widget shows, in few colours, so that the file is small."""
        for _ in range(5):
            slicer.app.processEvents()
        buffer = QBuffer()
        buffer.open(QIODevice.OpenModeFlag.WriteOnly)
        widget.grab().save(buffer, "PNG")
        picture = Image.open(io.BytesIO(bytes(buffer.data())))
        for colours, method in ((256, Image.Quantize.MEDIANCUT), (_COLOURS, Image.Quantize.MAXCOVERAGE)):
            picture = picture.convert("RGB").quantize(colours, method=method, dither=Image.Dither.NONE)
        picture.save(self._folder / f"{name}.png", optimize=True)
        print(f"{name}.png  {(self._folder / f'{name}.png').stat().st_size / 1000:.0f} kB", flush=True)


class Window(QWidget):
    """The panel on the left, and on the right three slice views and the 3D view.

    Args:
        testbed: the application.
        panel: of a module.
    """

    def __init__(self, testbed: Testbed, panel: object) -> None:
        super().__init__()
        self._testbed, self._panel = testbed, panel
        self._views = {name: testbed.open_slice_view(name) for name in ("Red", "Green", "Yellow")}
        self._three_d = ThreeDView(testbed.logics)
        self._fourth = QStackedWidget()
        self._fourth.addWidget(_framed("1", self._three_d))
        views = QGridLayout()
        views.setSpacing(2)
        for index in (0, 1):
            views.setColumnStretch(index, 1)
            views.setRowStretch(index, 1)
        views.addWidget(_framed("Red", self._views["Red"]), 0, 0)
        views.addWidget(self._fourth, 0, 1)
        views.addWidget(_framed("Green", self._views["Green"]), 1, 0)
        views.addWidget(_framed("Yellow", self._views["Yellow"]), 1, 1)
        self._scroll_area = QScrollArea()
        self._scroll_area.setWidget(panel.parent)
        self._scroll_area.setWidgetResizable(True)
        self._scroll_area.setFixedWidth(_PANEL_WIDTH)
        self._scroll_area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.addWidget(self._scroll_area)
        layout.addLayout(views)
        self.resize(_WIDTH, _HEIGHT)
        self.show()
        testbed.application.processEvents()

    def show_plots(self, plot_view: PlotView) -> None:
        """Have the plot view where the 3D view was."""
        self._fourth.addWidget(_framed("P", plot_view))
        self._fourth.setCurrentIndex(1)

    def view(self, name: str) -> SliceView:
        """A slice view by its colour."""
        return self._views[name]

    def show_volume(self, volume: slicer.vtkMRMLScalarVolumeNode) -> None:
        """Have the whole of it in the slice views."""
        for view in self._views.values():
            view.show_volume(volume)
        self._views["Red"].node.SetSliceVisible(True)
        self._look()

    def zoom(self, factor: float) -> None:
        """Have the slice views show less than before."""
        for view in self._views.values():
            width, height, depth = view.node.GetFieldOfView()
            view.node.SetFieldOfView(width / factor, height / factor, depth)

    def open_sections(self, *names: str) -> None:
        """Unfold these sections of the panel, fold the others, and scroll to the top."""
        for name, widget in vars(self._panel.ui).items():
            if name.endswith("CollapsibleButton"):
                widget.setCollapsed(name.removesuffix("CollapsibleButton") not in names)
        self._testbed.application.processEvents()
        self._scroll_area.verticalScrollBar().setValue(0)
        self._look()

    def _look(self) -> None:
        """Names of points stay where they were when a view was resized, until something changes."""
        for view in self._views.values():
            view.node.Modified()
        self._testbed.application.processEvents()
        self._three_d.look_from(_THREE_D_DIRECTION, _THREE_D_DISTANCE_MM)


def _framed(name: str, view: QWidget) -> QWidget:
    frame, bar = QWidget(), QLabel(f" {name[0]}")
    bar.setFixedHeight(16)
    bar.setStyleSheet(f"background: {_BAR_COLOURS[name]}; color: #202020; font-weight: bold; font-size: 10px")
    layout = QVBoxLayout(frame)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(0)
    layout.addWidget(bar)
    layout.addWidget(view, 1)
    return frame
