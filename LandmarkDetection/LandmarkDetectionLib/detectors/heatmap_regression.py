"""Heatmap regression: the hottest place of each landmark's heatmap, by a U-Net or a spatial configuration network."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch

from ..models.bundle import ModelBundle
from ..models.record import FieldError, parse_record
from ..networks.heatmap_regression import HeatmapRegression
from ..networks.layers import channels_last
from ..networks.locnet import LocNet
from ..networks.scn import SpatialConfigurationNet
from ..preprocessing import CanonicalVolume
from .base import CancelledCallback, Detector, Located, ProgressCallback
from .grid import Grid
from .heatmap_decoding import find_peaks, presence_logits, scatter_of_spots, shares_of_usual
from .weights import loaded_network, without_normalisation
from .windowed_image import as_network_input, image_tensor


@dataclass(frozen=True)
class HeatmapUNetSettings:
    """The `network` object of a heatmap U-Net's card: that of Loc-Net, as Ma et al. compare their own with.

    Attributes:
        widths, is_normalised: see `LocNet`.
        sigma: standard deviation of the heat spots in voxels; 6 mm in voxels of 1 mm.
    """

    widths: tuple[int, ...] = (16, 32, 64, 128)
    sigma: float = 6.0
    is_normalised: bool = False

    def __post_init__(self) -> None:
        if not self.widths or min(self.widths) < 1:
            name, problem = "widths", "must name a level at least, with a channel at least in each"
            raise FieldError(name, problem)
        _check_above_zero(self, "sigma")

    def network(self, dimension: int, landmarks: int) -> HeatmapRegression:
        """Untrained; the channels of a Loc-Net are the heatmaps themselves."""
        unet = LocNet(dimension, landmarks, self.widths, is_normalised=self.is_normalised)
        return HeatmapRegression(unet, landmarks, self.sigma, learns_sigmas=False)


@dataclass(frozen=True)
class SCNSettings:
    """The `network` object of a spatial configuration network's card. Defaults are those of the authors' code.

    Attributes:
        width, levels, kernel_size, pooling, dropout, is_normalised: see `SpatialConfigurationNet`.
        sigma: standard deviation of the heat spots in voxels before any is learned.
    """

    width: int = 64
    levels: int = 4
    kernel_size: int = 7
    pooling: int = 8
    dropout: float = 0.5
    sigma: float = 4.0
    is_normalised: bool = False

    def __post_init__(self) -> None:
        _check_above_zero(self, "width", "levels", "kernel_size", "pooling", "sigma")
        if self.kernel_size % 2 == 0:
            name, problem = "kernel_size", "must be odd, so that a kernel has a middle"
            raise FieldError(name, problem)
        if not 0 <= self.dropout < 1:
            name, problem = "dropout", "must be at least 0 and below 1"
            raise FieldError(name, problem)

    def network(self, dimension: int, landmarks: int) -> HeatmapRegression:
        """Untrained."""
        layers = {name: value for name, value in dataclasses.asdict(self).items() if name != "sigma"}
        scn = SpatialConfigurationNet(dimension, landmarks, **layers)
        return HeatmapRegression(scn, landmarks, self.sigma, learns_sigmas=True)


def _check_above_zero(settings: HeatmapUNetSettings | SCNSettings, *names: str) -> None:
    for name in names:
        if getattr(settings, name) <= 0:
            raise FieldError(name, "must be above zero")


@dataclass(frozen=True)
class HeatmapInference:
    """The `inference` object of a heatmap regression's card.

    Attributes:
        decoding: whether the answer is a place between voxels or the hottest voxel.
    """

    decoding: Literal["sub-voxel", "arg-max"] = "sub-voxel"


class HeatmapUNetDetector(Detector):
    """Heatmap regression on volumes and pictures that are seen whole, at one resolution.

    A landmark's variance is what explains that its peak is lower than its spot was (`scatter_of_spots`). The evidence
    that it is in the image is the share of its usual heat that the peak has.
    """

    inference_settings = HeatmapInference
    network_settings: ClassVar[type] = HeatmapUNetSettings

    def __init__(self, bundle: ModelBundle, device: torch.device) -> None:
        super().__init__(bundle, device)
        card, where = bundle.card, f"model {bundle.card.name}"
        settings = parse_record(self.network_settings, card.network, f"{where}: network")
        self._inference = parse_record(HeatmapInference, card.inference, f"{where}: inference")
        architecture = dataclasses.replace(settings, is_normalised=False)
        self._network = loaded_network(
            without_normalisation(bundle),
            lambda: architecture.network(card.dimension, len(card.landmarks)),
            prefix="",
            device=device,
            memory_format=channels_last(card.dimension),
        )

    def _locate(
        self,
        canonical: CanonicalVolume,
        progress: ProgressCallback,
        cancelled: CancelledCallback,  # noqa: ARG002 - asked before, and there is one call
        generator: np.random.Generator,  # noqa: ARG002 - nothing is random
    ) -> Located:
        progress(0.0, "Looking at the whole image")
        grid, network = Grid.of(canonical), self._network
        image, window = image_tensor(canonical, self.device)
        with torch.inference_mode():
            heatmaps = network(as_network_input(image, window))[0]
            peaks, heat = find_peaks(heatmaps, sub_voxel=self._inference.decoding == "sub-voxel")
            heights = network.spot_heights(grid.dimension)
            variances = scatter_of_spots(heat, network.sigmas, heights, grid.dimension)
        return Located(
            grid.frame_from_voxels(peaks.cpu().double().numpy()),
            grid.frame_covariances(variances[:, None, None] * np.eye(grid.dimension)),
            presence_logits=presence_logits(shares_of_usual(heat, network.usual_heat)),
        )


class SCNDetector(HeatmapUNetDetector):
    """The same with a spatial configuration network, whose spots are as wide as they learned to be [Payer 2019]."""

    network_settings = SCNSettings
