"""Volume: voxels with their place in the world; its reorientation and resampling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray

from .errors import LandmarkDetectionError
from .geometry import (
    RAS_TO_LPS,
    FloatArray,
    apply_affine,
    axis_reordering,
    spacing_of,
)

_OBLIQUE_TOLERANCE = 1e-4
_SPACING_TOLERANCE = 1e-3
_FACE_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Volume:
    """A scalar image. A picture is a volume of one slice.

    Attributes:
        voxels: array [k, j, i] of one finite number a voxel.
        ijk_to_ras: 4x4 matrix from voxel indices (i, j, k) to RAS millimetres.
        name: what the user calls it.

    Raises:
        LandmarkDetectionError: if the voxels are not three-dimensional or the matrix is singular or not finite.
    """

    voxels: NDArray
    ijk_to_ras: FloatArray
    name: str = "volume"

    def __post_init__(self) -> None:
        object.__setattr__(self, "ijk_to_ras", np.asarray(self.ijk_to_ras, dtype=np.float64))
        if self.voxels.ndim != 3 or 0 in self.voxels.shape:
            message = (
                f"{self.name}: a volume has three axes of at least one voxel, this one has shape {self.voxels.shape}."
            )
            raise LandmarkDetectionError(message)
        if self.ijk_to_ras.shape != (4, 4) or not np.isfinite(self.ijk_to_ras).all():
            message = (
                f"{self.name}: its geometry holds numbers that are not finite; correct its spacing, origin and axes."
            )
            raise LandmarkDetectionError(message)
        if abs(np.linalg.det(self.ijk_to_ras[:3, :3] / np.maximum(spacing_of(self.ijk_to_ras), 1e-12))) < 1e-6:
            message = f"{self.name}: its voxel axes span no space (singular geometry); correct its spacing and axes."
            raise LandmarkDetectionError(message)

    @property
    def spacing_mm(self) -> FloatArray:
        """Voxel size (3,) along i, j, k."""
        return spacing_of(self.ijk_to_ras)

    @property
    def size(self) -> tuple[int, int, int]:
        """Number of voxels along i, j, k."""
        k, j, i = self.voxels.shape
        return i, j, k

    @property
    def dimension(self) -> int:
        """2 for a picture (some axis has a single voxel), else 3."""
        return 2 if 1 in self.voxels.shape else 3

    @property
    def centre_ras(self) -> FloatArray:
        """Centre (3,) of the box of voxels."""
        return apply_affine(self.ijk_to_ras, (np.array(self.size) - 1) / 2)

    def contains(self, points_ras: FloatArray) -> NDArray[np.bool_]:
        """Which points (n, 3) lie inside the box of voxels, their outer faces included."""
        ijk = apply_affine(np.linalg.inv(self.ijk_to_ras), points_ras)
        beyond = np.abs(ijk - (np.array(self.size) - 1) / 2) - np.array(self.size) / 2
        return np.all(beyond <= _FACE_TOLERANCE, axis=-1)

    def cropped(self, begin_ijk: ArrayLike, end_ijk: ArrayLike) -> Volume:
        """The voxels from indices (3,) up to, not including, others (3,), where they lie in the world."""
        (i, j, k), (i_end, j_end, k_end) = begin_ijk, end_ijk
        ijk_to_ras = self.ijk_to_ras.copy()
        ijk_to_ras[:3, 3] = apply_affine(self.ijk_to_ras, begin_ijk)
        return Volume(self.voxels[k:k_end, j:j_end, i:i_end], ijk_to_ras, self.name)

    def moved(self, motion: FloatArray) -> Volume:
        """The same voxels after an affine map (4x4) of RAS space."""
        return Volume(self.voxels, motion @ self.ijk_to_ras, self.name)

    def reoriented(self, orientation: str) -> Volume:
        """The same voxels with axes permuted and flipped to come closest to an orientation such as "RAS"."""
        source, flips = axis_reordering(self.ijk_to_ras, orientation)
        voxels = self.voxels.transpose([2 - source[2 - axis] for axis in range(3)])
        voxels = voxels[tuple(slice(None, None, -1 if flips[2 - axis] else 1) for axis in range(3))]
        new_to_old = np.zeros((4, 4))
        new_to_old[3, 3] = 1.0
        for new, old in enumerate(source):
            new_to_old[old, new] = -1.0 if flips[new] else 1.0
            new_to_old[old, 3] = self.size[old] - 1 if flips[new] else 0.0
        return Volume(np.ascontiguousarray(voxels), self.ijk_to_ras @ new_to_old, self.name)

    @property
    def directions(self) -> FloatArray:
        """Direction cosines (3, 3) in RAS, one column for each of i, j, k."""
        return self.ijk_to_ras[:3, :3] / self.spacing_mm

    def resampled(self, spacing_mm: ArrayLike, axes: FloatArray | None = None) -> Volume:
        """This volume on a grid of another voxel size around the same centre; self if it is on it already.

        Args:
            spacing_mm: voxel size (3,) along the new i, j, k.
            axes: direction cosines (3, 3) of the new i, j, k, one column each, along which the grid covers the whole
                volume; by default the axes stay.

        Voxels that lie outside get the minimum of the volume. Averaging precedes a coarser grid, against aliasing.
        """
        spacing_mm = np.asarray(spacing_mm, dtype=np.float64)
        directions = self.directions
        axes = directions if axes is None else axes
        is_aligned = np.allclose(directions, axes, atol=_OBLIQUE_TOLERANCE)
        if is_aligned and np.allclose(self.spacing_mm / spacing_mm, 1.0, atol=_SPACING_TOLERANCE):
            return self
        if is_aligned:
            axes = directions
        extent_mm = np.abs(axes.T @ self.ijk_to_ras[:3, :3]) @ np.array(self.size)
        size = np.maximum(np.ceil(extent_mm / spacing_mm - 1e-6).astype(int), 1)
        ijk_to_ras = np.eye(4)
        ijk_to_ras[:3, :3] = axes * spacing_mm
        ijk_to_ras[:3, 3] = self.centre_ras - ijk_to_ras[:3, :3] @ ((size - 1) / 2)
        return self.on_grid(ijk_to_ras, tuple(int(n) for n in size))

    def on_grid(self, ijk_to_ras: FloatArray, size: tuple[int, int, int]) -> Volume:
        """This volume on a grid of `size` voxels along i, j, k; outside and averaging as in `resampled`."""
        image = sitk.Cast(to_sitk(self), sitk.sitkFloat32)
        new_spacing = spacing_of(ijk_to_ras)
        new_directions = ijk_to_ras[:3, :3] / new_spacing
        for axis, (old, count) in enumerate(zip(self.spacing_mm, self.size, strict=True)):
            new = new_spacing[np.argmax(np.abs(new_directions.T @ self.ijk_to_ras[:3, axis]))]
            if new > 1.2 * old and count >= 4:
                sigma = 0.5 * float(np.sqrt(new**2 - old**2))
                image = sitk.RecursiveGaussian(image, sigma, direction=axis)
        grid = _sitk_geometry(ijk_to_ras)
        resampled = sitk.Resample(
            image, size, sitk.Transform(), sitk.sitkLinear, *grid, float(self.voxels.min()), sitk.sitkFloat32
        )
        return Volume(sitk.GetArrayFromImage(resampled), ijk_to_ras, self.name)


def to_sitk(volume: Volume) -> sitk.Image:
    """The volume as a SimpleITK image, LPS geometry."""
    image = sitk.GetImageFromArray(volume.voxels)
    origin, spacing, direction = _sitk_geometry(volume.ijk_to_ras)
    image.SetOrigin(origin)
    image.SetSpacing(spacing)
    image.SetDirection(direction)
    return image


def from_sitk(image: sitk.Image, name: str = "volume") -> Volume:
    """A volume from a three-dimensional scalar SimpleITK image."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    return Volume(sitk.GetArrayFromImage(image), RAS_TO_LPS @ matrix, name)


def _sitk_geometry(ijk_to_ras: FloatArray) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    ijk_to_lps = RAS_TO_LPS @ ijk_to_ras
    spacing = spacing_of(ijk_to_lps)
    direction = (ijk_to_lps[:3, :3] / spacing).ravel()
    # ITK resamples nothing but background if the direction holds denormal numbers.
    direction[np.abs(direction) < 1e-15] = 0.0
    return tuple(ijk_to_lps[:3, 3]), tuple(spacing), tuple(direction)
