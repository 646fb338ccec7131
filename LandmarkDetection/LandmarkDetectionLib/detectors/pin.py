"""Patch-based iterative network: all landmarks in a shape space, or each by a network of its own [Li 2018]."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import LandmarkDetectionError
from ..geometry import FloatArray, apply_affine
from ..landmarks import LandmarkSet
from ..models.bundle import ModelBundle
from ..models.record import parse_record
from ..networks.pin import PINNetwork
from ..preprocessing import CanonicalVolume
from ..shape_model import ShapeModel
from ..volume import Volume
from .base import CancelledCallback, Detector, Located, ProgressCallback
from .pin_search import PatchImage, PINInference, PINNetworkSettings, PINSearch
from .several_estimates import spread
from .weights import do_not_fit, loaded_network

DEVIATION = "standard_deviation_mm"
"""PIN-single's tensor, one a landmark, that says how far from the frame's origin its landmark is looked for."""


class PINDetector(Detector):
    """PIN-multiple: one network moves all landmarks together in the space of the shape model's modes.

    Starts from the mean shape and random shapes; the mean of the final shapes is the result, their spread its
    covariance [Li 2018, section 2, "Multiple Landmarks Localisation"].
    """

    inference_settings = PINInference

    def __init__(self, bundle: ModelBundle, device: torch.device) -> None:
        super().__init__(bundle, device)
        settings, inference = _parse_settings(bundle)
        shape_model = bundle.card.shape_model
        if shape_model is None:
            message = f"The model {bundle.card.name} lacks the shape model that its method needs; get its bundle again."
            raise LandmarkDetectionError(message)
        network = _load_network(bundle, settings, shape_model, prefix="", device=device)
        labels = bundle.card.labels
        pairs = [(labels.index(first), labels.index(second)) for first, second in bundle.card.interchangeable]
        self._search = PINSearch(network, shape_model, settings, inference, pairs)

    def _locate(
        self,
        canonical: CanonicalVolume,
        progress: ProgressCallback,
        cancelled: CancelledCallback,
        generator: np.random.Generator,
    ) -> Located:
        search = self._search
        image = PatchImage(canonical, search.settings.patch_size, self.device)
        starts = random_shapes(search.shape_model, search.inference, generator)
        finals, path = search.run(
            image, starts, progress=lambda done: progress(done, "Moving the landmarks"), cancelled=cancelled
        )
        mean = finals.mean(0)
        return Located(mean, spread(finals, mean), path)

    def shape_space_error_mm(self, volume: Volume, landmarks: LandmarkSet) -> NDArray[np.float64]:
        """Distance (n,) of the truth from its nearest shape in the truncated shape space; NaN where it is missing."""
        canonical = self._canonical(volume)
        labels = [definition.label for definition in self.card.landmarks]
        truth_ras = landmarks.to_array(labels)
        model = self._search.shape_model
        shape = model.reconstruct(model.project(apply_affine(np.linalg.inv(canonical.frame_to_ras), truth_ras)))
        return np.linalg.norm(apply_affine(canonical.frame_to_ras, shape) - truth_ras, axis=1)


class PINSingleDetector(Detector):
    """PIN-single: a network for each landmark, from 19 starting points [Li 2018, section 2, "PIN Inference"]."""

    inference_settings = PINInference

    def __init__(self, bundle: ModelBundle, device: torch.device) -> None:
        super().__init__(bundle, device)
        settings, inference = _parse_settings(bundle)
        self._searches = []
        for index in range(len(bundle.card.landmarks)):
            deviation_mm = bundle.tensors.get(f"{index}.{DEVIATION}")
            if deviation_mm is None or deviation_mm.numel() != 1:
                raise do_not_fit(bundle)
            free_point = ShapeModel.free_point(float(deviation_mm))
            network = _load_network(bundle, settings, free_point, prefix=f"{index}.", device=device)
            self._searches.append(PINSearch(network, free_point, settings, inference))

    def _locate(
        self,
        canonical: CanonicalVolume,
        progress: ProgressCallback,
        cancelled: CancelledCallback,
        generator: np.random.Generator,  # noqa: ARG002 - the published starting points are fixed
    ) -> Located:
        starts = grid_of_starts(canonical, self.card.dimension)
        image = PatchImage(canonical, self._searches[0].settings.patch_size, self.device)
        positions, covariances, paths = [], [], []
        for index, (search, definition) in enumerate(zip(self._searches, self.card.landmarks, strict=True)):

            def report(done: float, index: int = index, label: str = definition.label) -> None:
                progress((index + done) / len(self._searches), f"Looking for {label}")

            finals, path = search.run(image, starts, progress=report, cancelled=cancelled)
            positions.append(finals.mean(0))
            covariances.append(spread(finals, positions[-1]))
            paths.append(path)
        return Located(np.concatenate(positions), np.concatenate(covariances), _joined(paths))


def random_shapes(model: ShapeModel, inference: PINInference, generator: np.random.Generator) -> FloatArray:
    """Starting mode weights (1 + random, modes): the mean shape, then shapes uniform in a range of deviations."""
    uniform = generator.uniform(-1.0, 1.0, (inference.random_initialisations, model.modes))
    random = uniform * inference.initial_range_sd * model.standard_deviations_mm
    return np.concatenate([np.zeros((1, model.modes)), random])


def grid_of_starts(canonical: CanonicalVolume, dimension: int) -> FloatArray:
    """Starting positions (19, 3) in 3D, (9, 3) in 2D: the centre and points a quarter of the size away from it.

    The paper says no more than "18 others"; taken here as the 6 face and 12 edge neighbours of the centre.
    """
    steps = np.array(list(itertools.product((0, -1, 1), repeat=3)), dtype=np.float64)
    steps = steps[np.abs(steps).sum(1) <= 2]
    if dimension == 2:
        steps = steps[steps[:, 2] == 0]
    centre = (np.array(canonical.voxels.shape[::-1]) - 1) / 2 - canonical.origin_ijk
    return centre * canonical.spacing_mm + steps * canonical.size_mm / 4


def patches_per_landmark(dimension: int) -> int:
    """Three orthogonal planes in a volume, the picture itself in 2D."""
    return 3 if dimension == 3 else 1


def _parse_settings(bundle: ModelBundle) -> tuple[PINNetworkSettings, PINInference]:
    where = f"model {bundle.card.name}"
    settings = parse_record(PINNetworkSettings, bundle.card.network, f"{where}: network")
    return settings, parse_record(PINInference, bundle.card.inference, f"{where}: inference")


def _load_network(
    bundle: ModelBundle, settings: PINNetworkSettings, model: ShapeModel, prefix: str, device: torch.device
) -> PINNetwork:
    channels = model.landmarks * patches_per_landmark(bundle.card.dimension)

    def build() -> PINNetwork:
        return PINNetwork(channels, model.modes, settings.widths, settings.hidden)

    weights = {name: tensor for name, tensor in bundle.tensors.items() if not name.endswith(DEVIATION)}
    return loaded_network(dataclasses.replace(bundle, tensors=weights), build, prefix, device, torch.channels_last)


def _joined(paths: list[FloatArray]) -> FloatArray:
    """Paths (steps, 1, 3) of single landmarks as one (steps, n, 3); a search that ended early stays where it ended."""
    steps = max(len(path) for path in paths)
    return np.concatenate([np.pad(path, ((0, steps - len(path)), (0, 0), (0, 0)), "edge") for path in paths], axis=1)
