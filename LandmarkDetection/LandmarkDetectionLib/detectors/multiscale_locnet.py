"""Multi-scale Loc-Net: shift-equivariant networks from coarse to fine, with noise before the last [Ma 2020]."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from ..errors import LandmarkDetectionError
from ..models.bundle import ModelBundle
from ..models.record import parse_record
from ..preprocessing import CanonicalVolume
from .base import CancelledCallback, Detector, Located, ProgressCallback
from .ellipse_outline import EllipseOutline
from .grid import Grid
from .locnet_scales import MultiscaleLocNetSettings, scale_images
from .locnet_search import LocNetSearch, MultiscaleLocNetInference, Sightings
from .weights import loaded_network, without_normalisation
from .windowed_image import windowed_bytes


class MultiscaleLocNetDetector(Detector):
    """Multi-scale Loc-Net: the mean over noisy passes of the last scale is the result, their spread its covariance.

    With a single scale, the paper's baseline, it is the heatmaps' centre of mass, and their spread. The coarser scales
    are not noisy, so that all passes reuse what they found [Ma 2020, sections 2 and 3]. The paper knows no absent
    landmarks; with softmax heatmaps, one is present as far as the most doubtful scale sees it.
    """

    inference_settings = MultiscaleLocNetInference

    def __init__(self, bundle: ModelBundle, device: torch.device) -> None:
        super().__init__(bundle, device)
        where = f"model {bundle.card.name}"
        settings = parse_record(MultiscaleLocNetSettings, bundle.card.network, f"{where}: network")
        inference = parse_record(MultiscaleLocNetInference, bundle.card.inference, f"{where}: inference")
        if inference.prior_rounds and bundle.card.shape_model is None:
            message = f"{where}: it has no shape model to weigh what it sees by; set prior_rounds to 0."
            raise LandmarkDetectionError(message)
        weights = without_normalisation(bundle)
        architecture = dataclasses.replace(settings, is_normalised=False)
        self._outline = settings.outline(bundle.card)
        points = settings.outline_points or len(bundle.card.landmarks)
        networks = loaded_network(
            weights,
            lambda: architecture.networks(bundle.card.dimension, points),
            prefix="",
            device=device,
            memory_format=torch.channels_last if bundle.card.dimension == 2 else torch.channels_last_3d,
        )
        self._search = LocNetSearch(networks, settings, inference, bundle.card.shape_model)

    def _locate(
        self,
        canonical: CanonicalVolume,
        progress: ProgressCallback,
        cancelled: CancelledCallback,
        generator: np.random.Generator,
    ) -> Located:
        grid = Grid.of(canonical)
        progress(0.0, "Averaging voxels")
        voxels, window = windowed_bytes(canonical)
        scales = scale_images(voxels[None], self._search.settings.pooling, grid.dimension, window)
        found = self._search.run(
            [scale.to(self.device) for scale in scales],
            grid.spacing_mm[: grid.dimension][::-1],
            generator,
            progress=progress,
            cancelled=cancelled,
        )
        if self._outline is not None:
            found = _landmarks_of(self._outline, found)
        path_mm = grid.frame_from_voxels(found.path)
        knows_nowhere = self._search.settings.heatmap == "softmax"
        return Located(
            path_mm[-1],
            grid.frame_covariances(found.covariances),
            path_mm,
            found.presence_logits.min(0) if knows_nowhere else None,
        )


def _landmarks_of(outline: EllipseOutline, found: Sightings) -> Sightings:
    """The landmarks of the ellipses whose outlines were found, each as present as the points are on average.

    And as uncertain, where there are no passes that could tell.
    """
    logits = found.presence_logits.mean(1, keepdims=True).repeat(outline.landmark_count, 1)
    spreads = found.spreads
    if spreads is not None:
        spreads = spreads.mean(0, keepdims=True).repeat(outline.landmark_count, 0)
    return Sightings(outline.landmarks(found.passes), outline.landmarks(found.path), logits, spreads)
