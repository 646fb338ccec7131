"""From any volume to the frame a model was trained in: orientation, spacing, origin and intensity window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .errors import LandmarkDetectionError
from .geometry import FloatArray, apply_affine, direction_of, orientation_of
from .volume import Volume

_STATISTICS_VOXELS = 400_000
"""Percentiles and centroids are taken on a regular subset of about this many voxels."""


@dataclass(frozen=True)
class Preprocessing:
    """What a model expects of a volume.

    Attributes:
        orientation: direction of the canonical i, j, k axes, such as "RAS".
        spacing_mm: canonical voxel size along i, j, k; the last one is unused for pictures.
        low_percentile, high_percentile: of the voxels above the volume's minimum; they become 0 and 1.
        centre: origin of the frame: the centroid of the windowed intensities, or the centre of the box around the
            voxels above the window's low end. Neither moves when a volume is padded.
        foreground_radius_mm: root mean square distance of the windowed intensities from their centroid that every
            volume is scaled to, for anatomy that fills its picture at any size, as a growing head does; 0 keeps true
            millimetres in the frame.
        pose_spacing_mm: voxel size of the template as which every volume is laid first, for anatomy that lies in its
            scanner any way round; 0 for none.
        second_look_percentiles: high percentiles with which to look again, in turn, while landmarks seem missing, for
            anatomy that something outshines in some images, as fat does the brain.
    """

    orientation: str
    spacing_mm: tuple[float, float, float]
    low_percentile: float = 1.0
    high_percentile: float = 99.0
    centre: Literal["foreground", "content"] = "foreground"
    foreground_radius_mm: float = 0.0
    pose_spacing_mm: float = 0.0
    second_look_percentiles: tuple[float, ...] = ()

    @property
    def looks(self) -> list[Preprocessing]:
        """This one, and those of second looks."""
        return [self, *(replace(self, high_percentile=percentile) for percentile in self.second_look_percentiles)]


@dataclass(frozen=True, eq=False)
class CanonicalVolume:
    """A volume in a model's frame: millimetres along the canonical axes from the frame's origin.

    Attributes:
        voxels: array [k, j, i] in the volume's own data type unless it had to be resampled.
        spacing_mm: voxel size (3,) along i, j, k.
        origin_ijk: continuous voxel index (3,) of the frame's origin.
        frame_to_ras: 4x4 matrix from frame to RAS millimetres; it scales where the model's frame does.
        window: intensities that become 0 and 1.
    """

    voxels: NDArray
    spacing_mm: FloatArray
    origin_ijk: FloatArray
    frame_to_ras: FloatArray
    window: tuple[float, float]

    @property
    def size_mm(self) -> FloatArray:
        """Extent (3,) along i, j, k."""
        return np.array(self.voxels.shape[::-1]) * self.spacing_mm


def canonical_volume(
    volume: Volume, preprocessing: Preprocessing, window: tuple[float, float] | None = None
) -> CanonicalVolume:
    """Bring a volume into a model's frame, resampling only where its voxels do not fit already.

    Args:
        volume: any.
        preprocessing: what the model expects.
        window: intensities that become 0 and 1, if they are known; else those of the volume itself.

    Raises:
        LandmarkDetectionError: if the volume is constant, thinner than two of the model's voxels, or empty on these;
            if it is to be scaled and has a single bright voxel.
    """
    upright = _upright(_without_margins(volume), preprocessing.orientation)
    window = window or intensity_window(upright, preprocessing)
    scaling = _frame_scaling(upright, window, preprocessing.foreground_radius_mm)
    upright = upright.moved(scaling)
    gridded = upright.resampled(_spacing_mm(upright, preprocessing), model_axes(upright, preprocessing))
    if gridded.dimension != volume.dimension:
        message = (
            f"{volume.name}: it is too thin for voxels of {max(preprocessing.spacing_mm):g} mm, which the model needs; "
            "choose a thicker volume."
        )
        raise LandmarkDetectionError(message)
    origin_ijk = _origin_ijk(gridded, window, preprocessing.centre)
    frame_to_ras = np.eye(4)
    frame_to_ras[:3, :3] = gridded.directions
    frame_to_ras[:3, 3] = apply_affine(gridded.ijk_to_ras, origin_ijk)
    return CanonicalVolume(
        gridded.voxels, gridded.spacing_mm, origin_ijk, np.linalg.inv(scaling) @ frame_to_ras, window
    )


def frame_scaling(volume: Volume, preprocessing: Preprocessing) -> FloatArray:
    """4x4 matrix that gives a volume in RAS space the size it has in a model's frame."""
    if preprocessing.foreground_radius_mm == 0:
        return np.eye(4)
    upright = _upright(_without_margins(volume), preprocessing.orientation)
    window = intensity_window(upright, preprocessing)
    return _frame_scaling(upright, window, preprocessing.foreground_radius_mm)


def _frame_scaling(upright: Volume, window: tuple[float, float], foreground_radius_mm: float) -> FloatArray:
    if foreground_radius_mm == 0:
        return np.eye(4)
    weights, step = _foreground(upright, window)
    variances_mm2 = profile_moments(weights)[1] * (step * upright.spacing_mm) ** 2
    if not variances_mm2.any():
        message = f"{upright.name}: only one of its voxels is bright, so there is nothing to find; choose another."
        raise LandmarkDetectionError(message)
    return np.diag([*[foreground_radius_mm / np.sqrt(variances_mm2.sum())] * 3, 1.0])


def intensity_window(volume: Volume, preprocessing: Preprocessing) -> tuple[float, float]:
    """Intensities that become 0 and 1.

    Raises:
        LandmarkDetectionError: if the volume is constant.
    """
    sample, _ = _sample(volume)
    foreground = sample[sample > sample.min()]
    if foreground.size == 0:
        message = f"{volume.name}: every voxel has the same value, so there is nothing to find; choose another volume."
        raise LandmarkDetectionError(message)
    low, high = _percentiles(foreground, [preprocessing.low_percentile, preprocessing.high_percentile])
    if high <= low:
        low, high = float(sample.min()), float(sample.max())
    return float(low), float(high)


def _percentiles(values: NDArray, percentiles: list[float]) -> FloatArray:
    """What `np.percentile` returns; bytes are counted instead of sorted, which is five times as fast."""
    if values.dtype != np.uint8:
        return np.percentile(values, percentiles)
    ranks = np.array(percentiles) / 100.0 * (len(values) - 1)
    at_most = np.cumsum(np.bincount(values))
    below, above = np.searchsorted(at_most, [np.floor(ranks), np.ceil(ranks)], side="right")
    return below + (ranks % 1.0) * (above - below)


def canonical_size_mm(volume: Volume, preprocessing: Preprocessing) -> FloatArray:
    """Extent (3,) of a volume along the axes of a model's frame, of the box around it where it is oblique."""
    upright = _upright(volume, preprocessing.orientation)
    return np.abs(model_axes(upright, preprocessing).T @ upright.ijk_to_ras[:3, :3]) @ np.array(upright.size)


def upright_picture(volume: Volume, orientation: str) -> Volume:
    """A picture with its slice axis last: in a model's orientation if it lies in that plane, else as it is stored.

    A picture of another plane has no left and right of its own.
    """
    reoriented = volume.reoriented(orientation)
    if reoriented.voxels.shape[0] == 1:
        return reoriented
    slice_axis = volume.voxels.shape.index(1)
    return volume if slice_axis == 0 else volume.reoriented(_slice_axis_last(volume))


def model_axes(upright: Volume, preprocessing: Preprocessing) -> FloatArray:
    """Direction cosines (3, 3) of a model's frame for a volume whose axes are in the model's order.

    Exactly the model's in 3D. A picture stays in its plane, in which its first axis points as the model's, if it is a
    picture of the model's plane at all.
    """
    wanted, stored = direction_of(preprocessing.orientation), upright.directions
    if upright.dimension == 3:
        return wanted
    if orientation_of(upright.ijk_to_ras) != preprocessing.orientation:
        return stored
    normal = stored[:, 2]
    first = wanted[:, 0] - (wanted[:, 0] @ normal) * normal
    first /= np.linalg.norm(first)
    second = np.cross(normal, first)
    return np.stack([first, second * np.sign(second @ stored[:, 1]), normal], axis=1)


def _upright(volume: Volume, orientation: str) -> Volume:
    return volume.reoriented(orientation) if volume.dimension == 3 else upright_picture(volume, orientation)


def _without_margins(volume: Volume) -> Volume:
    """The volume without the slices at its faces that hold nothing but its minimum, so that padding changes nothing."""
    voxels, first_kji = volume.voxels, []
    least = voxels.min()
    for axis in range(3):
        slices = np.moveaxis(voxels, axis, 0)
        numbers = range(len(slices))
        first = next((number for number in numbers if (slices[number] > least).any()), 0)
        last = next((number for number in reversed(numbers) if (slices[number] > least).any()), first)
        # A single slice would not make a volume any more.
        kept = slice(first, last + 1) if last > first else slice(None)
        voxels = voxels[(slice(None),) * axis + (kept,)]
        first_kji.append(kept.start or 0)
    if voxels.shape == volume.voxels.shape or voxels.min() == voxels.max():
        # There are no margins; or what is left is one block of a mask, which says nothing any more.
        return volume
    return volume.cropped(first_kji[::-1], np.add(first_kji, voxels.shape)[::-1])


def _spacing_mm(upright: Volume, preprocessing: Preprocessing) -> FloatArray:
    """Voxel size (3,) of the model's grid; a picture keeps its thickness."""
    thickness_mm = preprocessing.spacing_mm[2] if upright.dimension == 3 else upright.spacing_mm[2]
    return np.append(preprocessing.spacing_mm[:2], thickness_mm)


def _sample(volume: Volume) -> tuple[NDArray, int]:
    """Every step-th voxel along each axis, and the step."""
    step = max(1, int(np.ceil((volume.voxels.size / _STATISTICS_VOXELS) ** (1 / volume.dimension))))
    return np.ascontiguousarray(volume.voxels[::step, ::step, ::step]), step


def _slice_axis_last(volume: Volume) -> str:
    letters = orientation_of(volume.ijk_to_ras)
    slice_axis = volume.size.index(1)
    return "".join(letters[axis] for axis in range(3) if axis != slice_axis) + letters[slice_axis]


def _foreground(volume: Volume, window: tuple[float, float]) -> tuple[FloatArray, int]:
    """Intensities of every step-th voxel along each axis from 0 to 1 over the window, and the step."""
    sample, step = _sample(volume)
    low, high = window
    weights = np.clip((sample.astype(np.float32) - low) / (high - low), 0.0, 1.0)
    if not weights.any():
        message = f"{volume.name}: nothing in it is as large as a voxel of the model; choose another volume."
        raise LandmarkDetectionError(message)
    return weights, step


def _origin_ijk(volume: Volume, window: tuple[float, float], centre: str) -> FloatArray:
    """Voxel index (3,) at which a model's frame begins."""
    weights, step = _foreground(volume, window)
    return step * (profile_moments(weights)[0] if centre == "foreground" else _box_centre(weights > 0))


def profile_moments(weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and variance (3,) of the index along i, j, k."""
    means, variances = [], []
    for across in ((0, 1), (0, 2), (1, 2)):
        profile = weights.sum(axis=across, dtype=np.float64)
        numbers, shares = np.arange(len(profile)), profile / profile.sum()
        means.append(numbers @ shares)
        variances.append((numbers - means[-1]) ** 2 @ shares)
    return np.array(means), np.array(variances)


def _box_centre(is_content: NDArray[np.bool_]) -> FloatArray:
    """Middle index (3,) along i, j, k of the box around the content."""
    extents = [np.flatnonzero(is_content.any(axis=across)) for across in ((0, 1), (0, 2), (1, 2))]
    return np.array([(extent[0] + extent[-1]) / 2 for extent in extents])
