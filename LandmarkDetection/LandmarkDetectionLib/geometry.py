"""Affine maps, orientations, planes and lines. All positions are RAS millimetres unless a name says otherwise."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Its own inverse: reverses the signs of the first two coordinates."""

_AXIS_LETTERS = ("LR", "PA", "IS")
"""Letters for the (negative, positive) direction of each RAS axis."""


def apply_affine(matrix: ArrayLike, points: ArrayLike) -> FloatArray:
    """Map points (..., 3) by a 4x4 affine matrix."""
    matrix = np.asarray(matrix, dtype=np.float64)
    return np.asarray(points, dtype=np.float64) @ matrix[:3, :3].T + matrix[:3, 3]


def spacing_of(ijk_to_ras: ArrayLike) -> FloatArray:
    """Voxel size (3,) along i, j, k in millimetres."""
    return np.linalg.norm(np.asarray(ijk_to_ras, dtype=np.float64)[:3, :3], axis=0)


def orientation_of(ijk_to_ras: ArrayLike) -> str:
    """Three letters such as "RAS": the anatomical direction closest to the voxel axes i, j, k."""
    permutation, signs = _closest_axes(ijk_to_ras)
    return "".join(_AXIS_LETTERS[axis][int(sign > 0)] for axis, sign in zip(permutation, signs, strict=True))


def direction_of(orientation: str) -> FloatArray:
    """Direction cosines (3, 3), one column per voxel axis, of an orientation such as "RAS" or "LPS".

    Raises:
        ValueError: if the letters do not name each anatomical axis once.
    """
    directions = np.zeros((3, 3))
    for column, letter in enumerate(orientation[:3]):
        for axis, letters in enumerate(_AXIS_LETTERS):
            if letter in letters:
                directions[axis, column] = 1.0 if letter == letters[1] else -1.0
    if len(orientation) != 3 or abs(np.linalg.det(directions)) != 1.0:
        message = f'"{orientation}" is not an orientation such as "RAS": it must name each anatomical axis once.'
        raise ValueError(message)
    return directions


def axis_reordering(ijk_to_ras: ArrayLike, orientation: str) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """How voxel axes must be permuted, then flipped, to come closest to an orientation.

    Returns:
        For each new axis, the old axis it is taken from, and whether it is reversed.
    """
    old_axes, old_signs = _closest_axes(ijk_to_ras)
    new_axes, new_signs = _closest_axes(np.pad(direction_of(orientation), (0, 1)))
    source = tuple(old_axes.index(axis) for axis in new_axes)
    flips = tuple(old_signs[old] != new_signs[new] for new, old in enumerate(source))
    return source, flips


def _closest_axes(ijk_to_ras: ArrayLike) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The RAS axis (as a permutation) and sign nearest to each voxel axis, best match first."""
    cosines = np.asarray(ijk_to_ras, dtype=np.float64)[:3, :3]
    cosines = cosines / np.linalg.norm(cosines, axis=0)
    remaining = np.abs(cosines)
    permutation = [0, 0, 0]
    for _ in range(3):
        axis, voxel_axis = np.unravel_index(np.argmax(remaining), remaining.shape)
        permutation[voxel_axis] = int(axis)
        remaining[axis, :] = -1.0
        remaining[:, voxel_axis] = -1.0
    signs = tuple(1.0 if cosines[axis, column] > 0 else -1.0 for column, axis in enumerate(permutation))
    return tuple(permutation), signs


def fit_plane(points: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Least-squares plane through points (n, 3): its centroid and unit normal (sign arbitrary)."""
    points = np.asarray(points, dtype=np.float64)
    centroid = points.mean(axis=0)
    return centroid, np.linalg.svd(points - centroid)[2][2]


def fit_line(points: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Least-squares line through points (n, 3): its centroid and unit direction (sign arbitrary)."""
    points = np.asarray(points, dtype=np.float64)
    centroid = points.mean(axis=0)
    return centroid, np.linalg.svd(points - centroid)[2][0]


def rigid_fit(points: ArrayLike, others: ArrayLike) -> FloatArray:
    """4x4 rotation and translation that lays points (n, 3) upon others, least squares [Kabsch 1976; Umeyama 1991]."""
    points, others = np.asarray(points, dtype=np.float64), np.asarray(others, dtype=np.float64)
    centre, other_centre = points.mean(axis=0), others.mean(axis=0)
    left, _, right = np.linalg.svd((others - other_centre).T @ (points - centre))
    # A mirror image would fit some points better, but nothing turns into its mirror image.
    proper = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    motion = np.eye(4)
    motion[:3, :3] = left @ proper @ right
    motion[:3, 3] = other_centre - motion[:3, :3] @ centre
    return motion


def angle_between_deg(first: ArrayLike, second: ArrayLike) -> float:
    """Angle, 0 to 180 degrees, between two vectors (3,); accurate for tiny angles too."""
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(first, second)), np.dot(first, second))))


def rotation_matrix(axis: ArrayLike, angle_deg: float) -> FloatArray:
    """Rotation (3, 3) about a unit axis by the right-hand rule (Rodrigues)."""
    x, y, z = np.asarray(axis, dtype=np.float64) / np.linalg.norm(axis)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    angle = np.deg2rad(angle_deg)
    return np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross


def map_about(centre: ArrayLike, linear: ArrayLike) -> FloatArray:
    """4x4 affine map with a linear part (3, 3) that leaves a point (3,) where it is."""
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = centre - matrix[:3, :3] @ centre
    return matrix
