"""Global-to-local at the paper's size: what a detection costs beyond its networks, and these beyond their layers."""

from __future__ import annotations

import os
import statistics
import sys

import numpy as np
import torch
from measuring import (
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
    targets_met,
    timed_in_turn,
)
from torch import Tensor, nn

from LandmarkDetectionLib.detectors.global_to_local import (
    GLOBAL_PREFIX,
    GlobalToLocalDetector,
    GlobalToLocalNetworkSettings,
    local_prefix,
)
from LandmarkDetectionLib.detectors.precision import has_bfloat16, network_dtype
from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.landmarks import LandmarkDefinition
from LandmarkDetectionLib.models.bundle import ModelBundle
from LandmarkDetectionLib.models.card import FieldOfView
from LandmarkDetectionLib.networks.grouping import separated
from LandmarkDetectionLib.preprocessing import Preprocessing, canonical_volume
from LandmarkDetectionLib.volume import Volume

LANDMARKS = 8
SPACING_MM, SIZE_MM = 1.5, (200.0, 200.0, 120.0)
ROUNDS = 9
CPU = torch.device("cpu")

MOST_DETECTION_PER_NETWORKS = 1.3
LEAST_NETWORK_PER_LAYERS = 0.6

WHOLE = "whole detection"
NETWORKS = "bare network calls"
GLOBAL, GLOBAL_LAYERS = "  the global one", "    its layers, timed alone"
NORMALISED = "    with batch normalisation not folded"
LOCAL, LOCAL_LAYERS = "  the 8 local ones, as groups of one", "    their layers, timed alone"
LOCAL_LOOP = "    one after the other"
FRAME = "bringing the volume into the frame"


def scan() -> Volume:
    """Smooth noise of the paper's size and spacing, in Hounsfield units."""
    size = [round(side / SPACING_MM) for side in SIZE_MM]
    coarse = torch.rand((1, 1, 8, 8, 8), generator=torch.Generator().manual_seed(0))
    voxels = torch.nn.functional.interpolate(coarse, size[::-1], mode="trilinear")[0, 0] * 1500 - 1000
    return Volume(voxels.numpy().astype(np.int16), np.diag([SPACING_MM] * 3 + [1.0]), "scan")


def paper_size_bundle() -> ModelBundle:
    """The published networks with random weights, in memory."""
    torch.manual_seed(0)
    settings = GlobalToLocalNetworkSettings()
    whole, local = (
        after_one_look(build(3, LANDMARKS, is_normalised=True), torch.rand(1, channels, 32, 32, 32))
        for build, channels in ((settings.global_network, 1), (settings.local_network, LANDMARKS))
    )
    parts = {GLOBAL_PREFIX: whole}
    parts |= {local_prefix(index): tensors for index, tensors in enumerate(separated(local, LANDMARKS))}
    tensors = {f"{prefix}{name}": value for prefix, part in parts.items() for name, value in part.items()}
    return random_bundle(
        "global-to-local",
        tensors,
        landmarks=tuple(LandmarkDefinition(f"L{index}") for index in range(LANDMARKS)),
        preprocessing=Preprocessing("RAS", (SPACING_MM,) * 3),
        network={},
        field_of_view_mm=FieldOfView((100.0, 100.0, 60.0), (300.0, 300.0, 200.0)),
    )


def after_one_look(network: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Weights whose batch normalisation has seen images, so that the signals are as strong as after training."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm3d):
            layer.momentum = 1.0
    with torch.no_grad():
        network(images)
    return network.state_dict()


def recorded_inputs(detector: GlobalToLocalDetector, volume: Volume) -> list[Tensor]:
    """What a detection gives to the global network and to the local ones."""
    given: list[Tensor] = []
    networks = (detector._global, detector._local)
    hooks = [
        network.register_forward_pre_hook(lambda _network, inputs: given.append(inputs[0])) for network in networks
    ]
    detector.detect(volume)
    for hook in hooks:
        hook.remove()
    return given


def ready(network: nn.Module) -> nn.Module:
    """As the detector has its networks."""
    return network.to(network_dtype(CPU), memory_format=torch.channels_last_3d).eval()


def timed_parts(volume: Volume) -> tuple[dict[str, Timed], dict[str, float]]:
    """Time a detection and its parts; also the GFLOP of the networks."""
    bundle = paper_size_bundle()
    detector = load_detector(bundle, "cpu")
    image, boxes = recorded_inputs(detector, volume)
    settings = GlobalToLocalNetworkSettings()
    normalised = ready(settings.global_network(3, LANDMARKS, is_normalised=True))
    single = [ready(settings.local_network(3, 1, is_normalised=False)) for _ in range(LANDMARKS)]
    layers, local_layers = layer_calls(detector._global, image), layer_calls(detector._local, boxes)
    things = {
        WHOLE: lambda: detector.detect(volume),
        NETWORKS: lambda: (detector._global(image), detector._local(boxes)),
        GLOBAL: lambda: detector._global(image),
        GLOBAL_LAYERS: for_each(LayerCall.__call__, layers),
        NORMALISED: lambda: normalised(image),
        LOCAL: lambda: detector._local(boxes),
        LOCAL_LAYERS: for_each(LayerCall.__call__, local_layers),
        LOCAL_LOOP: lambda: [network(one) for network, one in zip(single, boxes.split(1, dim=1), strict=True)],
        FRAME: lambda: canonical_volume(volume, bundle.card.preprocessing),
    }
    gflop, local_gflop = (sum(layer.gflop for layer in calls) for calls in (layers, local_layers))
    both = dict.fromkeys((WHOLE, NETWORKS), gflop + local_gflop)
    by_name = both | dict.fromkeys((GLOBAL, GLOBAL_LAYERS, NORMALISED), gflop)
    return timed_in_turn(things, ROUNDS), by_name | dict.fromkeys((LOCAL, LOCAL_LAYERS, LOCAL_LOOP), local_gflop)


def peak_memory_mb(volume: Volume) -> tuple[float, float]:
    """The most memory of this process before and after it detects."""
    return detection_memory_mb(load_detector(paper_size_bundle(), "cpu"), volume)


def targets(times: dict[str, Timed]) -> list[Target]:
    """Judged by the least times."""
    least = {name: timed.least for name, timed in times.items()}
    most, fewest = MOST_DETECTION_PER_NETWORKS, LEAST_NETWORK_PER_LAYERS
    return [
        Target("whole detection / bare network calls", least[WHOLE] / least[NETWORKS], most, True),
        Target("speed of the global network / its layers", least[GLOBAL_LAYERS] / least[GLOBAL], fewest, False, ".0%"),
        Target("speed of the local networks / their layers", least[LOCAL_LAYERS] / least[LOCAL], fewest, False, ".0%"),
    ]


def main() -> int:
    """Print what was measured; 1 if a target is missed."""
    volume = scan()
    before_mb, most_mb = in_fresh_process(peak_memory_mb, volume)
    with torch.inference_mode():
        times, gflop = timed_parts(volume)
    print(
        f"global-to-local: {LANDMARKS} landmarks, {'x'.join(map(str, volume.size))} voxels ({volume.voxels.dtype}) of "
        f"{SPACING_MM} mm, {network_dtype(CPU)}, {torch.get_num_threads()} threads, "
        f"load average {os.getloadavg()[0]:.1f}, {ROUNDS} rounds"
    )
    print_times(times, gflop)
    all_met = targets_met(targets(times))
    print(f"{'peak memory':42}{most_mb:6.0f} MB, of which {before_mb:.0f} MB before the detection")
    if has_bfloat16(CPU):
        moved_mm = moved_by_bfloat16_mm(paper_size_bundle(), volume)
        print(
            f"{'bf16 against float32, random weights':42}   "
            f"{statistics.mean(moved_mm):.3f} mm on average, {max(moved_mm):.3f} mm at most"
        )
    return 0 if all_met else 1


if __name__ == "__main__":
    sys.exit(main())
