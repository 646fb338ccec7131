"""Random fields: smooth variation of tissue, and speckle."""

from __future__ import annotations

import numpy as np

from .probe import Float32Array


def smooth_field(random: np.random.Generator, shape: tuple[int, ...], knots: tuple[int, ...]) -> Float32Array:
    """A smooth random field of a shape, about unit variance, free values at `knots` points along each axis.

    The same generator state gives the same field on any grid, so coarse and fine volumes share it.
    """
    field = random.standard_normal(knots, dtype=np.float32)
    for axis, (length, count) in enumerate(zip(shape, knots, strict=True)):
        position = np.linspace(0.5, count - 1.5, length, dtype=np.float32)[:, None]
        weights = np.exp(-((position - np.arange(count, dtype=np.float32)) ** 2) / 0.8)
        weights /= np.sqrt((weights**2).sum(axis=1, keepdims=True))
        field = np.moveaxis(np.tensordot(weights, field, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(field)


def blurred(field: Float32Array, passes: tuple[int, ...]) -> Float32Array:
    """A field smoothed along each axis by that many passes of the kernel (1, 2, 1) / 4, in place."""
    for axis, count in enumerate(passes):
        view = np.moveaxis(field, axis, 0)
        for _ in range(count):
            pairs = view[:-1] + view[1:]
            pairs *= 0.25
            np.add(pairs[:-1], pairs[1:], out=view[1:-1])
    return field
