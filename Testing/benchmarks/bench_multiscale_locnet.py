"""The multi-scale Loc-Net at the paper's size: what a detection costs beyond its networks, and its noisy passes."""

from __future__ import annotations

import os
import statistics
import sys

import numpy as np
import torch
from measuring import (
    CPU,
    LayerCall,
    Target,
    Timed,
    detection_memory_mb,
    for_each,
    in_fresh_process,
    layer_calls,
    moved_by_bfloat16_mm,
    print_times,
    random_bundle,
    recorded_inputs,
    speed_target,
    targets_met,
    timed_in_turn,
)
from torch import Tensor
from torch.nn import functional

from LandmarkDetectionLib.detectors.base import Detector
from LandmarkDetectionLib.detectors.locnet_scales import MultiscaleLocNetSettings, scale_images
from LandmarkDetectionLib.detectors.precision import has_bfloat16, network_dtype
from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.detectors.windowed_image import windowed_bytes
from LandmarkDetectionLib.landmarks import LandmarkDefinition
from LandmarkDetectionLib.models.bundle import ModelBundle
from LandmarkDetectionLib.models.card import FieldOfView
from LandmarkDetectionLib.networks.locnet import centre_of_mass, initialise_locnet
from LandmarkDetectionLib.preprocessing import CanonicalVolume, Preprocessing, canonical_volume
from LandmarkDetectionLib.volume import Volume

SIDE, SPACING_MM, PASSES = 448, 0.5, 50
ROUNDS, LONG_ROUNDS = 7, 2
SETTINGS = MultiscaleLocNetSettings()

MOST_DETECTION_PER_NETWORKS = 1.5
MOST_PASSES_PER_PASS = 53 / 4
MOST_SHARED_PER_PASSES = 0.5

ONE_PASS = "whole detection, one pass"
NETWORKS = "four bare network calls"
LAYERS = "  their layers, timed alone"
FRAME = "bringing the volume into the frame"
BYTES = "making bytes of it"
SCALES = "averaging them to four scales"
STRAIGHT = "a straightforward pass, in floats"
ALL_PASSES = f"whole detection, {PASSES} noisy passes"
SHARED = "  all from one heatmap"


def scan() -> Volume:
    """Smooth noise of the paper's size and spacing, in Hounsfield units, made without a larger copy."""
    profiles = torch.rand((3, 1, 20), generator=torch.Generator().manual_seed(0)) * 500 - 333
    k, j, i = functional.interpolate(profiles, SIDE, mode="linear").numpy().astype(np.int16)[:, 0]
    voxels = np.ascontiguousarray(k[:, None, None] + j[:, None] + i)
    return Volume(voxels, np.diag([SPACING_MM] * 3 + [1.0]), "scan")


def paper_size_bundle(passes: int, last_scale: str = "separate") -> ModelBundle:
    """The published networks with random weights, in memory."""
    torch.manual_seed(0)
    networks = SETTINGS.networks(3, 1)
    for network in networks:
        initialise_locnet(network, 1000)
    return random_bundle(
        "multiscale-locnet",
        networks.state_dict(),
        landmarks=(LandmarkDefinition("bifurcation"),),
        preprocessing=Preprocessing("RAS", (SPACING_MM,) * 3),
        network={},
        inference={"passes": passes, "last_scale": last_scale},
        field_of_view_mm=FieldOfView((200.0,) * 3, (250.0,) * 3),
    )


def straightforward_pass(detector: Detector, canonical: CanonicalVolume) -> Tensor:
    """The published pass written plainly: the volume in floats, pooled by torch, crops sampled at every voxel."""
    low, high = canonical.window
    image = ((torch.from_numpy(canonical.voxels).float() - low) / (high - low)).clamp(0.0, 1.0)[None, None]
    position = torch.zeros(3)
    for network, factor in zip(detector._search.networks, SETTINGS.pooling, strict=True):
        pooled = functional.avg_pool3d(image, factor)
        centre = (position - (factor - 1) / 2) / factor
        if factor == SETTINGS.pooling[0]:
            crop, first = pooled, torch.zeros(3)
        else:
            first = centre - (SETTINGS.crop_size - 1) / 2
            axes = [(start + torch.arange(SETTINGS.crop_size)) for start in first]
            points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flip(-1) * 2.0 / (pooled.shape[-1] - 1) - 1.0
            crop = functional.grid_sample(pooled, points[None], align_corners=True)
        heatmap = network.weights(network(crop.to(network.dtype)))
        position = (centre_of_mass(heatmap)[0, 0] + first) * factor + (factor - 1) / 2
    return position


def timed_parts(volume: Volume) -> tuple[dict[str, Timed], dict[str, float]]:
    """Time a single pass and its parts; also the GFLOP of its networks."""
    detector = load_detector(paper_size_bundle(passes=0), "cpu")
    networks = detector._search.networks
    inputs = recorded_inputs(detector, [network.encoder[0] for network in networks], volume)
    assert len(inputs) == len(networks), "one call a scale"
    layers = [call for network, given in zip(networks, inputs, strict=True) for call in layer_calls(network, given)]
    preprocessing = detector.card.preprocessing
    canonical = canonical_volume(volume, preprocessing)
    voxels, window = windowed_bytes(canonical)
    things = {
        ONE_PASS: lambda: detector.detect(volume),
        NETWORKS: lambda: [network(given) for network, given in zip(networks, inputs, strict=True)],
        LAYERS: for_each(LayerCall.__call__, layers),
        FRAME: lambda: canonical_volume(volume, preprocessing),
        BYTES: lambda: windowed_bytes(canonical),
        SCALES: lambda: scale_images(voxels[None], SETTINGS.pooling, 3, window),
        STRAIGHT: lambda: straightforward_pass(detector, canonical),
    }
    gflop = sum(layer.gflop for layer in layers)
    return timed_in_turn(things, ROUNDS), dict.fromkeys((ONE_PASS, NETWORKS, LAYERS), gflop)


def timed_passes(volume: Volume) -> dict[str, Timed]:
    """Time the noisy passes beside a single one."""
    detectors = {
        ONE_PASS: load_detector(paper_size_bundle(passes=0), "cpu"),
        ALL_PASSES: load_detector(paper_size_bundle(PASSES), "cpu"),
        SHARED: load_detector(paper_size_bundle(PASSES, "shared"), "cpu"),
    }
    things = {name: (lambda detector=detector: detector.detect(volume)) for name, detector in detectors.items()}
    return timed_in_turn(things, LONG_ROUNDS)


def error_of_sharing(volume: Volume) -> str:
    """How far the mean of the passes moves, and how much their spread changes, if they share a heatmap."""
    (separate,), (shared,) = (
        load_detector(paper_size_bundle(PASSES, last_scale), "cpu").detect(volume).landmarks
        for last_scale in ("separate", "shared")
    )
    moved_mm = float(np.linalg.norm(separate.position_ras - shared.position_ras))
    spreads_mm = [float(np.sqrt(np.trace(mark.covariance_ras))) for mark in (separate, shared)]
    return f"{moved_mm:.3f} mm; the passes scatter by {spreads_mm[1]:.3f} instead of {spreads_mm[0]:.3f} mm"


def peak_memory_mb(passes: int) -> tuple[float, float]:
    """The most memory of this process before and after it detects."""
    return detection_memory_mb(load_detector(paper_size_bundle(passes), "cpu"), scan())


def targets(parts: dict[str, Timed], passes: dict[str, Timed]) -> list[Target]:
    """Judged by the least times."""
    part = {name: timed.least for name, timed in parts.items()}
    whole = {name: timed.least for name, timed in passes.items()}
    most_shared = MOST_SHARED_PER_PASSES * MOST_PASSES_PER_PASS
    return [
        Target("one pass / bare network calls", part[ONE_PASS] / part[NETWORKS], MOST_DETECTION_PER_NETWORKS, True),
        speed_target("the networks / their layers", parts[NETWORKS], parts[LAYERS]),
        Target("noisy passes / one pass", whole[ALL_PASSES] / whole[ONE_PASS], MOST_PASSES_PER_PASS, True),
        Target("passes that share a heatmap / one pass", whole[SHARED] / whole[ONE_PASS], most_shared, True),
        Target("  / separate noisy passes", whole[SHARED] / whole[ALL_PASSES], MOST_SHARED_PER_PASSES, True),
    ]


def main() -> int:
    """Print what was measured; 1 if a target is missed."""
    memory_mb = {passes: in_fresh_process(peak_memory_mb, passes) for passes in (0, PASSES)}
    volume = scan()
    with torch.inference_mode():
        parts, gflop = timed_parts(volume)
    passes = timed_passes(volume)
    print(
        f"multi-scale Loc-Net: one landmark, {'x'.join(map(str, volume.size))} voxels ({volume.voxels.dtype}) of "
        f"{SPACING_MM} mm, {network_dtype(CPU)}, {torch.get_num_threads()} threads, "
        f"load average {os.getloadavg()[0]:.1f}, {ROUNDS} and {LONG_ROUNDS} rounds"
    )
    a_pass = gflop[NETWORKS] / len(SETTINGS.pooling)
    later = {name: timed for name, timed in passes.items() if name != ONE_PASS}
    print_times(parts | later, gflop | {ALL_PASSES: gflop[NETWORKS] + (PASSES - 1) * a_pass})
    all_met = targets_met(targets(parts, passes))
    for count, (before_mb, most_mb) in memory_mb.items():
        text = f"peak memory, {f'{count} noisy passes' if count else 'one pass'}"
        print(f"{text:42}{most_mb:6.0f} MB, of which {before_mb:.0f} MB before the detection")
    print(f"{'moved by sharing a heatmap, random weights':42} {error_of_sharing(volume)}")
    if has_bfloat16(CPU):
        moved_mm = statistics.mean(moved_by_bfloat16_mm(paper_size_bundle(passes=0), volume))
        print(f"{'moved by bf16, random weights':42}   {moved_mm:.3f} mm")
    return 0 if all_met else 1


if __name__ == "__main__":
    sys.exit(main())
