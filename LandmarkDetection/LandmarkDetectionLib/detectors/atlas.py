"""Multi-atlas registration: images with known landmarks are laid upon a volume, and the landmarks carried over."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
import torch
from numpy.typing import NDArray

from ..errors import DetectionCancelled, LandmarkDetectionError
from ..geometry import FloatArray
from ..models.bundle import ModelBundle
from ..models.record import NoSettings, parse_record
from ..preprocessing import CanonicalVolume
from .atlas_registration import AtlasInference, carried, frame_image
from .base import CancelledCallback, Detector, Located, ProgressCallback
from .grid import Grid
from .mean_pooling import mean_pooled
from .several_estimates import geometric_median, spread
from .weights import do_not_fit
from .windowed_image import windowed_bytes

LANDMARKS = "landmarks_mm"
"""Tensor (atlases, n, 3) of a bundle: positions in each atlas's frame, NaN where missing."""
FEWEST_ESTIMATES = 2
"""Of a landmark: a single one would not tell how far it may be off."""


def voxels_name(atlas: int) -> str:
    """Name of the tensor that holds an atlas's voxels, bytes [k, j, i] on the card's grid."""
    return f"{atlas}.voxels"


def origin_name(atlas: int) -> str:
    """Name of the tensor (3,) that holds the voxel index of its frame's origin."""
    return f"{atlas}.origin_ijk"


class AtlasDetector(Detector):
    """The geometric median of where the atlases' landmarks come to lie; their spread about it is its covariance.

    Each atlas is registered for itself [the usual pipeline: Iglesias and Sabuncu 2015], so that half of them may go
    astray. That needs no training, about a second for each of them, and runs on the processor whatever the device. A
    landmark is present as far as it lies inside the image.
    """

    inference_settings = AtlasInference

    def __init__(self, bundle: ModelBundle, device: torch.device) -> None:
        super().__init__(bundle, device)
        where = f"model {bundle.card.name}"
        parse_record(NoSettings, bundle.card.network, f"{where}: network")
        self._inference = parse_record(AtlasInference, bundle.card.inference, f"{where}: inference")
        try:
            self._landmarks_mm = bundle.tensors[LANDMARKS].double().numpy()
            self._atlases = [self._atlas(index) for index in range(len(self._landmarks_mm))]
        except (KeyError, IndexError, ValueError) as error:
            raise do_not_fit(bundle) from error
        if self._landmarks_mm.shape[1:] != (len(bundle.card.landmarks), 3):
            raise do_not_fit(bundle)

    def _atlas(self, index: int) -> sitk.Image:
        voxels = self.bundle.tensors[voxels_name(index)].numpy()
        origin_ijk = self.bundle.tensors[origin_name(index)].double().numpy()
        spacing_mm = np.array(self.card.preprocessing.spacing_mm)
        return frame_image(voxels, Grid(spacing_mm, origin_ijk, self.card.dimension))

    def _locate(
        self,
        canonical: CanonicalVolume,
        progress: ProgressCallback,
        cancelled: CancelledCallback,
        generator: np.random.Generator,  # noqa: ARG002 - the samples of the registration are fixed
    ) -> Located:
        target = frame_image(atlas_voxels(canonical), Grid.of(canonical))
        estimates = []
        for index, (atlas, landmarks_mm) in enumerate(zip(self._atlases, self._landmarks_mm, strict=True)):
            if cancelled():
                raise DetectionCancelled
            progress(index / len(self._atlases), f"Registering atlas {index + 1} of {len(self._atlases)}")
            try:
                estimates.append(carried(atlas, landmarks_mm, target, self._inference))
            except RuntimeError:  # which is how SimpleITK says that it could not
                estimates.append(np.full_like(landmarks_mm, np.nan))
        positions = self._fused(np.array(estimates))
        return Located(positions, spread(np.array(estimates), positions))

    def _fused(self, estimates: FloatArray) -> FloatArray:
        """Medians (n, 3) of the estimates (atlases, n, 3) that are there.

        Raises:
            LandmarkDetectionError: if they are too few.
        """
        is_there = ~np.isnan(estimates).any(-1)
        if is_there.sum(0).min() < FEWEST_ESTIMATES:
            message = (
                f"The model {self.card.name} could not lay its atlases upon this volume; choose one that shows what its"
                " atlases show, or another model."
            )
            raise LandmarkDetectionError(message)
        by_landmark = zip(estimates.swapaxes(0, 1), is_there.T, strict=True)
        return np.array([geometric_median(found[there]) for found, there in by_landmark])


def atlas_voxels(canonical: CanonicalVolume) -> NDArray[np.uint8]:
    """The voxels [k, j, i] of a volume as its model registers and keeps them: 0 to 255 over the intensity window."""
    voxels, window = windowed_bytes(canonical)
    return mean_pooled(voxels, 1, window, Grid.of(canonical).dimension)
