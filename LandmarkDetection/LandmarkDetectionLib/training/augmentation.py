"""Random variants of a case: another pose and size, another look."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from ..evaluation.cropping import cut_short
from ..geometry import FloatArray, apply_affine, map_about, rotation_matrix
from ..landmarks import LandmarkSet
from ..models.record import FieldError
from ..preprocessing import (
    CanonicalVolume,
    Preprocessing,
    canonical_volume,
    frame_scaling,
    intensity_window,
    model_axes,
    upright_picture,
)
from ..volume import Volume
from .bared_head import with_other_scalp, without_face, without_skull
from .displacement_field import DisplacementField
from .look import with_another_look


@dataclass(frozen=True)
class Augmentation:
    """How far variants may differ from their case.

    Attributes:
        rotation_deg: largest rotation about each axis; in 2D about the axis through the picture.
        mirror: whether half of the variants are mirror images; only where left and right cannot be told apart.
        scale: largest relative change of size, the same along all axes.
        stretch: largest further relative change along each axis.
        crop_mm: thickest slab cut off at each face of a volume, first and last along i, j, k of the model's frame, so
            that the field of view differs as it does between scanners; empty for none.
        cut_short: share of variants in which a cut takes a fifth to three fifths of the landmarks away, so that a model
            learns to tell what a volume does not show.
        skull_strip, deface: shares of volumes of heads whose skull, or whose face, is taken away.
        scalp: by how much (log) all but the brain is brightened at most in half of the other heads, or darkened by half
            as much: fat differs more between scanners than anything else, and being brightest, it decides how bright
            the brain appears.
        elastic_mm: largest standard deviation of a smooth random displacement along each axis.
        elastic_grid_mm: distance of its control points: the larger, the smoother. Where it is less than about 12 times
            the deviation, in volumes 25 times, the displacement is reduced, lest the image be folded.
        balance_sizes: whether more variants are made of cases of rare sizes.
        centre_shift_mm: standard deviation by which the frame's origin is misplaced.
        gamma, tone, noise, blur_mm, sharpen, bias, jpeg: see `Look`.
    """

    rotation_deg: float = 0.0
    mirror: bool = False
    scale: float = 0.0
    stretch: float = 0.0
    crop_mm: tuple[float, ...] = ()
    cut_short: float = 0.0
    skull_strip: float = 0.0
    deface: float = 0.0
    scalp: float = 0.0
    elastic_mm: float = 0.0
    elastic_grid_mm: float = 50.0
    balance_sizes: bool = False
    centre_shift_mm: float = 0.0
    gamma: float = 0.0
    tone: float = 0.0
    noise: float = 0.0
    blur_mm: float = 0.0
    sharpen: float = 0.0
    bias: float = 0.0
    jpeg: float = 0.0

    def __post_init__(self) -> None:
        if len(self.crop_mm) not in (0, 6):
            name, problem = "crop_mm", "must be six numbers, first and last along i, j, k, or empty"
            raise FieldError(name, problem)
        for name in ("cut_short", "skull_strip", "deface", "tone", "jpeg"):
            if not 0 <= getattr(self, name) <= 1:
                raise FieldError(name, "must lie between 0 and 1")
        if self.elastic_grid_mm <= 0:
            name, problem = "elastic_grid_mm", "must be above zero"
            raise FieldError(name, problem)


@dataclass(frozen=True)
class Variant:
    """A case in the model's frame.

    Attributes:
        canonical: the volume as it was bent, its origin moved by the augmentation.
        windowed: voxels [k, j, i] from 0 to 1 over the intensity window.
        landmarks: in RAS millimetres of `canonical`, whose size is that in the model's frame.
        shown: labels of those that the voxels still show: a turned volume has black corners beyond what was cut off.
    """

    canonical: CanonicalVolume
    windowed: FloatArray
    landmarks: LandmarkSet
    shown: frozenset[str]


@dataclass(frozen=True)
class Augmenter:
    """Makes variants of cases.

    Geometry changes by moving the case in the world and letting the detector's own preprocessing resample it, so that
    landmarks follow exactly; bending follows in the model's frame. Contrast changes by MONAI's transforms.
    """

    augmentation: Augmentation
    preprocessing: Preprocessing
    dimension: int

    def __call__(self, volume: Volume, landmarks: LandmarkSet, generator: np.random.Generator) -> Variant:
        """A random variant of a case."""
        bared = self._bared(volume, landmarks, generator)
        cropped = self._cropped(bared, landmarks, generator)
        shown = _labels_inside(cropped, landmarks)
        # Window and size are those of the voxels as they came, as in detection: motion changes both.
        window = intensity_window(cropped, self.preprocessing)
        scaling = frame_scaling(cropped, self.preprocessing)
        scaled = cropped.moved(scaling)
        moved, motion = self._moved(scaled, generator)
        to_scale = dataclasses.replace(self.preprocessing, foreground_radius_mm=0.0)
        canonical, landmarks = self._bent(
            canonical_volume(moved, to_scale, window), landmarks.transformed(motion @ scaling), generator
        )
        canonical = self._with_shifted_origin(canonical, generator)
        low, high = window
        windowed = np.clip((canonical.voxels.astype(np.float32) - low) / (high - low), 0.0, 1.0)
        windowed = with_another_look(windowed, self.augmentation, self.preprocessing.spacing_mm[0], generator)
        return Variant(canonical, windowed, landmarks, shown)

    def _bared(self, volume: Volume, landmarks: LandmarkSet, generator: np.random.Generator) -> Volume:
        """A head without its skull or its face, with another scalp, or as it is."""
        most = self.augmentation
        drawn = generator.random() if most.skull_strip or most.deface or most.scalp else 1.0
        if drawn < most.skull_strip:
            return without_skull(volume, landmarks, generator)
        if most.scalp and generator.random() < 0.5:
            volume = with_other_scalp(volume, landmarks, generator, most.scalp)
        if drawn < most.skull_strip + most.deface:
            return without_face(volume, landmarks, generator)
        return volume

    def _cropped(self, volume: Volume, landmarks: LandmarkSet, generator: np.random.Generator) -> Volume:
        """A volume cut between its landmarks; or half of the volumes as they are, the others without a slab a face."""
        if self.augmentation.cut_short and generator.random() < self.augmentation.cut_short:
            return cut_short(volume, landmarks, generator) or volume
        if not self.augmentation.crop_mm or generator.random() < 0.5:
            return volume
        upright = volume.reoriented(self.preprocessing.orientation)
        slabs_mm = generator.uniform(0.0, 1.0, (3, 2)) * np.reshape(self.augmentation.crop_mm, (3, 2))
        first, cut_at_end = np.round(slabs_mm / upright.spacing_mm[:, None]).astype(int).T
        return upright.cropped(first, upright.size - cut_at_end)

    def _moved(self, volume: Volume, generator: np.random.Generator) -> tuple[Volume, FloatArray]:
        """The case moved, and the affine map of RAS space (4x4) that moved it.

        A picture is resampled on its old axes: a picture of any plane is detected as it is stored, so that turning its
        axes might turn nothing.
        """
        if self.dimension == 3:
            motion = self._random_motion(volume.centre_ras, np.eye(3), generator)
            return volume.moved(motion), motion
        picture = upright_picture(volume, self.preprocessing.orientation)
        axes = model_axes(picture, self.preprocessing)
        motion = self._random_motion(picture.centre_ras, axes, generator)
        moved = picture.moved(motion)
        spacing_mm = np.append(self.preprocessing.spacing_mm[:2], moved.spacing_mm[2])
        return moved.resampled(spacing_mm, axes), motion

    def _random_motion(self, centre: FloatArray, along: FloatArray, generator: np.random.Generator) -> FloatArray:
        """A 4x4 affine map of RAS space about a centre, along and about orthonormal axes (columns of a 3x3 matrix)."""
        most = self.augmentation
        linear = np.eye(3)
        axes = np.eye(3) if self.dimension == 3 else np.eye(3)[2:]
        for axis in axes:
            linear = linear @ rotation_matrix(axis, generator.uniform(-1, 1) * most.rotation_deg)
        if most.mirror and generator.random() < 0.5:
            linear = linear @ np.diag([-1.0, 1.0, 1.0])
        size = 1 + generator.uniform(-1, 1) * most.scale
        linear = linear @ np.diag(size * (1 + generator.uniform(-1, 1, 3) * most.stretch))
        return map_about(centre, along @ linear @ along.T)

    def _bent(
        self, canonical: CanonicalVolume, landmarks: LandmarkSet, generator: np.random.Generator
    ) -> tuple[CanonicalVolume, LandmarkSet]:
        """The volume and its landmarks bent by a random field; a picture in its plane."""
        most = self.augmentation
        if most.elastic_mm == 0:
            return canonical, landmarks
        axes = slice(self.dimension)
        size_mm, spacing_mm = canonical.size_mm[axes], canonical.spacing_mm[axes]
        field = DisplacementField.random(
            size_mm, generator.uniform() * most.elastic_mm, most.elastic_grid_mm, generator
        )
        voxels = canonical.voxels if self.dimension == 3 else canonical.voxels[0]
        bent = field.bent(voxels, spacing_mm).reshape(canonical.voxels.shape)
        box_to_ras = canonical.frame_to_ras.copy()
        box_to_ras[:3, 3] = apply_affine(canonical.frame_to_ras, -canonical.origin_ijk * canonical.spacing_mm)
        points_mm = apply_affine(np.linalg.inv(box_to_ras), landmarks.to_array())
        points_mm[:, axes] = field.carried(points_mm[:, axes])
        carried = LandmarkSet.from_array(tuple(landmarks), apply_affine(box_to_ras, points_mm))
        return dataclasses.replace(canonical, voxels=bent), carried

    def _with_shifted_origin(self, canonical: CanonicalVolume, generator: np.random.Generator) -> CanonicalVolume:
        shift_mm = generator.normal(0.0, 1.0, 3) * self.augmentation.centre_shift_mm
        if self.dimension == 2:
            shift_mm[2] = 0.0
        frame_to_ras = canonical.frame_to_ras.copy()
        frame_to_ras[:3, 3] += frame_to_ras[:3, :3] @ shift_mm
        origin_ijk = canonical.origin_ijk + shift_mm / canonical.spacing_mm
        return CanonicalVolume(canonical.voxels, canonical.spacing_mm, origin_ijk, frame_to_ras, canonical.window)


def _labels_inside(volume: Volume, landmarks: LandmarkSet) -> frozenset[str]:
    present = landmarks.present
    is_inside = volume.contains(landmarks.to_array(present))
    return frozenset(label for label, inside in zip(present, is_inside, strict=True) if inside)
