"""The picture of a volume on a plane: resliced, and written as a grey PNG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from .files.atomic import whole_file
from .geometry import FloatArray
from .planes import StandardPlane
from .volume import Volume

if TYPE_CHECKING:
    from vtkmodules.vtkCommonDataModel import vtkImageData

_WINDOW_PERCENTILES = (0.5, 99.5)

_INTERPOLATED_BY_VTK = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64")
"""For any other type vtkImageReslice warns, and returns memory it has not written to."""


def reslice(
    volume: Volume, plane: StandardPlane, spacing_mm: float, size_mm: tuple[float, float] | None = None
) -> Volume:
    """The volume on a plane, interpolated linearly: one slice of square pixels, float32.

    Its voxel axes i, j, k are the x axis, the y axis and the normal of the plane; its centre is the plane's origin.
    Pixels outside the volume get the minimum of the volume.

    Args:
        volume: what to slice.
        plane: where.
        spacing_mm: pixel size; the slice is as thick.
        size_mm: width (along x) and height (along y); default: those of the plane.
    """
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkCommonCore import VTK_FLOAT
    from vtkmodules.vtkCommonMath import vtkMatrix4x4
    from vtkmodules.vtkImagingCore import vtkImageReslice

    columns, rows = (max(round(length / spacing_mm), 1) for length in size_mm or plane.size_mm)
    ijk_to_ras = _slice_geometry(plane, spacing_mm, columns, rows)
    slice_to_volume_ijk = vtkMatrix4x4()
    slice_to_volume_ijk.DeepCopy((np.linalg.inv(volume.ijk_to_ras) @ ijk_to_ras).ravel())

    reslicer = vtkImageReslice()
    reslicer.SetInputData(_in_voxel_space(volume.voxels))
    reslicer.SetResliceAxes(slice_to_volume_ijk)
    reslicer.SetOutputSpacing(1.0, 1.0, 1.0)
    reslicer.SetOutputOrigin(0.0, 0.0, 0.0)
    reslicer.SetOutputExtent(0, columns - 1, 0, rows - 1, 0, 0)
    reslicer.SetOutputScalarType(VTK_FLOAT)
    reslicer.SetInterpolationModeToLinear()
    reslicer.SetBackgroundLevel(float(volume.voxels.min()))
    reslicer.Update()
    pixels = vtk_to_numpy(reslicer.GetOutput().GetPointData().GetScalars())
    return Volume(pixels.reshape(1, rows, columns), ijk_to_ras, f"{volume.name} {plane.name}")


def write_plane_png(slice_volume: Volume, path: Path) -> None:
    """Write a slice with square pixels as a grey PNG: its x axis to the right, its y axis down."""
    pixels = slice_volume.voxels[0].astype(np.float64)
    darkest, brightest = np.percentile(pixels, _WINDOW_PERCENTILES)
    grey = np.clip((pixels - darkest) / max(brightest - darkest, np.finfo(np.float32).tiny), 0.0, 1.0)
    with whole_file(path) as temporary:
        sitk.WriteImage(sitk.GetImageFromArray(np.rint(255 * grey).astype(np.uint8)), str(temporary))


def _slice_geometry(plane: StandardPlane, spacing_mm: float, columns: int, rows: int) -> FloatArray:
    """4x4 matrix from the voxel indices of a slice, centred on the origin of the plane, to RAS."""
    voxel_to_plane = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    voxel_to_plane[:2, 3] = -spacing_mm * (np.array([columns, rows]) - 1) / 2
    return plane.plane_to_ras @ voxel_to_plane


def _in_voxel_space(voxels: NDArray) -> vtkImageData:
    """Voxels [k, j, i] as a vtk image whose coordinates are voxel indices; they are shared, not copied, if they can."""
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData

    if voxels.dtype not in [np.dtype(name) for name in _INTERPOLATED_BY_VTK]:
        voxels = voxels.astype(np.float32)
    image = vtkImageData()
    image.SetDimensions(voxels.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(voxels).ravel()))
    return image
