"""Cases of a dataset changed in one way at a time: turned, cut short, noisy, of another contrast or resolution."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import numpy as np

from LandmarkDetectionLib.evaluation.cropping import ShortCase
from LandmarkDetectionLib.files.case import Case
from LandmarkDetectionLib.geometry import FloatArray, map_about, rotation_matrix
from LandmarkDetectionLib.landmarks import LandmarkSet
from LandmarkDetectionLib.preprocessing import Preprocessing, intensity_window
from LandmarkDetectionLib.training.bared_head import without_face, without_skull
from LandmarkDetectionLib.volume import Volume

_log = logging.getLogger(__name__)

SEED = 0
ROTATION_DEG = 30.0
NOISE = 0.1
"""Standard deviation, as a share of the intensities between the usual percentiles."""
GAMMA = 1.5
_USUAL = Preprocessing("RAS", (1.0, 1.0, 1.0))

Look = Callable[[Volume, np.random.Generator], Volume]
Change = Callable[[Case], Case]


@dataclass(frozen=True, kw_only=True)
class TurnedCase(Case):
    """A case turned about the centre of its image: about an axis (3,) of RAS space, a picture in its plane."""

    whole: Case
    axis_ras: tuple[float, float, float] | None
    angle_deg: float

    def read_volume(self, report: Callable[[str], None] = _log.warning) -> Volume:
        """The turned image, which holds all of it."""
        volume = self.whole.read_volume(report)
        turned = volume.moved(self._motion(volume))
        # A picture is detected as it is stored, so that turning its axes might turn nothing.
        return turned if volume.dimension == 3 else turned.resampled(volume.spacing_mm, volume.directions)

    def read_landmarks(self, observer: str | None = None) -> LandmarkSet:
        """The landmarks, turned with the image."""
        return self.whole.read_landmarks(observer).transformed(self._motion(self.whole.read_volume()))

    def _motion(self, volume: Volume) -> FloatArray:
        axis = self.axis_ras if volume.dimension == 3 else volume.directions[:, volume.size.index(1)]
        return map_about(volume.centre_ras, rotation_matrix(axis, self.angle_deg))


@dataclass(frozen=True, kw_only=True)
class RenderedCase(Case):
    """A case whose image looks otherwise; its landmarks stay, and chance depends on its name alone."""

    whole: Case
    look: Look

    def read_volume(self, report: Callable[[str], None] = _log.warning) -> Volume:
        """The image as it looks now."""
        return self.look(self.whole.read_volume(report), np.random.default_rng([SEED, *self.name.encode()]))

    def read_landmarks(self, observer: str | None = None) -> LandmarkSet:
        """The landmarks, which the look does not move."""
        return self.whole.read_landmarks(observer)


@dataclass(frozen=True, kw_only=True)
class BaredCase(Case):
    """The head of a case without its skull, or without its face; its landmarks stay."""

    whole: Case
    bare: Callable[[Volume, LandmarkSet, np.random.Generator], Volume]

    def read_volume(self, report: Callable[[str], None] = _log.warning) -> Volume:
        """What is left of the image."""
        generator = np.random.default_rng([SEED, *self.name.encode()])
        return self.bare(self.whole.read_volume(report), self.whole.read_landmarks(), generator)

    def read_landmarks(self, observer: str | None = None) -> LandmarkSet:
        """The landmarks, all of which are left."""
        return self.whole.read_landmarks(observer)


def noisy(volume: Volume, generator: np.random.Generator) -> Volume:
    """Gaussian noise, within the range of the image: files hold no voxels darker than black."""
    low, high = intensity_window(volume, _USUAL)
    noise = NOISE * (high - low) * generator.standard_normal(volume.voxels.shape, dtype=np.float32)
    return replace(volume, voxels=np.clip(volume.voxels + noise, volume.voxels.min(), volume.voxels.max()))


def with_gamma(gamma: float, volume: Volume, _generator: np.random.Generator) -> Volume:
    """Another curve of contrast between the least and the largest value: above 1 darker, below 1 brighter."""
    voxels = volume.voxels.astype(np.float32)
    low, high = voxels.min(), voxels.max()
    return replace(volume, voxels=low + (high - low) * ((voxels - low) / (high - low)) ** gamma)


def inverted(volume: Volume, _generator: np.random.Generator) -> Volume:
    """Bright for dark, in the same range."""
    voxels = volume.voxels.astype(np.float32)
    return replace(volume, voxels=voxels.min() + voxels.max() - voxels)


def with_voxels_of(size: float, volume: Volume, _generator: np.random.Generator) -> Volume:
    """Voxels so many times as large; a picture stays as thick as it is."""
    is_along = np.array(volume.size) > 1
    return volume.resampled(np.where(is_along, size * volume.spacing_mm, volume.spacing_mm))


def changes(dimension: int, *, of_heads: bool = False) -> Mapping[str, Change]:
    """All changes of volumes (3) or of pictures (2), by name; with those that only heads know."""
    axes = {"left-right": (1.0, 0.0, 0.0), "back-front": (0.0, 1.0, 0.0), "up-down": (0.0, 0.0, 1.0)}
    names = {f" about {name}": axis for name, axis in axes.items()} if dimension == 3 else {"": None}
    turned = {
        f"turned by {angle_deg:+.0f}°{name}": partial(_changed, TurnedCase, axis_ras=axis, angle_deg=angle_deg)
        for name, axis in names.items()
        for angle_deg in (ROTATION_DEG, -ROTATION_DEG)
    }
    looks: dict[str, Look] = {
        f"noise of {NOISE:.0%}": noisy,
        f"gamma {GAMMA:g}": partial(with_gamma, GAMMA),
        f"gamma 1/{GAMMA:g}": partial(with_gamma, 1 / GAMMA),
        "inverted intensities": inverted,
        "half the resolution": partial(with_voxels_of, 2.0),
        "double resolution": partial(with_voxels_of, 0.5),
    }
    rendered = {name: partial(_changed, RenderedCase, look=look) for name, look in looks.items()}
    bared = {"without skull": without_skull, "without face": without_face} if of_heads else {}
    return {
        "unchanged": lambda case: case,
        **turned,
        "cut short": partial(ShortCase.of, seed=SEED),
        **{name: partial(_changed, BaredCase, bare=bare) for name, bare in bared.items()},
        **rendered,
    }


def _changed(kind: type[Case], case: Case, **how: Any) -> Case:
    return kind(**{field.name: getattr(case, field.name) for field in fields(Case)}, whole=case, **how)
