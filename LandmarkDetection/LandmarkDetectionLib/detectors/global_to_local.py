"""Global-to-local: patches of the whole image vote for all landmarks, then those of a small one for each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..errors import DetectionCancelled, LandmarkDetectionError
from ..models.bundle import ModelBundle
from ..models.record import FieldError, parse_record
from ..networks.global_to_local import GlobalNetwork, LocalNetwork, VotingNetwork
from ..networks.grouping import grouped
from ..networks.layers import channels_last
from ..preprocessing import CanonicalVolume
from .base import CancelledCallback, Detector, Located, ProgressCallback
from .boxes import cut_boxes, nearest_voxels, pad_for_boxes
from .equalisation import equalised
from .grid import Grid
from .patch_voting import Estimate, estimate
from .weights import do_not_fit, loaded_network, without_normalisation
from .windowed_image import as_network_input, image_tensor

GLOBAL_PREFIX = "global."
_GLOBAL_SHARE = 0.8
"""Of the work, for the progress."""


def local_prefix(index: int) -> str:
    """What the names of the tensors of a landmark's local network begin with."""
    return f"local.{index}."


@dataclass(frozen=True)
class GlobalToLocalNetworkSettings:
    """The `network` object of a global-to-local model card. Defaults are the paper's.

    Attributes:
        heads: what the networks predict: displacements in voxels (R) or in their logarithms (R_log), which patch holds
            the landmark (C), or both.
        first_width, widths, pairs, head_width: channels of the global network's first convolution and of its blocks,
            pairs of convolutions in each block, channels of its heads.
        poolings: blocks that an average pooling precedes; a patch has 2 ** (1 + poolings) voxels a side. By default 2
            in volumes and 4 in pictures.
        local_widths, local_head_width: channels of the two pairs and of the heads of each local network.
        local_size: side in voxels of the images that the local networks see, even.
        histogram_equalisation: whether images are equalised first, as the paper does with cephalograms.
    """

    heads: Literal["R", "R_log", "C", "R+C", "R_log+C"] = "R_log+C"
    first_width: int = 16
    widths: tuple[int, ...] = (32, 64, 128, 256)
    pairs: tuple[int, ...] = (3, 4, 6, 3)
    poolings: int | None = None
    head_width: int = 256
    local_widths: tuple[int, int] = (32, 64)
    local_head_width: int = 64
    local_size: int = 16
    histogram_equalisation: bool = False

    def __post_init__(self) -> None:
        channels = (self.first_width, *self.widths, self.head_width, *self.local_widths, self.local_head_width)
        if not self.widths or min(*channels, *self.pairs) < 1 or len(self.pairs) != len(self.widths):
            message = (
                "Every layer of the networks needs a channel, and every block a pair of convolutions; choose widths "
                "and as many pairs, of 1 and more."
            )
            raise LandmarkDetectionError(message)
        rules = {
            "poolings": (0 <= (self.poolings or 0) <= len(self.widths), "must lie between 0 and the number of blocks"),
            "local_size": (self.local_size > 0 and self.local_size % 2 == 0, "must be an even number above zero"),
        }
        for name, (is_kept, problem) in rules.items():
            if not is_kept:
                raise FieldError(name, problem)

    @property
    def is_logarithmic(self) -> bool:
        """Whether displacements are predicted as their logarithms."""
        return self.heads.startswith("R_log")

    def global_network(self, dimension: int, landmarks: int, *, is_normalised: bool) -> GlobalNetwork:
        """The network that sees the whole image."""
        return GlobalNetwork(
            dimension,
            landmarks,
            first_width=self.first_width,
            widths=self.widths,
            pairs=self.pairs,
            poolings=self._poolings(dimension),
            head_width=self.head_width,
            is_normalised=is_normalised,
            **self._chosen_heads,
        )

    def local_network(self, dimension: int, landmarks: int, *, is_normalised: bool) -> LocalNetwork:
        """The networks that each see the surroundings of one landmark, as one with a group for each."""
        return LocalNetwork(
            dimension,
            landmarks,
            widths=self.local_widths,
            head_width=self.local_head_width,
            is_normalised=is_normalised,
            **self._chosen_heads,
        )

    def patch_size(self, dimension: int) -> int:
        """Side in voxels of the global network's patches."""
        return 2 ** (1 + self._poolings(dimension))

    def _poolings(self, dimension: int) -> int:
        published = min({2: 4, 3: 2}[dimension], len(self.widths))
        return published if self.poolings is None else self.poolings

    @property
    def _chosen_heads(self) -> dict[str, bool]:
        return {"regresses": self.heads != "C", "classifies": self.heads.endswith("C")}


@dataclass(frozen=True)
class GlobalToLocalInference:
    """The `inference` object of a global-to-local model card.

    Attributes:
        local_passes: times the local networks look, once as published; again, they look around where they found the
            landmark the time before. With 0 the global network has the last word.
    """

    local_passes: int = 1

    def __post_init__(self) -> None:
        if self.local_passes < 0:
            name, problem = "local_passes", "must not be negative"
            raise FieldError(name, problem)


class GlobalToLocalDetector(Detector):
    """A global network for all landmarks and a local one for each [Noothout 2020].

    The covariance of a landmark is the scatter of the votes about their mean, each vote weighted by the probability of
    its patch: votes of the local network, or of the global one where that has the last word. The evidence that the
    image shows a landmark is the largest probability of neighbouring patches of the global network, which was trained
    to see none where the landmark lies outside the image.
    """

    inference_settings = GlobalToLocalInference

    def __init__(self, bundle: ModelBundle, device: torch.device) -> None:
        super().__init__(bundle, device)
        where = f"model {bundle.card.name}"
        self._settings = parse_record(GlobalToLocalNetworkSettings, bundle.card.network, f"{where}: network")
        self._inference = parse_record(GlobalToLocalInference, bundle.card.inference, f"{where}: inference")
        self._global = self._network(self._settings.global_network, _part(bundle, GLOBAL_PREFIX))
        self._local = self._network(self._settings.local_network, grouped_local_tensors(bundle))

    def _network(self, build: Callable[..., VotingNetwork], tensors: Mapping[str, Tensor]) -> VotingNetwork:
        """A network for detection."""
        dimension = self.card.dimension
        return loaded_network(
            without_normalisation(dataclasses.replace(self.bundle, tensors=dict(tensors))),
            lambda: build(dimension, len(self.card.landmarks), is_normalised=False),
            prefix="",
            device=self.device,
            memory_format=channels_last(dimension),
        )

    def _locate(
        self,
        canonical: CanonicalVolume,
        progress: ProgressCallback,
        cancelled: CancelledCallback,
        generator: np.random.Generator,  # noqa: ARG002 - nothing is random
    ) -> Located:
        progress(0.0, "Looking at the whole image")
        image, window = self._image(canonical)
        passes = self._inference.local_passes
        with torch.inference_mode():
            estimates = [self._voted(self._global, as_network_input(image.clone(), window))]
            for index in range(passes):
                if cancelled():
                    raise DetectionCancelled
                progress(_GLOBAL_SHARE + (1 - _GLOBAL_SHARE) * index / passes, "Looking closely at each landmark")
                estimates.append(self._refined(image, window, estimates[-1].positions[0]))
        grid = Grid.of(canonical)
        # Not every device has double precision.
        path_mm = np.stack([grid.frame_from_voxels(step.positions[0].cpu()) for step in estimates])
        covariances_mm2 = grid.frame_covariances(estimates[-1].covariances[0].cpu())
        evidence = estimates[0].evidence
        return Located(
            path_mm[-1], covariances_mm2, path_mm, None if evidence is None else evidence[0].cpu().double().numpy()
        )

    def _image(self, canonical: CanonicalVolume) -> tuple[Tensor, tuple[int, int]]:
        """The image as bytes (1, 1, *sides), and which of them are 0 and 1."""
        image, (low, high) = image_tensor(canonical, self.device)
        if not self._settings.histogram_equalisation:
            return image, (low, high)
        return equalised(image.clamp(low, high) - low), (0, 255)

    def _refined(self, image: Tensor, window: tuple[int, int], positions: Tensor) -> Estimate:
        """What the local networks see around positions (n, d), each of its own landmark."""
        size, sides = self._settings.local_size, image.shape[2:]
        # The middle of an even number of voxels lies half a voxel before the one the box is named for.
        centres = nearest_voxels(positions + 0.5, sides)
        boxes = cut_boxes(pad_for_boxes(image[0], size), centres.new_zeros(len(centres)), centres, size)
        found = self._voted(self._local, as_network_input(boxes[None], window))
        return found._replace(positions=found.positions + (centres - size // 2))

    def _voted(self, network: VotingNetwork, images: Tensor) -> Estimate:
        return estimate(network(images), network.patch_size, is_logarithmic=self._settings.is_logarithmic)


def grouped_local_tensors(bundle: ModelBundle) -> dict[str, Tensor]:
    """The weights of all local networks as those of one with a group for each landmark.

    Raises:
        LandmarkDetectionError: if those of the landmarks differ in number or shape.
    """
    try:
        return grouped([_part(bundle, local_prefix(index)) for index in range(len(bundle.card.landmarks))])
    except (KeyError, RuntimeError) as error:
        raise do_not_fit(bundle) from error


def _part(bundle: ModelBundle, prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, named without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in bundle.tensors.items() if name.startswith(prefix)}
