"""PIN-multiple at the paper's size: what a detection costs beyond its network, and the network beyond its layers."""

from __future__ import annotations

import statistics
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
    moved_by_bfloat16_mm,
    print_measured,
    random_bundle,
    speed_target,
    timed_in_turn,
    whole_target,
)
from torch import Tensor

from LandmarkDetectionLib.detectors.pin import PINDetector, random_shapes
from LandmarkDetectionLib.detectors.pin_search import PatchImage
from LandmarkDetectionLib.detectors.precision import has_bfloat16, network_dtype
from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.files.images import read_volume
from LandmarkDetectionLib.geometry import direction_of, orientation_of
from LandmarkDetectionLib.models.bundle import ModelBundle, load_bundle
from LandmarkDetectionLib.models.card import FieldOfView
from LandmarkDetectionLib.models.registry import find_model, sample_image
from LandmarkDetectionLib.networks.pin import PINNetwork, initialise_for_rectifiers
from LandmarkDetectionLib.phantom import PHANTOM_LANDMARKS, generate_phantom, phantom_landmarks
from LandmarkDetectionLib.preprocessing import CanonicalVolume, Preprocessing, canonical_volume
from LandmarkDetectionLib.shape_model import ShapeModel
from LandmarkDetectionLib.volume import Volume

MODES, PATCH_SIZE, SPACING_MM = 15, 101, (0.5, 0.5, 0.5)
INITIALISATIONS, ITERATIONS = 6, 10
ROUNDS = 15
SHIPPED_MODEL, SAMPLE = "brain-t1-pin", "brain-t1"

MOST_DETECTION_PER_NETWORK = 1.4
LEAST_GATHER_PER_SLICES = 5.0

REORIENTED = "  the same, volume in another orientation"
LAYERS = "  their layers, timed alone"
FRAME = "bringing the volume into the frame"
PADDING = "padding it"
GATHER = "patch gather"
SLICES = "  one numpy slice a patch"


def paper_size_bundle(orientation: str) -> ModelBundle:
    """The published network with random weights, and a shape model of simulated heads, in memory."""
    torch.manual_seed(0)
    network = PINNetwork(3 * len(PHANTOM_LANDMARKS), MODES)
    initialise_for_rectifiers(network)
    return random_bundle(
        "pin",
        network.state_dict(),
        landmarks=PHANTOM_LANDMARKS,
        preprocessing=Preprocessing(orientation, SPACING_MM),
        network={"patch_size": PATCH_SIZE},
        # No movement is smaller than this tolerance, so that every iteration runs.
        inference={"random_initialisations": INITIALISATIONS - 1, "iterations": ITERATIONS, "tolerance_mm": -1.0},
        shape_model=shape_model_of_phantoms(orientation),
        field_of_view_mm=FieldOfView((100.0, 100.0, 100.0), (170.0, 170.0, 170.0)),
    )


def shape_model_of_phantoms(orientation: str) -> ShapeModel:
    """The first modes of simulated heads, along the axes of an orientation."""
    labels = [definition.label for definition in PHANTOM_LANDMARKS]
    heads = np.array([phantom_landmarks(seed).to_array(labels) for seed in range(100)]) @ direction_of(orientation)
    shapes = (heads - heads.mean(axis=(0, 1))).reshape(len(heads), -1)
    _, deviations, modes = np.linalg.svd(shapes - shapes.mean(0), full_matrices=False)
    return ShapeModel(shapes.mean(0), modes[:MODES], deviations[:MODES] ** 2 / (len(heads) - 1))


class RecordingImage(PatchImage):
    """Remembers the voxels that patches were cut at, and the patches."""

    def __init__(self, canonical: CanonicalVolume) -> None:
        super().__init__(canonical, PATCH_SIZE, CPU)
        self.voxels: list[Tensor] = []
        self.inputs: list[Tensor] = []

    def patches(self, voxels: Tensor) -> Tensor:
        patches = super().patches(voxels)
        self.voxels.append(voxels)
        self.inputs.append(patches)
        return patches


def recorded_search(detector: PINDetector, canonical: CanonicalVolume) -> RecordingImage:
    """All iterations of the detection with seed 0."""
    search, image = detector._search, RecordingImage(canonical)
    starts = random_shapes(search.shape_model, search.inference, np.random.default_rng(0))
    search.run(image, starts, progress=lambda _done: None, cancelled=lambda: False)
    assert len(image.inputs) == ITERATIONS
    return image


class SlicedImage:
    """The straightforward gather: for each patch one slice of a windowed volume, padded where the volume ends."""

    def __init__(self, canonical: CanonicalVolume) -> None:
        low, high = canonical.window
        self._voxels = (np.clip(canonical.voxels.astype(np.float32), low, high) - low) * np.float32(1 / (high - low))

    def patches(self, voxels: Tensor) -> Tensor:
        """What `PatchImage.patches` returns."""
        patches = [
            self._patch(centre_kji, across)
            for sample in voxels.flip(-1).tolist()
            for centre_kji in sample
            for across in (2, 1, 0)
        ]
        stacked = torch.from_numpy(np.stack(patches)).unflatten(0, (len(voxels), -1))
        return stacked.to(network_dtype(CPU)).contiguous(memory_format=torch.channels_last)

    def _patch(self, centre_kji: list[int], across: int) -> np.ndarray:
        plane = np.moveaxis(self._voxels, across, 0)[centre_kji[across]]
        centre = [position for axis, position in enumerate(centre_kji) if axis != across]
        half = PATCH_SIZE // 2
        inside = plane[tuple(slice(max(position - half, 0), position + half + 1) for position in centre)]
        beyond = [
            (max(half - position, 0), max(position + half + 1 - side, 0))
            for position, side in zip(centre, plane.shape, strict=True)
        ]
        return np.pad(inside, beyond)


def timed_parts(volume: Volume) -> tuple[dict[str, Timed], float]:
    """Time a detection and its parts; also the GFLOP of its network calls."""
    detector = load_detector(paper_size_bundle(orientation_of(volume.ijk_to_ras)), "cpu")
    reorienting = load_detector(paper_size_bundle("RAS"), "cpu")
    preprocessing, network = detector.card.preprocessing, detector._search.network
    canonical = canonical_volume(volume, preprocessing)
    recorded, sliced = recorded_search(detector, canonical), SlicedImage(canonical)
    for positions, patches in zip(recorded.voxels, recorded.inputs, strict=True):
        assert torch.equal(sliced.patches(positions), patches), "the two gathers differ"
    layers = layer_calls(network, recorded.inputs[0])
    things = {
        WHOLE: lambda: detector.detect(volume),
        REORIENTED: lambda: reorienting.detect(volume),
        NETWORKS: for_each(network, recorded.inputs),
        LAYERS: for_each(LayerCall.__call__, [layer for layer in layers for _ in range(ITERATIONS)]),
        FRAME: lambda: canonical_volume(volume, preprocessing),
        PADDING: lambda: PatchImage(canonical, PATCH_SIZE, CPU),
        GATHER: for_each(PatchImage(canonical, PATCH_SIZE, CPU).patches, recorded.voxels),
        SLICES: for_each(sliced.patches, recorded.voxels),
    }
    return timed_in_turn(things, ROUNDS), ITERATIONS * sum(layer.gflop for layer in layers)


def peak_memory_mb(volume: Volume) -> tuple[float, float]:
    """The most memory of this process before and after it detects."""
    return detection_memory_mb(load_detector(paper_size_bundle(orientation_of(volume.ijk_to_ras)), "cpu"), volume)


def effect_of_bfloat16() -> str:
    """How far reduced precision moves the landmarks of a trained model."""
    sample = sample_image(SAMPLE)
    if sample is None or not has_bfloat16(CPU):
        return f"not measured: it takes a processor with bf16 and the shipped model {SHIPPED_MODEL}"
    volume, bundle = read_volume(sample), load_bundle(find_model(SHIPPED_MODEL))
    moved_mm = moved_by_bfloat16_mm(bundle, volume)
    return f"{SHIPPED_MODEL}: {statistics.mean(moved_mm):.3f} mm on average, {max(moved_mm):.3f} mm at most"


def targets(times: dict[str, Timed]) -> list[Target]:
    """Of the whole, of its network, and of cutting the patches."""
    gather = times[SLICES].least / times[GATHER].least
    return [
        whole_target(times, MOST_DETECTION_PER_NETWORK),
        speed_target("the network / of its layers", times[NETWORKS], times[LAYERS]),
        Target("numpy slices / patch gather", gather, LEAST_GATHER_PER_SLICES, False, ".1f"),
    ]


def main() -> int:
    """Print what was measured; 1 if a target is missed."""
    volume = in_fresh_process(generate_phantom, 0).volume
    memory_mb = in_fresh_process(peak_memory_mb, volume)
    with torch.inference_mode():
        times, gflop = timed_parts(volume)
    title = (
        f"PIN-multiple: {len(PHANTOM_LANDMARKS)} landmarks, {INITIALISATIONS} starts x {ITERATIONS} iterations, "
        f"{'x'.join(map(str, volume.size))} voxels ({volume.voxels.dtype})"
    )
    gflop = dict.fromkeys((WHOLE, NETWORKS, LAYERS), gflop)
    all_met = print_measured(title, ROUNDS, times, gflop, targets=targets(times), memory_mb=memory_mb)
    print(f"{'bf16 against float32':42}   {effect_of_bfloat16()}")
    return 0 if all_met else 1


if __name__ == "__main__":
    sys.exit(main())
