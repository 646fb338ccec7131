"""Pictures of a volume with landmarks on it, for index pages and reports."""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .geometry import FloatArray, apply_affine
from .landmarks import LandmarkSet
from .volume import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#ffb000", "#00d0ff", "#ff5fa2")
"""Colours of the landmark sets of one picture, in order: amber, cyan, pink (told apart by the colour-blind too)."""

_MARKERS = ("o", "x", "^")
_PIXELS_PER_INCH = 100
_FADE_DEPTH = 0.25
"""A landmark this share of the volume's depth away from the slice is as faint as it gets."""


@dataclass(frozen=True)
class _View:
    """A slice direction of a volume whose voxel axes run L, P, S, drawn in the radiological convention."""

    normal: int
    across: int
    down: int
    is_down_reversed: bool
    letters: tuple[str, str, str, str]
    """Left, right, top and bottom of the picture."""


_AXIAL = _View(2, 0, 1, False, ("R", "L", "A", "P"))
_CORONAL = _View(1, 0, 2, True, ("R", "L", "S", "I"))
_SAGITTAL = _View(0, 1, 2, True, ("A", "P", "S", "I"))


@dataclass(frozen=True)
class _Slice:
    """One slice of a volume whose voxel axes run L, P, S, and where points of the world fall on it."""

    volume: Volume
    view: _View
    focus_ras: FloatArray

    @property
    def index(self) -> int:
        position = np.rint(self._to_ijk(self.focus_ras)[self.view.normal])
        return int(np.clip(position, 0, self.volume.size[self.view.normal] - 1))

    def spot(self, point_ras: FloatArray) -> tuple[float, float]:
        point = self._to_ijk(point_ras)
        return point[self.view.across], point[self.view.down]

    def opacity(self, point_ras: FloatArray) -> float:
        """1 on the slice, fading with the distance from it; always 1 on a picture."""
        count = self.volume.size[self.view.normal]
        if count == 1:
            return 1.0
        distance = abs(self._to_ijk(point_ras)[self.view.normal] - self.index)
        return 1.0 - 0.85 * min(distance / (_FADE_DEPTH * count), 1.0)

    def _to_ijk(self, point_ras: FloatArray) -> FloatArray:
        return apply_affine(np.linalg.inv(self.volume.ijk_to_ras), point_ras)


def landmark_picture(
    volume: Volume,
    *landmark_sets: LandmarkSet,
    focus_ras: FloatArray | None = None,
    named: Collection[str] | None = None,
    height_px: int = 300,
) -> bytes:
    """A PNG of a volume with landmarks drawn on it.

    A picture (one slice) is shown whole. A volume is shown as axial, coronal and sagittal slices along its own voxel
    axes, in the radiological convention and at true proportions; the landmarks are projected onto each slice, the
    nearer the more opaque. Missing landmarks are not drawn.

    Args:
        volume: what to show.
        landmark_sets: drawn in this order in the colours of `COLOURS` as dots, crosses and triangles, for example
            prediction, then truth. A thin line joins the same label in the first and each further set.
        focus_ras: point (3,) the three slices run through; default: the centroid of the landmarks, or the centre of
            the volume if there are none. A focus outside shows the nearest slice.
        named: labels to write beside the first set's points; default: every one on a picture, none on a volume,
            where they would cover the anatomy.
        height_px: height of the PNG; its width follows from the proportions.
    """
    from matplotlib.figure import Figure

    if focus_ras is None:
        focus_ras = _centroid(volume, landmark_sets)
    shown = volume.reoriented("LPS")
    views = _views_of(shown)
    is_picture = len(views) == 1
    extents_mm = np.array(shown.size) * shown.spacing_mm
    widths_mm = [extents_mm[view.across] for view in views]
    height_mm = max(extents_mm[view.down] for view in views)
    inches = height_px / _PIXELS_PER_INCH
    figure = Figure((inches * sum(widths_mm) / height_mm, inches), dpi=_PIXELS_PER_INCH, facecolor="black")
    panels = figure.subplots(1, len(views), squeeze=False, width_ratios=widths_mm)[0]
    figure.subplots_adjust(0, 0, 1, 1, wspace=0.02)
    names = _names(landmark_sets, named, is_picture)
    for axes, view in zip(panels, views, strict=True):
        piece = _Slice(shown, view, focus_ras)
        _draw_slice(axes, piece)
        _draw_landmarks(axes, piece, landmark_sets, names)
        if not is_picture:
            _draw_orientation(axes, view)
    return png_bytes(figure)


def png_bytes(figure: Figure) -> bytes:
    """A matplotlib figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor=figure.get_facecolor())
    return buffer.getvalue()


def _centroid(volume: Volume, landmark_sets: tuple[LandmarkSet, ...]) -> FloatArray:
    points = np.concatenate(
        [landmarks.to_array(landmarks.present) for landmarks in landmark_sets] or [np.empty((0, 3))]
    )
    return points.mean(axis=0) if len(points) else volume.centre_ras


def _views_of(shown: Volume) -> list[_View]:
    views = [_AXIAL, _CORONAL, _SAGITTAL]
    return [view for view in views if shown.size[view.normal] == 1][:1] or views


def _names(landmark_sets: tuple[LandmarkSet, ...], named: Collection[str] | None, is_picture: bool) -> Collection[str]:
    if named is not None:
        return named
    return landmark_sets[0].present if landmark_sets and is_picture else ()


def _draw_slice(axes: Axes, piece: _Slice) -> None:
    view, spacing = piece.view, piece.volume.spacing_mm
    darkest, brightest = _grey_window(piece.volume.voxels)
    axes.imshow(
        np.take(piece.volume.voxels, piece.index, axis=2 - view.normal),
        cmap="gray",
        vmin=darkest,
        vmax=brightest,
        origin="lower" if view.is_down_reversed else "upper",
        aspect=spacing[view.down] / spacing[view.across],
        interpolation="bilinear",
    )
    axes.set_axis_off()
    axes.autoscale(False)


def _grey_window(voxels: NDArray) -> tuple[float, float]:
    strides = tuple(slice(None, None, max(1, count // 64)) for count in voxels.shape)
    darkest, brightest = np.percentile(voxels[strides], (0.5, 99.5))
    return float(darkest), float(brightest)


def _draw_landmarks(axes: Axes, piece: _Slice, landmark_sets: tuple[LandmarkSet, ...], named: Collection[str]) -> None:
    for landmarks, colour, marker in zip(landmark_sets, cycle(COLOURS), cycle(_MARKERS), strict=False):
        for label in landmarks.present:
            spot, opacity = piece.spot(landmarks[label]), piece.opacity(landmarks[label])
            axes.plot(*spot, marker, color=colour, markersize=4, markeredgewidth=1.2, alpha=opacity)
            first = landmark_sets[0].get(label)
            if landmarks is landmark_sets[0] and label in named:
                _write_label(axes, label, spot, colour)
            elif landmarks is not landmark_sets[0] and first is not None:
                start = piece.spot(first)
                axes.plot((start[0], spot[0]), (start[1], spot[1]), "-", color="white", linewidth=0.7, alpha=opacity)


def _write_label(axes: Axes, label: str, spot: tuple[float, float], colour: str) -> None:
    """Beside the point, on the side that has room, with a dark rim to be read on bright bone."""
    from matplotlib.patheffects import withStroke

    is_far_right = spot[0] > np.mean(axes.get_xlim()) * 1.6
    axes.annotate(
        label,
        spot,
        xytext=(-5 if is_far_right else 5, 5),
        textcoords="offset points",
        horizontalalignment="right" if is_far_right else "left",
        color=colour,
        fontsize=7,
        path_effects=[withStroke(linewidth=1.5, foreground="black")],
    )


def _draw_orientation(axes: Axes, view: _View) -> None:
    places = ((0.02, 0.5), (0.98, 0.5), (0.5, 0.98), (0.5, 0.02))
    alignments = (("left", "center"), ("right", "center"), ("center", "top"), ("center", "bottom"))
    for letter, place, (horizontal, vertical) in zip(view.letters, places, alignments, strict=True):
        axes.text(*place, letter, color="#bbbbbb", fontsize=7, transform=axes.transAxes, ha=horizontal, va=vertical)
