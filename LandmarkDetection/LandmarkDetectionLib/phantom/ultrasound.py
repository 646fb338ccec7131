"""Ultrasound image formation along the beams: speckle, shadow, reverberation, gain, log compression."""

from __future__ import annotations

import numpy as np

from .probe import Beams, Float32Array
from .texture import blurred, smooth_field
from .tissue import Tissue

_REVERBERATION_MM = 8.0
"""Over this depth the haze behind the proximal skull falls to 1/e."""

_SPECKLE_MM = (0.35, 0.7, 0.6)
"""Standard deviation of the point spread along depth, elevation and azimuth, the latter two at mid-depth."""


def image_of(tissue: Tissue, beams: Beams, random: np.random.Generator, noise: np.random.Generator) -> Float32Array:
    """Grey values 0 to 255 on the beams' grid. `random` draws settings of the scanner, `noise` its speckle."""
    transmission, haze = _propagate(tissue, beams)
    diffuse = tissue.diffuse + np.float32(random.uniform(0.10, 0.28)) * haze
    glitter = 1.0 + 0.2 * smooth_field(random, beams.shape, (20, 24, 28))
    specular = tissue.specular * np.maximum(glitter, 0.2)
    envelope = _speckled(diffuse, specular, beams.spacing_mm, noise)
    envelope *= transmission
    envelope *= _gain(beams, random)
    floor = np.float32(random.uniform(0.004, 0.010))
    return _compressed(envelope + floor, beams, random)


def _propagate(tissue: Tissue, beams: Beams) -> tuple[Float32Array, Float32Array]:
    """Along each beam: amplitude that reaches a depth and returns, and echo that arrives late from the skull."""
    step_mm = np.float32(beams.spacing_mm) * beams.stretch
    transmission, haze = np.empty_like(tissue.diffuse), np.empty_like(tissue.diffuse)
    loss, late = np.zeros_like(step_mm), np.zeros_like(step_mm)
    fading = np.exp(-step_mm / _REVERBERATION_MM)
    for depth in range(len(transmission)):
        loss += step_mm * tissue.loss_per_mm[depth]
        np.exp(-loss, out=transmission[depth])
        haze[depth] = late
        late *= fading
        late += tissue.specular[depth] * step_mm * (0.25 * transmission[depth])
    return transmission, haze


def _speckled(
    diffuse: Float32Array, specular: Float32Array, spacing_mm: float, noise: np.random.Generator
) -> Float32Array:
    """Envelope of two correlated Gaussian quadratures (so Rayleigh where diffuse) plus mirror-like echo.

    The correlation is constant in depth and in angle, so on voxels it widens sideways with depth.
    """
    passes = tuple(round(2.0 * (width / spacing_mm) ** 2) for width in _SPECKLE_MM)
    power = np.zeros_like(diffuse)
    for quadrature in range(2):
        field = noise.standard_normal(diffuse.shape, dtype=np.float32)
        field *= diffuse
        blurred(field, passes)
        field *= np.float32(np.prod([_noise_gain(count) for count in passes]) / np.sqrt(2.0))
        if quadrature == 0:
            field += blurred(specular, tuple(min(count, 2) for count in passes))
        power += field * field
    return np.sqrt(power)


def _noise_gain(passes: int) -> float:
    """By how much white noise must grow to keep its variance after smoothing."""
    kernel = np.ones(1)
    for _ in range(passes):
        kernel = np.convolve(kernel, (0.25, 0.5, 0.25))
    return float(1.0 / np.sqrt((kernel**2).sum()))


def _gain(beams: Beams, random: np.random.Generator) -> Float32Array:
    """Time gain compensation with a random error, and uneven contact of the probe; a factor of amplitude."""
    depth = np.linspace(0.0, 1.0, beams.shape[0], dtype=np.float32)[:, None, None]
    slope_db, bend_db = random.uniform(4.0, 12.0), random.uniform(-3.0, 3.0)
    contact_db = 1.8 * smooth_field(random, beams.shape[1:], (6, 7))
    gain_db = slope_db * depth + bend_db * np.sin(np.pi * depth) + random.uniform(-3.0, 3.0)
    return (10.0 ** (gain_db / 20.0)).astype(np.float32) * 10.0 ** (contact_db / 20.0)


def _compressed(envelope: Float32Array, beams: Beams, random: np.random.Generator) -> Float32Array:
    """Log compression of a dynamic range to 0 to 255; nothing is seen inside the probe."""
    range_db, top_db = random.uniform(48.0, 58.0), random.uniform(10.0, 14.0)
    grey = np.log10(envelope, out=envelope)
    grey *= np.float32(20.0 * 255.0 / range_db)
    grey += np.float32((range_db - top_db) * 255.0 / range_db)
    np.clip(grey, 0.0, 255.0, out=grey)
    hidden = int(np.searchsorted(beams.distance_mm, beams.face_mm)) + 1
    grey[:hidden] *= beams.distance_mm[:hidden, None, None] * beams.stretch > beams.face_mm
    return grey
