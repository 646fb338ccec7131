"""The cascade at the paper's size: what a detection costs beyond its networks, and these beyond their layers."""

from __future__ import annotations

import dataclasses
import itertools
import sys

import numpy as np
import torch
from measuring import (
    CPU,
    NETWORKS,
    WHOLE,
    LayerCall,
    Target,
    Timed,
    detection_memory_mb,
    for_each,
    in_fresh_process,
    layer_calls,
    noise,
    print_measured,
    random_bundle,
    recorded_inputs,
    speed_target,
    timed_in_turn,
    whole_target,
)
from torch import nn

from LandmarkDetectionLib.detectors.cascade import CascadeDetector, CascadeNetworkSettings, PatchSource
from LandmarkDetectionLib.detectors.grid import Grid
from LandmarkDetectionLib.detectors.heatmap_decoding import find_peaks
from LandmarkDetectionLib.detectors.precision import has_bfloat16, network_dtype
from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.detectors.windowed_image import windowed_bytes
from LandmarkDetectionLib.landmarks import LandmarkDefinition
from LandmarkDetectionLib.models.bundle import ModelBundle
from LandmarkDetectionLib.models.card import FieldOfView
from LandmarkDetectionLib.networks.cascade import CascadeNetwork
from LandmarkDetectionLib.preprocessing import Preprocessing, canonical_volume
from LandmarkDetectionLib.volume import Volume

LANDMARKS = 5
SIDE, SPACING_MM = 128, 1.6
ROUNDS = 7

MOST_DETECTION_PER_NETWORKS = 1.2

COARSE, COARSE_LAYERS = "  the first stage", "    its layers, timed alone"
LOCAL, LOCAL_LAYERS = "  the second stage, one after the other", "    their layers, timed alone"
GROUPED = "    as groups of one network"
FRAME = "bringing the volume into the frame"
DECODING = "finding the peaks of the heatmaps"
PATCHES = "cutting the patches"


def paper_size_bundle() -> ModelBundle:
    """Networks of the paper's layers with random weights, in memory; the first stage sees every voxel."""
    torch.manual_seed(0)
    settings = CascadeNetworkSettings(pooling=1)
    networks = CascadeNetwork(
        settings.coarse_network(3, LANDMARKS), [settings.local_network(3) for _ in range(LANDMARKS)]
    )
    return random_bundle(
        "cascade",
        networks.state_dict(),
        landmarks=tuple(LandmarkDefinition(f"L{index}") for index in range(LANDMARKS)),
        preprocessing=Preprocessing("RAS", (SPACING_MM,) * 3),
        network=dataclasses.asdict(settings),
        field_of_view_mm=FieldOfView((100.0,) * 3, (300.0,) * 3),
    )


def networks_of(detector: CascadeDetector) -> tuple[nn.Module, ...]:
    """The first stage, and each network of the second."""
    return detector.coarse, *detector.local


def as_groups(settings: CascadeNetworkSettings) -> nn.Module:
    """The convolutions of the second stage's networks as one network with a group for each."""
    widths = [LANDMARKS * width for width in (1, *settings.local_widths)]
    blocks = [
        layer
        for before, after in itertools.pairwise(widths)
        for layer in (nn.Conv3d(before, after, 3, padding=1, groups=LANDMARKS), nn.MaxPool3d(2), nn.ReLU())
    ]
    return nn.Sequential(*blocks).to(network_dtype(CPU), memory_format=torch.channels_last_3d).eval()


def timed_parts(volume: Volume) -> tuple[dict[str, Timed], dict[str, float]]:
    """Time a detection and its parts; also the GFLOP of the networks."""
    bundle = paper_size_bundle()
    detector = load_detector(bundle, "cpu")
    image, *patches = recorded_inputs(detector, networks_of(detector), volume)
    calls = list(zip(detector.local, patches, strict=True))
    layers = layer_calls(detector.coarse, image)
    local_layers = [layer for network, patch in calls for layer in layer_calls(network, patch)]
    canonical = canonical_volume(volume, bundle.card.preprocessing)
    heatmaps, grid = detector.coarse(image)[0], Grid.of(canonical)
    voxels, window = windowed_bytes(canonical)
    positions_mm = np.zeros((LANDMARKS, 3))
    groups, channels = as_groups(detector.settings), torch.cat(patches, dim=1)
    things = {
        WHOLE: lambda: detector.detect(volume),
        NETWORKS: lambda: (detector.coarse(image), [network(patch) for network, patch in calls]),
        COARSE: lambda: detector.coarse(image),
        COARSE_LAYERS: for_each(LayerCall.__call__, layers),
        LOCAL: lambda: [network(patch) for network, patch in calls],
        LOCAL_LAYERS: for_each(LayerCall.__call__, local_layers),
        GROUPED: lambda: groups(channels),
        FRAME: lambda: windowed_bytes(canonical_volume(volume, bundle.card.preprocessing)),
        DECODING: lambda: find_peaks(heatmaps[:-1], sub_voxel=True),
        PATCHES: lambda: PatchSource(voxels, window, detector.settings.patch_size, grid, CPU).around(positions_mm),
    }
    gflop, local_gflop = (sum(layer.gflop for layer in calls) for calls in (layers, local_layers))
    by_name = dict.fromkeys((WHOLE, NETWORKS), gflop + local_gflop) | dict.fromkeys((COARSE, COARSE_LAYERS), gflop)
    return timed_in_turn(things, ROUNDS), by_name | dict.fromkeys((LOCAL, LOCAL_LAYERS, GROUPED), local_gflop)


def peak_memory_mb(volume: Volume) -> tuple[float, float]:
    """The most memory of this process before and after it detects."""
    return detection_memory_mb(load_detector(paper_size_bundle(), "cpu"), volume)


def effect_of_bfloat16(volume: Volume) -> tuple[float, float]:
    """Largest error of the heat, as a share of its range, and of a displacement, as a share of its length.

    Not of the positions: heatmaps of random weights have no peaks that stand out.
    """
    detector = load_detector(paper_size_bundle(), "cpu")
    image, *patches = recorded_inputs(detector, networks_of(detector), volume)
    settings = detector.settings
    exact = [settings.coarse_network(3, LANDMARKS), *[settings.local_network(3) for _ in range(LANDMARKS)]]
    answers = []
    for reduced, full, given in zip(networks_of(detector), exact, (image, *patches), strict=True):
        full.load_state_dict(reduced.state_dict())
        answers.append((reduced(given).float(), full(given.float())))
    heat, exact_heat = answers[0]
    share = (heat - exact_heat).abs().max() / (exact_heat.max() - exact_heat.min())
    return share.item(), max(((one - other).norm() / other.norm()).item() for one, other in answers[1:])


def targets(times: dict[str, Timed]) -> list[Target]:
    """Of the whole, and of both stages."""
    return [
        whole_target(times, MOST_DETECTION_PER_NETWORKS),
        speed_target("the first stage / its layers", times[COARSE], times[COARSE_LAYERS]),
        speed_target("the second stage / its layers", times[LOCAL], times[LOCAL_LAYERS]),
    ]


def main() -> int:
    """Print what was measured; 1 if a target is missed."""
    volume = noise([SIDE] * 3, SPACING_MM)
    memory_mb = in_fresh_process(peak_memory_mb, volume)
    with torch.inference_mode():
        times, gflop = timed_parts(volume)
    patch = "x".join([str(CascadeNetworkSettings().patch_size)] * 3)
    title = (
        f"cascade: {'x'.join(map(str, volume.size))} voxels ({volume.voxels.dtype}) + {LANDMARKS} patches of {patch}"
    )
    all_met = print_measured(title, ROUNDS, times, gflop, targets=targets(times), memory_mb=memory_mb)
    if has_bfloat16(CPU):
        with torch.inference_mode():
            heat, displacement = effect_of_bfloat16(volume)
        print(
            f"{'bf16 against float32, random weights':42}   at most {heat:.2%} of the heat, {displacement:.2%} of a way"
        )
    return 0 if all_met else 1


if __name__ == "__main__":
    sys.exit(main())
