"""The mean position: what a method achieves that looks at nothing in the image."""

from __future__ import annotations

import numpy as np
import torch

from ..models.bundle import ModelBundle
from ..models.record import NoSettings, parse_record
from ..preprocessing import CanonicalVolume
from .base import CancelledCallback, Detector, Located, ProgressCallback
from .weights import do_not_fit

MEAN, COVARIANCE = "mean_mm", "covariance_mm2"
"""Tensors (n, 3) and (n, 3, 3) of a bundle: mean and covariance of the training cases' positions in the frame."""


class MeanPositionDetector(Detector):
    """Every landmark lies where it lay on average in the training cases, as uncertain as it varied among them.

    In the model's frame: its origin follows the bright part of the image, and so do the positions, which is why this
    does better than the mean in the scanner's coordinates; nothing else of the image counts. A landmark is present as
    far as it lies inside the image.
    """

    inference_settings = NoSettings

    def __init__(self, bundle: ModelBundle, device: torch.device) -> None:
        super().__init__(bundle, device)
        for part, settings in (("network", bundle.card.network), ("inference", bundle.card.inference)):
            parse_record(NoSettings, settings, f"model {bundle.card.name}: {part}")
        landmarks = len(bundle.card.landmarks)
        shapes = {MEAN: (landmarks, 3), COVARIANCE: (landmarks, 3, 3)}
        if any(name not in bundle.tensors or bundle.tensors[name].shape != shape for name, shape in shapes.items()):
            raise do_not_fit(bundle)
        self._located = Located(*(bundle.tensors[name].double().numpy() for name in shapes))

    def _locate(
        self,
        canonical: CanonicalVolume,  # noqa: ARG002 - it sees no image
        progress: ProgressCallback,  # noqa: ARG002
        cancelled: CancelledCallback,  # noqa: ARG002
        generator: np.random.Generator,  # noqa: ARG002
    ) -> Located:
        return self._located
