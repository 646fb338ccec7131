"""Landmark agents taught by deep Q-learning, which walk to the landmarks in steps from coarse to fine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import DetectionCancelled
from ..geometry import FloatArray
from ..models.bundle import ModelBundle
from ..models.record import FieldError, parse_record
from ..networks.layers import channels_last
from ..preprocessing import CanonicalVolume
from .base import CancelledCallback, Detector, Located, ProgressCallback
from .boxes import nearest_voxels
from .drl_walk import DRLNetworkSettings, Walk, views
from .grid import Grid
from .several_estimates import spread, with_ends_matched
from .weights import do_not_fit, loaded_network
from .windowed_image import as_network_input, image_tensor

NETWORK_PREFIX = "agents."
START, REACH = "start_mm", "start_reach_mm"
"""Tensors (n, 3): agents start from boxes about the first in frame millimetres, whose half sides are the second."""


@dataclass(frozen=True)
class DRLInference:
    """The `inference` object of a landmark agents' model card.

    Attributes:
        starts: places from which each agent walks, the middle of all and random ones; at least 2.
        most_steps: after which a walk ends, settled or not.
    """

    starts: int = 5
    most_steps: int = 200

    def __post_init__(self) -> None:
        if self.starts < 2:
            name, problem = "starts", "must be at least 2, to tell how sure the agents are"
            raise FieldError(name, problem)
        if self.most_steps < 1:
            name, problem = "most_steps", "must be above zero"
            raise FieldError(name, problem)


class DRLDetector(Detector):
    """The mean of where an agent's walks end is its landmark; their spread, and the grid's, its covariance.

    As the authors' code has it: multi-scale agents with a head each on common convolutions, which do not talk to each
    other otherwise [Alansary 2019; Vlontzos 2019; github.com/gml16/rl-medical]. They know no absent landmarks: one is
    present as far as it lies inside the image.
    """

    inference_settings = DRLInference

    def __init__(self, bundle: ModelBundle, device: torch.device) -> None:
        super().__init__(bundle, device)
        card, where = bundle.card, f"model {bundle.card.name}"
        self._settings = parse_record(DRLNetworkSettings, card.network, f"{where}: network")
        self._inference = parse_record(DRLInference, card.inference, f"{where}: inference")
        agents = len(card.landmarks)
        if any(name not in bundle.tensors or bundle.tensors[name].shape != (agents, 3) for name in (START, REACH)):
            raise do_not_fit(bundle)
        self._start_mm, self._reach_mm = (bundle.tensors[name].double().numpy() for name in (START, REACH))
        self._pairs = [tuple(map(card.labels.index, pair)) for pair in card.interchangeable]
        self._network = loaded_network(
            bundle,
            lambda: self._settings.network(card.dimension, agents),
            prefix=NETWORK_PREFIX,
            device=device,
            memory_format=channels_last(card.dimension),
        )

    def _locate(
        self,
        canonical: CanonicalVolume,
        progress: ProgressCallback,
        cancelled: CancelledCallback,
        generator: np.random.Generator,
    ) -> Located:
        grid = Grid.of(canonical)
        image, window = image_tensor(canonical, self.device)
        voxels = torch.from_numpy(grid.voxels_from_frame(self._starts_mm(generator)).copy())
        sides = list(image.shape[2:])
        walk = Walk(nearest_voxels(voxels, sides).to(self.device), sides, self._settings)
        images = image[0].expand(self._inference.starts, *sides)
        path = [walk.positions]
        with torch.inference_mode():
            while len(path) <= self._inference.most_steps and not walk.has_ended.all():
                if cancelled():
                    raise DetectionCancelled
                progress(len(path) / (self._inference.most_steps + 1), "The agents walk")
                values = self._values(images, walk, window)
                walk.go(values, values.argmax(-1))
                path.append(walk.positions)
        paths_mm = grid.frame_from_voxels(torch.stack(path).cpu().double().numpy())
        paths_mm = with_ends_matched(paths_mm, self._pairs)
        mean = paths_mm[-1].mean(0)
        return Located(mean, spread(paths_mm[-1], mean) + self._rounding_mm2(grid), paths_mm.mean(1))

    def _starts_mm(self, generator: np.random.Generator) -> FloatArray:
        """Frame positions (starts, n, 3), the first in the middle."""
        random = generator.uniform(-1.0, 1.0, (self._inference.starts - 1, *self._start_mm.shape))
        return np.concatenate([self._start_mm[None], self._start_mm + random * self._reach_mm])

    def _values(self, images: Tensor, walk: Walk, window: tuple[int, int]) -> Tensor:
        seen = views(images, walk.frames, walk.scales, self._settings)
        return self._network(as_network_input(seen, window))

    def _rounding_mm2(self, grid: Grid) -> FloatArray:
        """Variance (3, 3) of what lies anywhere between two of the finest steps."""
        step = np.eye(grid.dimension) * self._settings.steps[-1] ** 2 / 12.0
        return grid.frame_covariances(step)
