"""Multi-scale Loc-Net: shift-equivariant networks from coarse to fine, with noise before the last [Ma 2020]."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import LandmarkDetectionError
from ..models.bundle import ModelBundle
from ..models.record import parse_record
from ..networks.layers import channels_last
from ..preprocessing import CanonicalVolume
from .base import CancelledCallback, Detector, Located, ProgressCallback
from .ellipse_outline import EllipseOutline
from .grid import Grid
from .locnet_scales import MultiscaleLocNetSettings, scale_images
from .locnet_search import LocNetSearch, MultiscaleLocNetInference, Sightings, together
from .weights import TEMPLATE, loaded_network, without_normalisation
from .windowed_image import windowed_bytes

_MEMBER = re.compile(r"member\.(\d+)\.(.+)")
"""Names of the tensors of the members after the first, whose own names are those of its network."""


def with_members(bundle: ModelBundle, others: Sequence[ModelBundle]) -> ModelBundle:
    """A bundle whose first member is its own network, and the others those of bundles of the same card but for them."""
    tensors = dict(bundle.tensors)
    for number, other in enumerate(others, 1):
        tensors |= {f"member.{number}.{name}": tensor for name, tensor in other.tensors.items() if name != TEMPLATE}
    return dataclasses.replace(bundle, tensors=tensors)


class MultiscaleLocNetDetector(Detector):
    """Multi-scale Loc-Net: the mean over noisy passes of the last scale is the result, their spread its covariance.

    With a single scale, the paper's baseline, it is the heatmaps' centre of mass, and their spread. The coarser scales
    are not noisy, so that all passes reuse what they found [Ma 2020, sections 2 and 3]. The paper knows no absent
    landmarks; with softmax heatmaps, one is present as far as the most doubtful scale sees it. A bundle may hold more
    members than one, networks that were trained apart: all look for themselves, and their passes are taken together.
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
        architecture = dataclasses.replace(settings, is_normalised=False)
        self._settings, self._outline = settings, settings.outline(bundle.card)
        points = settings.outline_points or len(bundle.card.landmarks)
        members = [
            loaded_network(
                without_normalisation(member),
                lambda: architecture.networks(bundle.card.dimension, points),
                prefix="",
                device=device,
                memory_format=channels_last(bundle.card.dimension),
            )
            for member in _members(bundle)
        ]
        self._searches = [LocNetSearch(member, settings, inference, bundle.card.shape_model) for member in members]

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
        scales = scale_images(voxels[None], self._settings.pooling, grid.dimension, window)
        on_device = [scale.to(self.device) for scale in scales]
        count = len(self._searches)
        found = together(
            [
                search.run(
                    on_device,
                    grid.spacing_mm[: grid.dimension][::-1],
                    generator,
                    progress=lambda done, text, number=number: progress((number + done) / count, text),
                    cancelled=cancelled,
                )
                for number, search in enumerate(self._searches)
            ]
        )
        if self._outline is not None:
            found = _landmarks_of(self._outline, found)
        path_mm = grid.frame_from_voxels(found.path)
        knows_nowhere = self._settings.heatmap == "softmax"
        return Located(
            path_mm[-1],
            grid.frame_covariances(found.covariances),
            path_mm,
            found.presence_logits.min(0) if knows_nowhere else None,
        )


def _members(bundle: ModelBundle) -> list[ModelBundle]:
    """Each member's tensors, under the names of its network."""
    members: dict[int, dict[str, Tensor]] = {0: {}}
    for name, tensor in bundle.tensors.items():
        found = _MEMBER.fullmatch(name)
        number, own_name = (int(found[1]), found[2]) if found else (0, name)
        members.setdefault(number, {})[own_name] = tensor
    return [dataclasses.replace(bundle, tensors=members[number]) for number in sorted(members)]


def _landmarks_of(outline: EllipseOutline, found: Sightings) -> Sightings:
    """The landmarks of the ellipses whose outlines were found, each as present as the points are on average.

    And as uncertain, where there are no passes that could tell.
    """
    logits = found.presence_logits.mean(1, keepdims=True).repeat(outline.landmark_count, 1)
    spreads = found.spreads
    if spreads is not None:
        spreads = spreads.mean(0, keepdims=True).repeat(outline.landmark_count, 0)
    return Sightings(outline.landmarks(found.passes), outline.landmarks(found.path), logits, spreads)
