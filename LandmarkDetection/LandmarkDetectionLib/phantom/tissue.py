"""What each point of the beams' grid does to sound: a fetal head in its surroundings, painted part by part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..geometry import FloatArray, apply_affine
from .anatomy import Head, Ventricle
from .probe import Beams, Box, Float32Array
from .texture import smooth_field

FLUID, BRAIN, THALAMUS, CEREBELLUM, WALL, CHOROID, VERMIS, SOFT_TISSUE = 0.012, 0.16, 0.09, 0.085, 0.8, 0.75, 0.6, 0.5
"""Amplitudes of diffuse echo; the skull's specular echo at perpendicular incidence is about 6."""
_SKULL_LOSS_PER_MM, _TISSUE_LOSS_PER_MM = 0.08, 0.006


@dataclass(frozen=True, eq=False)
class Tissue:
    """Acoustic properties on the beams' grid: amplitude of diffuse and of specular echo, and amplitude loss per mm."""

    diffuse: Float32Array
    specular: Float32Array
    loss_per_mm: Float32Array


def paint_tissue(head: Head, beams: Beams, random: np.random.Generator) -> Tissue:
    """A head in amniotic fluid and uterine tissue."""
    diffuse = _surroundings(beams, random)
    tissue = Tissue(diffuse, np.zeros_like(diffuse), diffuse * (_TISSUE_LOSS_PER_MM / SOFT_TISSUE))
    painter = _Painter(tissue, beams, head)
    painter.body()
    painter.skull_and_brain(random)
    painter.insulae()
    painter.thalami()
    for ventricle in head.ventricles:
        painter.ventricle(ventricle)
    painter.cerebellum()
    painter.midline()
    painter.cavum()
    return tissue


def _surroundings(beams: Beams, random: np.random.Generator) -> Float32Array:
    """Uterine wall and placenta near and far, amniotic fluid between, with lobed borders."""
    field = smooth_field(random, beams.shape, (9, 11, 11))
    depth = np.linspace(0.0, 1.0, beams.shape[0], dtype=np.float32)
    near, far = random.uniform(0.06, 0.14), random.uniform(0.80, 0.92)
    bias = 6.0 * np.maximum(near - depth, 0) / near + 6.0 * np.maximum(depth - far, 0) / (1 - far)
    amount = _inside(0.9 - field - bias[:, None, None].astype(np.float32), 0.4)
    texture = np.maximum(1.0 + 0.3 * smooth_field(random, beams.shape, (20, 24, 28)), 0.2)
    return FLUID + amount * texture * np.float32(random.uniform(0.6, 1.0) * SOFT_TISSUE)


def _inside(distance: Float32Array, edge: float) -> Float32Array:
    """1 where a signed distance is negative, 0 where positive, a ramp of width `edge` between."""
    return np.clip(0.5 - distance / np.float32(edge), 0.0, 1.0)


class _Painter:
    """Paints parts of a head, in head coordinates, into the tissue."""

    def __init__(self, tissue: Tissue, beams: Beams, head: Head) -> None:
        self.tissue, self.beams, self.head = tissue, beams, head
        self.edge_mm = max(0.6, beams.spacing_mm)
        self.sheet_mm = max(0.45, 0.6 * beams.spacing_mm)

    def _local(self, centre_mm: FloatArray, radius_mm: float, axes: FloatArray | None = None) -> tuple:
        """The box around a ball in head coordinates, and its x, y, z: in the head, or along axes from the centre."""
        box = self.beams.box(apply_affine(self.head.head_to_ras, centre_mm), radius_mm)
        local_to_head = np.eye(4)
        if axes is not None:
            local_to_head[:3, :3], local_to_head[:3, 3] = axes, centre_mm
        return box, self.beams.coordinates(box, np.linalg.inv(self.head.head_to_ras @ local_to_head))

    def _blend(self, box: Box, amount: Float32Array, amplitude: float) -> None:
        part = self.tissue.diffuse[box]
        part += amount * (np.float32(amplitude) - part)

    def _line(self, box: Box, amount: Float32Array, amplitude: float) -> None:
        """A bright interface: in part mirror, in part diffuse."""
        np.maximum(self.tissue.specular[box], amount * np.float32(amplitude), out=self.tissue.specular[box])

    def body(self) -> None:
        """Face and neck below the skull, with two orbits."""
        head = self.head
        parts = (
            ((0.0, 0.42 * head.front_mm, -0.85 * head.base_mm), (15.0, 14.0, 13.0), 0.7 * SOFT_TISSUE),
            ((0.0, -0.3 * head.back_mm, -1.3 * head.base_mm), (14.0, 13.0, 18.0), 0.55 * SOFT_TISSUE),
            ((10.0, 0.62 * head.front_mm, -0.85 * head.base_mm), (6.0, 6.0, 6.0), FLUID),
            ((-10.0, 0.62 * head.front_mm, -0.85 * head.base_mm), (6.0, 6.0, 6.0), FLUID),
        )
        for centre, radii, amplitude in parts:
            box, (x, y, z) = self._local(np.array(centre), max(radii) + 1, np.eye(3))
            distance = (_radius(x, y, z, radii) - 1.0) * min(radii)
            self._blend(box, _inside(distance, 2 * self.edge_mm), amplitude)
            self.tissue.loss_per_mm[box] += 0.01 * (distance < 0)

    def skull_and_brain(self, random: np.random.Generator) -> None:
        """Scalp, skull with weak sectors, brain; the skull's echo falls with the obliquity of the beam."""
        head = self.head
        reach = max(head.front_mm, head.back_mm, head.right_mm * 1.05, head.left_mm * 1.05) + 3.0
        box, points = self._local(np.zeros(3), reach)
        radius, gradient = _skull_radius(head, *points)
        part = np.flatnonzero((radius > 0.8) & (radius < 1.2))
        normal = np.stack(gradient(part))
        steepness = np.linalg.norm(normal, axis=0)
        distance = (radius.ravel()[part] - 1.0) / steepness
        beam = np.stack([np.broadcast_to(d, radius.shape).reshape(-1)[part] for d in self._directions(box)])
        alignment = np.abs((beam * normal).sum(axis=0)) / steepness
        position = np.stack([axis.ravel()[part] for axis in points])

        texture = smooth_field(random, radius.shape, (16, 16, 18))
        inner = radius < 0.97
        self.tissue.diffuse[box][inner] = BRAIN * (1.0 + 0.22 * texture[inner])
        self.tissue.loss_per_mm[box][inner] = _TISSUE_LOSS_PER_MM
        strength = _strong_bone(position, random) * np.clip(1.45 + position[2] / head.base_mm, 0.15, 1.0)
        grid_points = np.unravel_index(part, radius.shape)
        self._shell(box, grid_points, distance, alignment, strength)

    def _directions(self, box: Box) -> tuple:
        return self.beams.directions(box, np.linalg.inv(self.head.head_to_ras))

    def _shell(
        self,
        box: Box,
        points: tuple,
        distance: Float32Array,
        alignment: Float32Array,
        strength: Float32Array,
    ) -> None:
        """Scalp, bone and the fluid under it at grid points given by their distance from the skull's outer border."""
        thickness = self.head.skull_mm
        bone = _inside(np.abs(distance + thickness / 2) - thickness / 2, self.edge_mm)
        layers = (
            (_inside(np.abs(distance - 0.8) - 0.8, self.edge_mm), 0.6 * SOFT_TISSUE),
            (_inside(np.abs(distance + thickness + 1.0) - 1.0, self.edge_mm), 3 * FLUID),
            (bone, SOFT_TISSUE),
        )
        diffuse = self.tissue.diffuse[box][points]
        for amount, amplitude in layers:
            diffuse += amount * (amplitude - diffuse)
        self.tissue.diffuse[box][points] = diffuse
        self.tissue.specular[box][points] = bone * strength * (1.2 + 4.3 * alignment**3)
        loss = _SKULL_LOSS_PER_MM * strength * (1.0 + 0.6 * (1.0 - alignment) ** 2)
        self.tissue.loss_per_mm[box][points] += bone * loss

    def insulae(self) -> None:
        """The echo of the Sylvian fissure on each side."""
        head = self.head
        for side, width in ((1.0, head.right_mm), (-1.0, head.left_mm)):
            box, (x, y, z) = self._local(np.array([side * 0.66 * width, 2.0, -4.0]), 11.0, np.eye(3))
            bent = side * x + 0.02 * y**2 + 0.25 * z
            extent = _inside(_radius(0.0 * x, y, z, (1.0, 8.5, 5.5)) - 1.0, 0.4)
            self._line(box, _sheet(bent, 1.5 * self.sheet_mm) * extent, 0.45)

    def thalami(self) -> None:
        """Two hypoechoic ovals below the plane of the ventricles, the slit of the third ventricle between them."""
        head = self.head
        for side in (1.0, -1.0):
            y = head.csp_y_mm - 0.23 * (head.front_mm + head.back_mm)
            centre = np.array([head.midline_x_mm(y) + side * 5.6, y, -5.5])
            radii = (4.8, 8.0, 5.5)
            box, (x, y, z) = self._local(centre, 10.0, np.eye(3))
            distance = (_radius(x, y, z, radii) - 1.0) * 5.5
            self._blend(box, _inside(distance, 2 * self.edge_mm), THALAMUS)
            self._line(box, 0.5 * _sheet(distance, 1.5 * self.sheet_mm), 0.3)

    def ventricle(self, ventricle: Ventricle) -> None:
        """A fluid-filled tube with bright walls; the choroid plexus fills it from the atrium forwards.

        The proximal skull distorts sound most just behind itself, so the left ventricle's walls are fainter.
        """
        head = self.head
        reach = max(ventricle.front_mm, ventricle.back_mm) + 6.0
        middle = ventricle.atrium_y_mm + (ventricle.front_mm - ventricle.back_mm) / 2
        box, (x, y, z) = self._local(np.array([ventricle.side * ventricle.atrium_x_mm, middle, 0.0]), reach)
        along = y - np.float32(ventricle.atrium_y_mm)
        axis = ventricle.atrium_x_mm + along * (ventricle.slope + ventricle.curvature_per_mm * along)
        across = (ventricle.side * (x - head.midline_x_mm(y)) - axis) / np.hypot(1.0, ventricle.slope)
        height = (z - ventricle.rise * along) / 1.6
        relative = np.where(along > 0, along / ventricle.front_mm, -along / ventricle.back_mm)
        bulge = 0.45 + 0.55 * np.exp(-((along / 6.5) ** 2))
        half_width = 0.5 * ventricle.width_mm * bulge * np.sqrt(np.maximum(1.0 - relative**4, 0.0))
        off_axis = np.sqrt(across**2 + height**2)
        distance = np.where(relative < 1.0, off_axis - half_width, np.float32(9.0))
        self._blend(box, _inside(distance, self.edge_mm), FLUID)
        choroid = np.maximum(off_axis - 0.62 * half_width, np.maximum(1.0 - along, along - 0.55 * ventricle.front_mm))
        self._blend(box, _inside(choroid, self.edge_mm), CHOROID)
        facing = 0.35 + 0.65 * (across / np.maximum(off_axis, np.float32(0.1))) ** 2
        clarity = 1.2 if ventricle.side > 0 else 0.6
        self._line(box, _sheet(distance, self.sheet_mm) * facing * (half_width > 0.3), clarity * WALL)

    def cerebellum(self) -> None:
        """Hypoechoic hemispheres with a bright rim, the vermis between, and the cisterna magna behind."""
        part = self.head.cerebellum
        reach = max(part.right_mm, part.left_mm) + 6.0
        box, (x, y, z) = self._local(part.centre_mm, reach, part.axes)
        cistern = np.maximum((_radius(x, y + 5.0, z, (10.0, 8.0, 7.0)) - 1.0) * 7.0, y + 1.0)
        self._blend(box, _inside(cistern, 2 * self.edge_mm) * self._inner_skull(box), 1.5 * FLUID)
        tip = np.where(x > 0, np.float32(part.right_mm), np.float32(part.left_mm))
        hemisphere = _radius(np.abs(x) - 0.42 * tip, y, z, (0.58 * tip, part.depth_mm, part.height_mm))
        distance = (hemisphere - 1.0) * np.float32(part.depth_mm)
        folia = 1.0 + 0.5 * np.sin(y * 4.2) * (np.abs(x) > 3.0)
        inside = _inside(distance, self.edge_mm)
        diffuse = self.tissue.diffuse[box]
        diffuse += inside * (CEREBELLUM * folia.astype(np.float32) - diffuse)
        facing = 0.55 + 0.45 * x**2 / (x**2 + y**2 + z**2 + 0.1)
        self._line(box, _sheet(distance, 1.3 * self.sheet_mm) * facing, 0.9 * WALL)
        vermis = (_radius(x, y + 0.5, z, (2.2, 0.75 * part.depth_mm, 0.9 * part.height_mm)) - 1.0) * 2.2
        self._blend(box, _inside(vermis, self.edge_mm), VERMIS)

    def _inner_skull(self, box: Box) -> Float32Array:
        points = self.beams.coordinates(box, np.linalg.inv(self.head.head_to_ras))
        radius, _ = _skull_radius(self.head, *points)
        return (radius < 1.0 - (self.head.skull_mm + 0.5) / self.head.back_mm).astype(np.float32)

    def midline(self) -> None:
        """The falx, interrupted at the cavum and, below it, between the thalami."""
        head = self.head
        box, (x, y, z) = self._local(np.zeros(3), max(head.front_mm, head.back_mm))
        sheet = _sheet(x - head.midline_x_mm(y).astype(np.float32), 1.2 * self.sheet_mm)
        _, length, height = head.csp_size_mm
        central = (np.abs(y - head.csp_y_mm) < length / 2 + 0.8) & (np.abs(z) < height / 2 + 0.8)
        radius, _ = _skull_radius(head, x, y, z)
        above_tentorium = _inside(-z - 0.25 * head.base_mm, 3.0)
        between_thalami = 0.6 * np.exp(-(((y - head.csp_y_mm + 14.0) / 8.0) ** 2) - (z / 12.0) ** 2)
        self._line(box, sheet * above_tentorium * (1.0 - between_thalami) * ((radius < 0.95) & ~central), 1.0)

    def cavum(self) -> None:
        """A fluid-filled box between two bright lines."""
        head = self.head
        width, length, height = head.csp_size_mm
        centre = np.array([head.midline_x_mm(head.csp_y_mm), head.csp_y_mm, 0.0])
        box, (x, y, z) = self._local(centre, length, np.eye(3))
        sides, ends, lids = np.abs(x) - width / 2, np.abs(y) - length / 2, np.abs(z) - height / 2
        self._blend(box, _inside(np.maximum(np.maximum(sides, ends), lids), self.edge_mm), FLUID)
        beside, before = _inside(np.maximum(ends, lids), self.edge_mm), _inside(np.maximum(sides, lids), self.edge_mm)
        self._line(box, _sheet(sides, self.sheet_mm) * beside, 1.6 * WALL)
        self._line(box, _sheet(ends, self.sheet_mm) * before, 0.6 * WALL)


def _sheet(distance: Float32Array, half_thickness: float) -> Float32Array:
    """1 on a surface, falling to 0 at twice the half thickness."""
    return np.maximum(1.0 - (distance / np.float32(2.0 * half_thickness)) ** 2, 0.0)


def _radius(x: Float32Array, y: Float32Array, z: Float32Array, radii: tuple) -> Float32Array:
    """1 on the surface of an ellipsoid around the origin."""
    return np.sqrt((x / radii[0]) ** 2 + (y / radii[1]) ** 2 + (z / radii[2]) ** 2, dtype=np.float32)


def _skull_radius(head: Head, x: Float32Array, y: Float32Array, z: Float32Array) -> tuple:
    """1 on the skull's outer border; and a function that gives its gradient at flat indices."""
    forward = y / np.where(y > 0, np.float32(head.front_mm), np.float32(head.back_mm))
    upward = z / np.where(z > 0, np.float32(head.top_mm), np.float32(head.base_mm))
    taper = 1.0 - forward * np.where(x > 0, np.float32(head.taper_right), np.float32(head.taper_left))
    width = taper * np.where(x > 0, np.float32(head.right_mm), np.float32(head.left_mm))
    sideways = x / width
    radius = np.sqrt(sideways**2 + forward**2 + upward**2)

    def gradient(part: FloatArray) -> tuple[Float32Array, Float32Array, Float32Array]:
        s, f, u, w, r = (a.ravel()[part] for a in (sideways, forward, upward, width, radius))
        length = np.where(f > 0, np.float32(head.front_mm), np.float32(head.back_mm))
        height = np.where(u > 0, np.float32(head.top_mm), np.float32(head.base_mm))
        return s / (w * r), f / (length * r), u / (height * r)

    return radius, gradient


def _strong_bone(position: Float32Array, random: np.random.Generator) -> Float32Array:
    """1 where the skull's echo is full, less in a few random sectors such as sutures and poor contact."""
    strength = np.ones(position.shape[1], np.float32)
    direction = position / np.linalg.norm(position, axis=0)
    for _ in range(int(random.integers(4, 10))):
        centre = random.standard_normal(3)
        centre /= np.linalg.norm(centre)
        radius_deg, depth = random.uniform(8.0, 20.0), random.uniform(0.5, 0.95)
        angle_deg = np.rad2deg(np.arccos(np.clip(centre.astype(np.float32) @ direction, -1, 1)))
        strength *= 1.0 - depth * _inside(angle_deg - radius_deg, 6.0)
    return strength
