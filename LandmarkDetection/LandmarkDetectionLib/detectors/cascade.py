"""Cascade: heatmaps of the whole image at low resolution, then a correction from a patch at full one [Tan 2019]."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import DetectionCancelled, LandmarkDetectionError
from ..geometry import FloatArray
from ..models.bundle import ModelBundle
from ..models.record import FieldError, parse_record
from ..networks.cascade import BLOCKS, SIDE_PATHS, DisplacementNetwork, HeatmapUNet
from ..networks.layers import channels_last
from ..preprocessing import CanonicalVolume
from .base import CancelledCallback, Detector, Located, ProgressCallback
from .boxes import cut_boxes, nearest_voxels, pad_for_boxes
from .grid import Grid
from .heatmap_decoding import find_peaks, presence_logits, shares_of_usual, variance_factors
from .mean_pooling import LARGEST_RATIO, mean_pooled
from .weights import Network, loaded_network, without_normalisation
from .windowed_image import as_network_input, windowed_bytes


@dataclass(frozen=True)
class CascadeNetworkSettings:
    """The `network` object of a cascade's model card. Where the paper gives a number, it is the default.

    Attributes:
        pooling: voxels along each axis whose mean the first stage sees as one.
        widths: channels of the first stage's levels, the finest first.
        sigma: standard deviation of the heat spots in voxels of the first stage. The paper does not give it; where
            spots overlap widely, their peaks are learned slowly.
        height: heat in the middle of a spot where no other is near.
        patch_size: side of the second stage's patches in voxels.
        local_widths: channels of the second stage's convolutions.
        hidden: width of its first fully connected layer.
        counted_from: where its displacement begins: at the voxel in the middle of the patch, which is all that it can
            see; or, as the paper writes, at the prediction near which the patch was cut.
        is_normalised: whether batch normalisation follows each convolution, which the paper does not mention: short
            trainings come three times as far with it.
    """

    pooling: int = 4
    widths: tuple[int, ...] = (16, 32, 64, 128)
    sigma: float = 1.0
    height: float = 1.0
    patch_size: int = 64
    local_widths: tuple[int, int, int, int] = (16, 32, 64, 64)
    hidden: int = 128
    counted_from: Literal["patch", "prediction"] = "patch"
    is_normalised: bool = False

    def __post_init__(self) -> None:
        if min(*self.widths, *self.local_widths, self.hidden) < 1 or len(self.widths) <= SIDE_PATHS:
            message = f"The networks need {SIDE_PATHS + 1} levels and a channel in every layer; correct their widths."
            raise LandmarkDetectionError(message)
        if not 1 <= self.pooling <= LARGEST_RATIO:
            name, problem = "pooling", f"must be from 1 to {LARGEST_RATIO}"
            raise FieldError(name, problem)
        if self.patch_size < 2**BLOCKS:
            name, problem = "patch_size", f"must be at least {2**BLOCKS}, of which {BLOCKS} poolings leave a voxel"
            raise FieldError(name, problem)
        if self.sigma <= 0:
            name, problem = "sigma", "must be above zero"
            raise FieldError(name, problem)
        if not 0 < self.height <= 1:
            name, problem = "height", "must be above zero and at most 1"
            raise FieldError(name, problem)

    def coarse_network(self, dimension: int, landmarks: int) -> HeatmapUNet:
        """The first stage, untrained."""
        return HeatmapUNet(dimension, landmarks, self.widths, is_normalised=self.is_normalised)

    def local_network(self, dimension: int) -> DisplacementNetwork:
        """The second stage of one landmark, untrained."""
        sizes = (self.patch_size, self.local_widths, self.hidden)
        return DisplacementNetwork(dimension, *sizes, is_normalised=self.is_normalised)


@dataclass(frozen=True)
class CascadeInference:
    """The `inference` object of a cascade's model card. Defaults are the paper's.

    Attributes:
        decoding: whether the first stage answers with its hottest voxel or a place between voxels.
        refinements: how often the second stage corrects the position.
    """

    decoding: Literal["arg-max", "sub-voxel"] = "arg-max"
    refinements: int = 1

    def __post_init__(self) -> None:
        if self.refinements < 0:
            name, problem = "refinements", "must not be below zero"
            raise FieldError(name, problem)


class CascadeDetector(Detector):
    """The two stages of the cascade, on volumes and pictures.

    A landmark's covariance is that of the second stage's errors in training, the larger the less of its usual heat the
    first stage's peak has (`variance_factors`); that share is also the evidence that the landmark is in the image.
    """

    inference_settings = CascadeInference

    def __init__(self, bundle: ModelBundle, device: torch.device) -> None:
        super().__init__(bundle, device)
        where = f"model {bundle.card.name}"
        self.settings = parse_record(CascadeNetworkSettings, bundle.card.network, f"{where}: network")
        self.inference = parse_record(CascadeInference, bundle.card.inference, f"{where}: inference")
        weights = without_normalisation(bundle)
        architecture = dataclasses.replace(self.settings, is_normalised=False)
        dimension, landmarks = bundle.card.dimension, len(bundle.card.landmarks)

        def load(build: Callable[[], Network], prefix: str) -> Network:
            return loaded_network(weights, build, prefix, device, channels_last(dimension))

        self.coarse = load(lambda: architecture.coarse_network(dimension, landmarks), "coarse.")
        self.local = [
            load(lambda: architecture.local_network(dimension), f"local.{index}.") for index in range(landmarks)
        ]

    def _locate(
        self,
        canonical: CanonicalVolume,
        progress: ProgressCallback,
        cancelled: CancelledCallback,
        generator: np.random.Generator,  # noqa: ARG002 - nothing is random
    ) -> Located:
        grid = Grid.of(canonical)
        voxels, window = windowed_bytes(canonical)
        progress(0.0, "Looking at the whole image")
        with torch.inference_mode():
            peaks, shares = self._peaks(voxels, window)
            path_mm = [grid.pooled(self.settings.pooling).frame_from_voxels(peaks)]
            patches = PatchSource(voxels, window, self.settings.patch_size, grid, self.device)
            for refinement in range(self.inference.refinements):

                def report(share: float, label: str, refinement: int = refinement) -> None:
                    progress(0.5 + 0.5 * (refinement + share) / self.inference.refinements, f"Refining {label}")

                path_mm.append(self._refined(patches, path_mm[-1], report, cancelled))
        residuals = np.stack([network.residual_covariance.double().cpu().numpy() for network in self.local])
        factors = variance_factors(shares, self.card.dimension)
        return Located(
            path_mm[-1],
            grid.frame_covariances(factors[:, None, None] * residuals),
            np.stack(path_mm),
            presence_logits(shares),
        )

    def _peaks(self, voxels: NDArray[np.uint8], window: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
        """What the first stage finds: positions (n, d) in voxels of its own, and the shares (n,) of the usual heat."""
        coarse = torch.from_numpy(mean_pooled(voxels, self.settings.pooling, window, self.card.dimension))
        images = coarse[None] if self.card.dimension == 2 else coarse[None, None]
        heatmaps = self.coarse(as_network_input(images.to(self.device)))[0]
        peaks, heat = find_peaks(heatmaps[:-1], sub_voxel=self.inference.decoding == "sub-voxel")
        return peaks.cpu().double().numpy(), shares_of_usual(heat, self.coarse.usual_heat)

    def _refined(
        self,
        patches: PatchSource,
        positions_mm: FloatArray,
        report: Callable[[float, str], None],
        cancelled: CancelledCallback,
    ) -> FloatArray:
        """Frame positions (n, 3) corrected by each landmark's own network."""
        voxels, inputs = patches.around(positions_mm)
        displacements = []
        for index, (network, label) in enumerate(zip(self.local, self.card.labels, strict=True)):
            if cancelled():
                raise DetectionCancelled
            report(index / len(self.local), label)
            displacements.append(network(inputs[index : index + 1]))
        moved = torch.cat(displacements).double().cpu().numpy()
        if self.settings.counted_from == "patch":
            return patches.grid.frame_from_voxels(voxels + moved)
        return patches.grid.frame_from_voxels(patches.grid.voxels_from_frame(positions_mm) + moved)


class PatchSource:
    """An image on a device, ready for cutting the second stage's patches.

    Args:
        voxels: [k, j, i].
        window: bytes that stand for 0 and 1.
        size: side of the patches in voxels.
        grid: of the voxels.
        device: where the patches are wanted.
    """

    def __init__(
        self, voxels: NDArray[np.uint8], window: tuple[int, int], size: int, grid: Grid, device: torch.device
    ) -> None:
        self.grid = grid
        self._window, self._size = window, size
        image = torch.from_numpy(voxels if grid.dimension == 2 else voxels[None]).to(device)
        self._sides = image.shape[1:]
        self._padded = pad_for_boxes(image, size)

    def around(self, positions_mm: FloatArray) -> tuple[NDArray[np.int64], Tensor]:
        """Voxels (n, d) nearest to frame positions (n, 3), and the network input (n, 1, ...) around these."""
        exact = torch.tensor(self.grid.voxels_from_frame(positions_mm).tolist(), device=self._padded.device)
        voxels = nearest_voxels(exact, self._sides)
        boxes = cut_boxes(self._padded, torch.zeros_like(voxels[:, 0]), voxels, self._size)
        return voxels.cpu().numpy(), as_network_input(boxes[:, None], self._window)


def coarse_positions(positions: Tensor, pooling: int) -> Tensor:
    """Positions in voxels of the first stage's image, of those in voxels of the whole one."""
    return (positions - (pooling - 1) / 2) / pooling
