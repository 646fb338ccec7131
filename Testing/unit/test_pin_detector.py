"""The PIN detectors average their starts, tell how far these scatter, and refuse what they cannot use."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from LandmarkDetectionLib.detectors.pin import grid_of_starts, random_shapes
from LandmarkDetectionLib.detectors.pin_search import PINInference
from LandmarkDetectionLib.detectors.registry import load_detector, resolve_device
from LandmarkDetectionLib.errors import DetectionCancelled, LandmarkDetectionError
from LandmarkDetectionLib.geometry import apply_affine
from LandmarkDetectionLib.landmarks import Detection, LandmarkSet
from LandmarkDetectionLib.models.bundle import ModelBundle
from LandmarkDetectionLib.models.card import ModelCard
from LandmarkDetectionLib.networks.pin import PINNetwork
from LandmarkDetectionLib.preprocessing import CanonicalVolume, canonical_volume
from LandmarkDetectionLib.shape_model import ShapeModel
from LandmarkDetectionLib.volume import Volume

LABELS = ("A", "B")
SHAPE_MODEL = ShapeModel(
    mean=[-4.0, 0.0, 0.0, 4.0, 0.0, 0.0], eigenvectors=np.eye(6)[[0, 4, 5]], eigenvalues=[9.0, 4.0, 1.0]
)
NETWORK = {"patch_size": 5, "widths": [2], "hidden": 2}


def card(method="pin", dimension=3, inference=None, **changes) -> ModelCard:
    content = {
        "format_version": 1,
        "name": "constant",
        "version": "1.0",
        "method": method,
        "modality": "any",
        "anatomy": "any",
        "dimension": dimension,
        "description": "Moves every start by the same amount.",
        "landmarks": [{"label": label} for label in LABELS],
        "preprocessing": {"orientation": "RAS" if dimension == 3 else "LPS", "spacing_mm": [1.0, 1.0, 1.0]},
        "network": NETWORK,
        "inference": {"rule": "B", "iterations": 1, **(inference or {})},
        "field_of_view_mm": {"minimum": [20.0, 20.0, 1.0], "maximum": [30.0, 30.0, 30.0]},
        "rotation_range_deg": 0.0,
        "training": {"data": "none", "cases": 0, "licence": "CC0-1.0", "preset": "none"},
        "licence": "CC0-1.0",
        "citation": "nobody",
        "limitations": "Finds nothing.",
        **changes,
    }
    return dataclasses.replace(ModelCard.from_json(content), shape_model=SHAPE_MODEL if method == "pin" else None)


def constant_network(channels: int, displacement: list[float]) -> dict[str, torch.Tensor]:
    """Weights of a network whose displacement is the same whatever it sees."""
    network = PINNetwork(channels, len(displacement), NETWORK["widths"], NETWORK["hidden"])
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    network.displacement[-1].bias.data = torch.tensor(displacement)
    return {name: value.half() for name, value in network.state_dict().items()}


def pin_bundle(displacement=(0.0, 0.0, 0.0), dimension=3, **changes) -> ModelBundle:
    channels = len(LABELS) * (3 if dimension == 3 else 1)
    return ModelBundle(
        card("pin", dimension, **changes), constant_network(channels, list(displacement)), None, "0" * 64
    )


def single_bundle(displacements, dimension=3, **changes) -> ModelBundle:
    tensors = {}
    for index, displacement in enumerate(displacements):
        weights = constant_network(3 if dimension == 3 else 1, displacement)
        tensors |= {f"{index}.{name}": value for name, value in weights.items()}
        tensors[f"{index}.standard_deviation_mm"] = torch.tensor(4.0)
    return ModelBundle(card("pin-single", dimension, **changes), tensors, None, "0" * 64)


def volume(size=(24, 24, 24), ijk_to_ras=None) -> Volume:
    voxels = np.random.default_rng(0).integers(0, 100, size[::-1]).astype(np.int16)
    return Volume(voxels, np.eye(4) if ijk_to_ras is None else ijk_to_ras, "noise")


def picture() -> Volume:
    return volume((24, 22, 1), np.diag([-1.0, -1.0, 1.0, 1.0]))


def expected_finals(image, bundle, starts_mm, displacement_mm):
    """RAS positions (starts, n, 3) after one step of a constant displacement from the nearest voxels."""
    canonical = canonical_volume(image, bundle.card.preprocessing)
    ijk = np.round(starts_mm / canonical.spacing_mm + canonical.origin_ijk)
    ijk = np.clip(ijk, 0, np.array(canonical.voxels.shape[::-1]) - 1)
    finals_mm = (ijk - canonical.origin_ijk) * canonical.spacing_mm + displacement_mm
    return apply_affine(canonical.frame_to_ras, finals_mm)


def positions(detection: Detection):
    return np.array([mark.position_ras for mark in detection.landmarks])


def covariances(detection: Detection):
    return np.array([mark.covariance_ras for mark in detection.landmarks])


def test_result_is_the_mean_over_the_starts_and_their_covariance():
    bundle = pin_bundle((1.0, -2.0, 0.5))
    detection = load_detector(bundle, "cpu").detect(volume(), seed=3)
    weights = random_shapes(SHAPE_MODEL, PINInference(), np.random.default_rng(3))
    starts_mm = np.array([SHAPE_MODEL.reconstruct(one) for one in weights])
    assert len(starts_mm) == 6
    # The shape space holds the x of A and the y and z of B alone; the other coordinates stay those of the mean.
    moved = expected_finals(volume(), bundle, starts_mm, [[1.0, 0.0, 0.0], [0.0, -2.0, 0.5]])
    still = apply_affine(canonical_volume(volume(), bundle.card.preprocessing).frame_to_ras, starts_mm)
    finals = np.where([[[1, 0, 0], [0, 1, 1]]], moved, still)
    np.testing.assert_allclose(positions(detection), finals.mean(0), atol=1e-4)
    for index in range(2):
        np.testing.assert_allclose(covariances(detection)[index], np.cov(finals[:, index].T), atol=1e-4)
    np.testing.assert_allclose(detection.path_ras[0], still.mean(0), atol=1e-4)
    np.testing.assert_allclose(detection.path_ras[1], finals.mean(0), atol=1e-4)


def test_first_start_is_the_mean_shape_and_the_others_lie_within_the_range():
    inference = PINInference(random_initialisations=200, initial_range_sd=2.0)
    starts = random_shapes(SHAPE_MODEL, inference, np.random.default_rng(0))
    np.testing.assert_array_equal(starts[0], np.zeros(3))
    in_deviations = starts[1:] / SHAPE_MODEL.standard_deviations_mm
    assert np.abs(in_deviations).max() <= 2.0
    assert np.all(in_deviations.max(0) > 1.8)
    assert np.all(in_deviations.min(0) < -1.8)


def test_published_number_of_starts_is_six():
    assert random_shapes(SHAPE_MODEL, PINInference(), np.random.default_rng(0)).shape == (6, 3)


def test_without_random_starts_nothing_scatters():
    detection = load_detector(pin_bundle(inference={"random_initialisations": 0}), "cpu").detect(volume())
    np.testing.assert_array_equal(covariances(detection), np.zeros((2, 3, 3)))


def test_same_seed_gives_the_same_result_and_another_seed_another():
    detector = load_detector(pin_bundle((0.5, 0.25, -1.0)), "cpu")
    first, again, other = (detector.detect(volume(), seed=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(positions(first), positions(again))
    np.testing.assert_array_equal(covariances(first), covariances(again))
    assert not np.array_equal(positions(first), positions(other))
    assert (first.seed, other.seed) == (7, 8)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_detection_leaves_the_volume_as_it_was(dtype):
    image = Volume(volume().voxels.astype(dtype), np.eye(4))
    before = image.voxels.copy()
    load_detector(pin_bundle((1.0, 1.0, 1.0)), "cpu").detect(image)
    np.testing.assert_array_equal(image.voxels, before)


def canonical(size, origin_ijk):
    spacing_mm = np.array([2.0, 1.0, 0.5])
    return CanonicalVolume(np.zeros(size[::-1], np.uint8), spacing_mm, np.array(origin_ijk), np.eye(4), (0.0, 1.0))


def test_single_landmarks_start_at_the_centre_and_18_points_a_quarter_of_the_size_around_it():
    starts = grid_of_starts(canonical((41, 41, 41), (20.0, 20.0, 20.0)), 3)
    assert starts.shape == (19, 3)
    steps = starts / (np.array([2.0, 1.0, 0.5]) * 41 / 4)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)
    counts = np.abs(steps).sum(1).round().astype(int)
    assert sorted(counts) == [0] + [1] * 6 + [2] * 12
    assert np.abs(steps).max() == 1.0
    assert len(np.unique(steps.round(), axis=0)) == 19


def test_single_landmarks_of_a_picture_start_at_nine_points_in_its_plane():
    starts = grid_of_starts(canonical((41, 21, 1), (20.0, 10.0, 0.0)), 2)
    x, y = 2.0 * 41 / 4, 21 / 4
    expected = [(i * x, j * y, 0.0) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    np.testing.assert_allclose(starts[np.lexsort(starts.T[::-1])], expected, atol=1e-9)


def test_grid_of_starts_is_centred_on_the_volume_not_on_the_frame():
    starts = grid_of_starts(canonical((41, 41, 41), (0.0, 5.0, 40.0)), 3)
    np.testing.assert_allclose(starts.mean(0), [20 * 2.0, 15 * 1.0, -20 * 0.5])


def test_each_single_landmark_follows_its_own_network():
    displacements = [[2.0, 0.0, 0.0], [0.0, -3.0, 1.0]]
    bundle = single_bundle(displacements)
    image = volume((25, 25, 25))
    detection = load_detector(bundle, "cpu").detect(image)
    starts = grid_of_starts(canonical_volume(image, bundle.card.preprocessing), 3)
    for mark, displacement in zip(detection.landmarks, displacements, strict=True):
        finals = expected_finals(image, bundle, starts, displacement)
        np.testing.assert_allclose(mark.position_ras, finals.mean(0), atol=1e-4)
        np.testing.assert_allclose(mark.covariance_ras, np.cov(finals.T), rtol=1e-4, atol=1e-4)


def test_paths_of_single_landmarks_that_end_early_wait_for_the_others():
    bundle = single_bundle([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]], inference={"iterations": 5})
    path = load_detector(bundle, "cpu").detect(volume()).path_ras
    assert path.shape == (6, 2, 3)
    np.testing.assert_array_equal(path[2:, 0], np.broadcast_to(path[2, 0], (4, 3)))


def test_single_landmarks_of_pictures_are_found_in_their_plane():
    bundle = single_bundle([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dimension=2)
    detection = load_detector(bundle, "cpu").detect(picture())
    np.testing.assert_allclose(positions(detection)[:, 2], 0.0, atol=1e-6)


def test_order_of_the_stored_axes_changes_neither_position_nor_covariance():
    detector = load_detector(
        pin_bundle((1.0, -2.0, 0.5), preprocessing={"orientation": "RAS", "spacing_mm": [1.0] * 3})
    )
    as_it_is = detector.detect(volume())
    stored_otherwise = detector.detect(volume().reoriented("PIL"))
    np.testing.assert_allclose(positions(stored_otherwise), positions(as_it_is), atol=1e-4)
    np.testing.assert_allclose(covariances(stored_otherwise), covariances(as_it_is), atol=1e-4)


def test_covariance_is_expressed_along_the_axes_of_the_patient():
    as_ras = load_detector(pin_bundle()).detect(volume())
    frame = {"orientation": "PIR", "spacing_mm": [1.0, 1.0, 1.0]}
    as_pir = load_detector(pin_bundle(preprocessing=frame)).detect(volume())
    assert covariances(as_ras)[0][0, 0] > 0.1, "A scatters along the first axis of the frame, R"
    assert covariances(as_pir)[0][1, 1] > 0.1, "which is P there"
    assert covariances(as_pir)[0][0, 0] == pytest.approx(0.0)


def test_landmark_that_ends_outside_of_the_volume_is_flagged_missing():
    detection = load_detector(single_bundle([[0.0, 0.0, 0.0], [60.0, 0.0, 0.0]])).detect(volume())
    inside, outside = detection.landmarks
    assert (inside.missing, outside.missing) == (False, True)
    assert inside.presence > 0.95
    assert outside.presence < 1e-6
    assert np.isfinite(outside.position_ras).all()
    assert detection.landmark_set["B"] is None


def test_detection_says_which_model_found_it_and_where_it_ran():
    detection = load_detector(pin_bundle(), "cpu").detect(volume())
    assert (detection.model_name, detection.model_version) == ("constant", "1.0")
    assert (detection.weights_sha256, detection.device) == ("0" * 64, "cpu")
    assert detection.labels == LABELS
    assert detection.seconds > 0
    assert detection.notes == ()


def test_calibrated_radius_comes_from_the_card():
    bundle = pin_bundle(calibration={"radius90_mm": {"A": 2.5}, "cases": 9, "method": "split conformal"})
    detection = load_detector(bundle, "cpu").detect(volume())
    assert (detection["A"].radius90_mm, detection["B"].radius90_mm) == (2.5, None)


def test_unusual_field_of_view_is_noted():
    note = load_detector(pin_bundle(), "cpu").detect(volume((40, 24, 24))).notes
    assert note == (
        "The field of view of 40 x 24 x 24 mm is unlike the 20 x 20 x 1 to 30 x 30 x 30 mm that constant was trained "
        "on: check the result with care.",
    )


def test_progress_runs_from_nothing_to_all():
    reports = []
    bundle = single_bundle([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], inference={"iterations": 3})
    load_detector(bundle, "cpu").detect(volume(), progress=lambda done, text: reports.append((done, text)))
    fractions = [done for done, _ in reports]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert {text for _, text in reports} == {"Preparing the volume", "Looking for A", "Looking for B", "Done"}


@pytest.mark.parametrize("questions", [1, 2, 4])
def test_detection_stops_soon_after_it_is_cancelled(questions):
    asked = []

    def cancelled():
        asked.append(None)
        return len(asked) == questions

    bundle = pin_bundle((1.0, 0.0, 0.0), inference={"iterations": 50, "tolerance_mm": -1.0})
    with pytest.raises(DetectionCancelled):
        load_detector(bundle, "cpu").detect(volume(), cancelled=cancelled)
    assert len(asked) == questions


def test_shape_space_error_is_what_the_space_cannot_express():
    detector = load_detector(pin_bundle(), "cpu")
    frame = canonical_volume(volume(), detector.card.preprocessing).frame_to_ras
    shape = SHAPE_MODEL.mean.reshape(2, 3) + np.array([[5.0, 3.0, 4.0], [0.0, 1.0, 1.0]])
    truth = LandmarkSet.from_array(LABELS, apply_affine(frame, shape))
    np.testing.assert_allclose(detector.shape_space_error_mm(volume(), truth), [5.0, 0.0], atol=1e-6)
    only_a = LandmarkSet({"A": truth["A"], "B": None})
    error_mm = detector.shape_space_error_mm(volume(), only_a)
    assert np.isnan(error_mm[1])
    assert error_mm[0] >= 5.0
    assert load_detector(single_bundle([[0.0] * 3] * 2)).shape_space_error_mm(volume(), truth) is None


def test_options_replace_settings_of_the_card():
    bundle = pin_bundle((1.0, 0.0, 0.0))
    options = {"iterations": "4", "rule": "B", "tolerance_mm": "-1", "random_initialisations": "0"}
    detection = load_detector(bundle, "cpu", options).detect(volume())
    assert len(detection.path_ras) == 5
    assert bundle.card.inference["iterations"] == 1


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ({"rule": "D"}, "rule must be 'A' or 'B' or 'C'"),
        ({"iterations": "many"}, "iterations must be a whole number"),
        ({"iterations": "-1"}, "iterations must not be negative"),
        ({"steps": "3"}, "steps is not a known field; known are: rule, confidence, random_initialisations, "),
    ],
)
def test_options_that_do_not_exist_are_refused(option, complaint):
    with pytest.raises(LandmarkDetectionError, match=complaint):
        load_detector(pin_bundle(), "cpu", option)


@pytest.mark.parametrize(("dimension", "image"), [(2, volume()), (3, picture())])
def test_image_of_the_wrong_dimension_is_refused(dimension, image):
    with pytest.raises(LandmarkDetectionError, match=r"works on .* choose another model or image"):
        load_detector(pin_bundle(dimension=dimension), "cpu").detect(image)


def test_method_of_a_later_version_is_refused():
    bundle = ModelBundle(card("telepathy"), {}, None, "")
    with pytest.raises(LandmarkDetectionError, match="uses the method telepathy, which this version lacks"):
        load_detector(bundle)


def test_model_without_its_shape_model_is_refused():
    bundle = pin_bundle()
    bundle = dataclasses.replace(bundle, card=dataclasses.replace(bundle.card, shape_model=None))
    with pytest.raises(LandmarkDetectionError, match="lacks the shape model"):
        load_detector(bundle)


@pytest.mark.parametrize("wrong", ["too wide", "lacking", "huge", "of one landmark", "without its deviation"])
def test_weights_that_do_not_fit_the_card_are_refused(wrong):
    bundle = pin_bundle()
    if wrong == "too wide":
        bundle = pin_bundle(network={**NETWORK, "hidden": 3})
    elif wrong == "lacking":
        del bundle.tensors["direction.6.bias"]
    elif wrong == "huge":
        bundle = pin_bundle(network={**NETWORK, "hidden": 2**30, "widths": [2**20]})
    elif wrong == "of one landmark":
        bundle = single_bundle([[0.0, 0.0, 0.0]])
    else:
        bundle = single_bundle([[0.0] * 3] * 2)
        del bundle.tensors["1.standard_deviation_mm"]
    with pytest.raises(LandmarkDetectionError, match="do not fit its card; get its bundle again"):
        load_detector(bundle)


def test_network_settings_that_make_no_sense_are_refused():
    with pytest.raises(LandmarkDetectionError, match="model constant: network"):
        load_detector(pin_bundle(network={**NETWORK, "patch_size": 50}))


def test_automatic_device_is_one_that_works():
    device = resolve_device("auto")
    assert torch.ones(1, device=device).item() == 1.0


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, absent in (
            ("cuda", not torch.cuda.is_available()),
            ("mps", not torch.backends.mps.is_available()),
            ("tpu", True),
        )
        if absent
    ],
)
def test_absent_device_is_refused_by_name(name):
    with pytest.raises(LandmarkDetectionError, match=f'There is no device "{name}" here; choose auto or one of: .*cpu'):
        resolve_device(name)
