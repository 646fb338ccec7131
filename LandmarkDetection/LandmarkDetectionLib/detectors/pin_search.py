"""The iterations of PIN: cut patches where the landmarks are believed to be, learn how far off they are, move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..errors import DetectionCancelled, LandmarkDetectionError
from ..models.record import FieldError
from ..networks.pin import PINNetwork, reduced_size
from ..preprocessing import CanonicalVolume
from ..shape_model import ShapeModel
from .patches import cut_patches, pad_for_patches, plane_stacks
from .several_estimates import with_ends_matched
from .windowed_image import as_network_input, windowed_bytes


@dataclass(frozen=True)
class PINNetworkSettings:
    """The `network` object of a PIN model card. Defaults are the paper's."""

    patch_size: int = 101
    widths: tuple[int, ...] = (32, 64, 128, 256, 512)
    hidden: int = 1024
    displacement_scaling: Literal["none", "half-whitened"] = "none"
    """Unit of the network's displacement: millimetres, or for each mode the geometric mean of its own and the first
    mode's standard deviation, which lets short trainings converge and keeps the directions of all modes in play."""

    def __post_init__(self) -> None:
        if not self.widths or min(*self.widths, self.hidden) < 1:
            message = "Every layer of the network needs a channel; choose widths and hidden of 1 and more."
            raise LandmarkDetectionError(message)
        if self.patch_size % 2 == 0 or reduced_size(self.patch_size, len(self.widths)) != 1:
            message = (
                f"A patch of {self.patch_size} pixels does not shrink to one pixel in {len(self.widths)} blocks; "
                "choose an odd side such as 49 for 4 blocks or 101 for 5."
            )
            raise LandmarkDetectionError(message)


@dataclass(frozen=True)
class PINInference:
    """The `inference` object of a PIN model card. Defaults are the paper's.

    Attributes:
        rule: how an iteration moves the shape: by a step along the likeliest mode (A), by the predicted displacement
            (B), or by that weighted with the confidence of each mode (C).
        confidence: weight of a mode in rule C. It is the larger probability of its two directions among all directions,
            as published, or the probability of the likelier of the two alone.
        random_initialisations: random shapes from which to search, besides the mean shape.
        initial_range_sd: how far random shapes lie from the mean shape, in standard deviations of its modes.
        iterations: steps after which a search ends at the latest, 0 standing for the published 350 of rule A and 10 of
            B and C.
        tolerance_mm: a search by rule B or C ends when no landmark of any initialisation moves farther than this in one
            iteration. One by rule A ends when every initialisation goes back and forth.
    """

    rule: Literal["A", "B", "C"] = "C"
    confidence: Literal["maximum", "pairwise"] = "maximum"
    random_initialisations: int = 5
    initial_range_sd: float = 3.0
    iterations: int = 0
    tolerance_mm: float = 0.05

    def __post_init__(self) -> None:
        for name in ("random_initialisations", "initial_range_sd", "iterations"):
            if getattr(self, name) < 0:
                raise FieldError(name, "must not be negative")

    @property
    def most_iterations(self) -> int:
        """Iterations T after which a search ends even if it has not converged."""
        return self.iterations or (350 if self.rule == "A" else 10)


def displacement_scale_mm(shape_model: ShapeModel, settings: PINNetworkSettings) -> np.ndarray:
    """Millimetres (modes,) for which one unit of the network's displacement stands."""
    if settings.displacement_scaling == "none":
        return np.ones(shape_model.modes)
    deviations = shape_model.standard_deviations_mm
    return np.sqrt(deviations * deviations[0])


class PINSearch:
    """One network and the space it moves in: the modes of a shape model, or the free position of a single landmark.

    Positions are rounded to voxels for cutting, which makes it a plain copy. Nothing is lost by it: the network's
    displacement is counted from the mode weights of the rounded positions, in training as in detection.

    Args:
        network: in evaluation mode, on the device to use.
        shape_model: in the model's frame.
        settings, inference: from the model card.
        interchangeable: pairs of landmarks, by index, whose ends cannot be told apart.
    """

    def __init__(
        self,
        network: PINNetwork,
        shape_model: ShapeModel,
        settings: PINNetworkSettings,
        inference: PINInference,
        interchangeable: Sequence[tuple[int, int]] = (),
    ) -> None:
        self.network = network
        self.shape_model = shape_model
        self.settings = settings
        self.inference = inference
        self.interchangeable = interchangeable
        self.device = next(network.parameters()).device
        self._mean = self._tensor(shape_model.mean)
        self._basis = self._tensor(shape_model.eigenvectors)
        self._scale = self._tensor(displacement_scale_mm(shape_model, settings))

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=self.device)

    def run(
        self,
        image: PatchImage,
        starts: np.ndarray,
        *,
        progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Iterate from mode weights (starts, modes) until convergence.

        Returns:
            Final landmark positions (starts, n, 3) and their path (iterations + 1, n, 3) averaged over starts, in frame
            millimetres. The ends of interchangeable pairs are those of the first start that lie nearer.

        Raises:
            DetectionCancelled: as soon as `cancelled()` is true between two network calls.
        """
        weights = self._tensor(starts)
        path = [self._positions(weights)]
        limit = self.inference.most_iterations
        earlier = weights
        with torch.inference_mode():
            for iteration in range(limit):
                if cancelled():
                    raise DetectionCancelled
                progress(iteration / limit)
                updated = self._update(image, weights)
                path.append(self._positions(updated))
                if self.inference.rule == "A":
                    has_settled = torch.equal(updated, earlier)
                else:
                    has_settled = (path[-1] - path[-2]).norm(dim=-1).max() <= self.inference.tolerance_mm
                earlier, weights = weights, updated
                if has_settled:
                    break
        # Not every device has double precision.
        paths = torch.stack(path).cpu().double().numpy()
        paths = with_ends_matched(paths, self.interchangeable)
        return paths[-1], paths.mean(1)

    def _positions(self, weights: Tensor) -> Tensor:
        return (self._mean + weights @ self._basis).unflatten(-1, (-1, 3))

    def _update(self, image: PatchImage, weights: Tensor) -> Tensor:
        voxels = image.nearest_voxels(self._positions(weights))
        displacement, logits = self.network(image.patches(voxels))
        displacement = displacement.float() * self._scale
        logits = logits.float()
        if self.inference.rule == "A":
            return weights + _single_step(logits) * image.voxel_mm
        cut_at = (image.frame_positions(voxels).flatten(1) - self._mean) @ self._basis.T
        if self.inference.rule == "C":
            displacement = displacement * _confidence(logits, self.inference.confidence)
        return cut_at + displacement


def _single_step(logits: Tensor) -> Tensor:
    """One unit along the likeliest direction, for logits (batch, 2 * outputs)."""
    likeliest = logits.argmax(-1)
    step = torch.zeros_like(logits[:, ::2])
    step.scatter_(-1, (likeliest // 2)[:, None], 1.0 - 2.0 * (likeliest % 2)[:, None].to(step))
    return step


def _confidence(logits: Tensor, kind: str) -> Tensor:
    """Weights (batch, outputs) that rule C gives each component of the displacement."""
    if kind == "pairwise":
        return torch.sigmoid((logits[:, ::2] - logits[:, 1::2]).abs())
    return logits.softmax(-1).unflatten(-1, (-1, 2)).amax(-1)


class PatchImage:
    """A canonical volume on a device, ready for cutting patches.

    Args:
        canonical: the volume in the model's frame.
        patch_size: side of the patches in voxels.
        device: where the patches are wanted.
    """

    def __init__(self, canonical: CanonicalVolume, patch_size: int, device: torch.device) -> None:
        self._patch_size = patch_size
        self._size = torch.tensor(canonical.voxels.shape[::-1], device=device)
        self._origin = torch.tensor(canonical.origin_ijk, dtype=torch.float32, device=device)
        self._spacing = torch.tensor(canonical.spacing_mm, dtype=torch.float32, device=device)
        voxels, self._window = windowed_bytes(canonical)
        self._stacks = plane_stacks(pad_for_patches(torch.as_tensor(voxels, device=device)[None], patch_size))
        self.voxel_mm = float(canonical.spacing_mm[0])

    def nearest_voxels(self, positions: Tensor) -> Tensor:
        """Voxel indices ijk (..., 3) nearest to frame positions (..., 3), moved into the volume if outside."""
        ijk = (positions / self._spacing + self._origin).round().long()
        return torch.minimum(ijk.clamp(min=0), self._size - 1)

    def frame_positions(self, voxels: Tensor) -> Tensor:
        """Frame positions (..., 3) of voxel indices ijk (..., 3)."""
        return (voxels - self._origin) * self._spacing

    def patches(self, voxels: Tensor) -> Tensor:
        """Network input (batch, channels, s, s) for voxel indices ijk (batch, n, 3): 0 to 1 over the window."""
        cases = torch.zeros(len(voxels), dtype=torch.long, device=voxels.device)
        patches = cut_patches(self._stacks, cases, voxels.flip(-1), self._patch_size)
        return as_network_input(patches, self._window)
