"""Global-to-local at the paper's size: what a detection costs beyond its networks, and these beyond their layers."""

from __future__ import annotations

import statistics
import sys

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
    moved_by_bfloat16_mm,
    noise,
    print_measured,
    random_bundle,
    recorded_inputs,
    speed_target,
    timed_in_turn,
    whole_target,
)
from torch import Tensor, nn

from LandmarkDetectionLib.detectors.global_to_local import (
    GLOBAL_PREFIX,
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

MOST_DETECTION_PER_NETWORKS = 1.3

GLOBAL, GLOBAL_LAYERS = "  the global one", "    its layers, timed alone"
NORMALISED = "    with batch normalisation not folded"
LOCAL, LOCAL_LAYERS = "  the 8 local ones, as groups of one", "    their layers, timed alone"
LOCAL_LOOP = "    one after the other"
FRAME = "bringing the volume into the frame"


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


def ready(network: nn.Module) -> nn.Module:
    """As the detector has its networks."""
    return network.to(network_dtype(CPU), memory_format=torch.channels_last_3d).eval()


def timed_parts(volume: Volume) -> tuple[dict[str, Timed], dict[str, float]]:
    """Time a detection and its parts; also the GFLOP of the networks."""
    bundle = paper_size_bundle()
    detector = load_detector(bundle, "cpu")
    image, boxes = recorded_inputs(detector, (detector._global, detector._local), volume)
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
    """Of the whole, and of both kinds of networks."""
    return [
        whole_target(times, MOST_DETECTION_PER_NETWORKS),
        speed_target("the global network / its layers", times[GLOBAL], times[GLOBAL_LAYERS]),
        speed_target("the local networks / their layers", times[LOCAL], times[LOCAL_LAYERS]),
    ]


def main() -> int:
    """Print what was measured; 1 if a target is missed."""
    volume = noise([round(side / SPACING_MM) for side in SIZE_MM], SPACING_MM)
    memory_mb = in_fresh_process(peak_memory_mb, volume)
    with torch.inference_mode():
        times, gflop = timed_parts(volume)
    voxels = f"{'x'.join(map(str, volume.size))} voxels ({volume.voxels.dtype}) of {SPACING_MM} mm"
    title = f"global-to-local: {LANDMARKS} landmarks, {voxels}"
    all_met = print_measured(title, ROUNDS, times, gflop, targets=targets(times), memory_mb=memory_mb)
    if has_bfloat16(CPU):
        moved_mm = moved_by_bfloat16_mm(paper_size_bundle(), volume)
        print(
            f"{'bf16 against float32, random weights':42}   "
            f"{statistics.mean(moved_mm):.3f} mm on average, {max(moved_mm):.3f} mm at most"
        )
    return 0 if all_met else 1


if __name__ == "__main__":
    sys.exit(main())
