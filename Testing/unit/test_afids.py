"""Fiducials of templates, carried over to scans: registration follows a known bending, none is tested on itself."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from afids_moved_templates import MovedTemplate, expert_placed, moved, random_motion, random_motions, table
from afids_registration import Brain, Template, carried_affinely, carried_bent
from afids_start import RECIPE, first_weights, turned_shapes
from afids_truth import HELD_OUT, LabelledCase, bent_copies, fiducials, readable, write_dataset
from blob_dataset import LABELS, blob_case, write_blob_dataset
from scipy.ndimage import gaussian_filter

from LandmarkDetectionLib.detectors.locnet_scales import MultiscaleLocNetSettings
from LandmarkDetectionLib.files.case import Case
from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.files.markups import write_markups
from LandmarkDetectionLib.geometry import apply_affine
from LandmarkDetectionLib.landmarks import LandmarkDefinition, LandmarkSet
from LandmarkDetectionLib.models.bundle import ModelBundle
from LandmarkDetectionLib.models.record import parse_record, record_to_json
from LandmarkDetectionLib.planes import PlaneDefinition, standard_plane
from LandmarkDetectionLib.training.cases import TrainingCase
from LandmarkDetectionLib.training.displacement_field import DisplacementField

SIDE, SPACING_MM = 48, 2.0
AVERAGE = {  # of MNI152NLin2009bAsym, in RAS millimetres, which the AC-PC plane needs
    "Anterior commissure": (-0.2, 2.7, -4.9),
    "Posterior commissure": (0.0, -25.0, -2.2),
    "Right superior lateral mesencephalic sulcus": (13.3, -26.0, -9.7),
    "Left superior lateral mesencephalic sulcus": (-13.6, -26.4, -9.7),
    "Right mammillary body": (2.0, -8.2, -15.0),
    "Left mammillary body": (-2.2, -8.2, -15.0),
    "Right lateral ventricle at the anterior commissure": (15.2, 5.6, 24.9),
    "Left lateral ventricle at the anterior commissure": (-15.8, 5.5, 25.1),
    "Right lateral ventricle at the posterior commissure": (18.7, -22.1, 28.0),
    "Left lateral ventricle at the posterior commissure": (-18.5, -22.2, 28.2),
    "Right anterolateral temporal horn": (34.0, -4.1, -27.4),
    "Left anterolateral temporal horn": (-34.8, -6.6, -25.3),
    "Right superior anteromedial temporal horn": (17.4, -10.1, -18.3),
    "Left superior anteromedial temporal horn": (-18.1, -11.0, -18.4),
    "Right olfactory sulcal fundus": (11.9, 18.5, -12.4),
    "Left olfactory sulcal fundus": (-13.4, 17.0, -13.1),
}


@pytest.fixture(scope="module")
def blobs(tmp_path_factory) -> Dataset:
    """Volumes of three blobs."""
    return Dataset.load(write_blob_dataset(tmp_path_factory.mktemp("blobs") / "data"))


def image_of(voxels) -> sitk.Image:
    image = sitk.GetImageFromArray(voxels.astype(np.float32))
    image.SetSpacing([SPACING_MM] * 3)
    return image


def test_landmarks_follow_a_bending_that_no_affine_map_knows_and_another_contrast():
    random = np.random.default_rng(0)
    texture = gaussian_filter(random.normal(size=(SIDE, SIDE, SIDE)), 2.5)
    k, j, i = np.indices(texture.shape) - (SIDE - 1) / 2
    is_brain = (i / 20) ** 2 + (j / 22) ** 2 + (k / 18) ** 2 < 1
    voxels = np.where(is_brain, 120 + 40 * texture / texture.std(), 0.0).clip(0, 255)
    landmarks_mm = np.array([[48.0, 48, 48], [36, 60, 50], [60, 40, 40], [50, 30, 60], [40, 50, 36]])
    template = Template(image_of(voxels), np.eye(4), image_of(is_brain), landmarks_mm)
    field = DisplacementField.random([SIDE * SPACING_MM] * 3, 3.0, 48.0, random)
    bent = field.bent(voxels.astype(np.float32), [SPACING_MM] * 3)
    brain = Brain(image_of(255 * (bent / 255) ** 1.5), np.eye(4))
    truth_mm = field.carried(landmarks_mm)
    affine, demons = (
        np.linalg.norm(carry(template, brain) - truth_mm, axis=1).mean() for carry in (carried_affinely, carried_bent)
    )
    assert affine > 1.5
    assert demons < 0.7
    assert demons < affine / 3


def test_the_truth_is_the_median_of_the_templates_and_owes_nothing_to_those_left_out():
    estimates = {"a": np.zeros((2, 3)), "b": np.zeros((2, 3)), "astray": np.full((2, 3), 50.0)}
    scan = LabelledCase("train", "someone", blob_case(0)[0], estimates)
    np.testing.assert_allclose(scan.truth(()), 0.0, atol=0.01)
    changed = replace(scan, landmarks_ras={**estimates, "astray": np.full((2, 3), 900.0)})
    np.testing.assert_array_equal(scan.truth({"astray"}), changed.truth({"astray"}))
    silent = replace(scan, landmarks_ras={"a": np.array([[1.0, 1, 1], [np.nan] * 3]), "b": np.full((2, 3), 3.0)})
    np.testing.assert_allclose(silent.truth(())[1], 3.0)
    copy = replace(scan, landmarks_ras={"a": np.ones((2, 3))})
    np.testing.assert_allclose(copy.truth({"b"}), 1.0)
    assert copy.truth({"a", "b"}) is None


def test_a_dataset_without_a_template_lacks_its_copies_and_keeps_kin_together(tmp_path, blobs):
    case = replace(blobs.cases[0], name="MNI152NLin2009bAsym_1mm")
    other = replace(blobs.cases[1], name="Colin27_1mm")
    cases = [*bent_copies(case, blobs), *bent_copies(other, blobs)]
    description = replace(blobs, definitions=readable(blobs_described(blobs)))
    write_dataset(tmp_path / "data", cases, description, without={other.name})
    written = Dataset.load(tmp_path / "data")
    assert {one.subject for one in written.cases} == {"MNI152NLin2009"}
    assert {name: len(names) for name, names in written.splits.items()} == {"train": 8, "validation": 1}
    assert written.labels == ("the bright one", "the middle one", "the dim one")
    copy = written.cases[0]
    np.testing.assert_allclose(copy.read_landmarks().to_array(), cases[0].truth(()), atol=1e-3)


def blobs_described(blobs: Dataset) -> Dataset:
    """With a description that says what each label is, as the pack has."""
    definitions = tuple(LandmarkDefinition(label, f"the {label} one") for label in LABELS)
    return replace(blobs, definitions=definitions)


def test_landmarks_of_bent_copies_are_bent_with_the_image_and_no_two_copies_are_alike(blobs):
    copies = list(bent_copies(blobs.cases[0], blobs))
    shapes = []
    for copy in copies[:4]:
        volume, (bright, *_) = copy.volume, copy.truth(())
        smooth = gaussian_filter(volume.voxels.astype(float), 1.0)
        brightest = np.array(np.unravel_index(smooth.argmax(), smooth.shape))[::-1]
        assert np.linalg.norm(apply_affine(volume.ijk_to_ras, brightest) - bright) < 3.0
        shapes.append(np.linalg.norm(np.diff(copy.truth(()), axis=0), axis=1))
    assert np.ptp(shapes, axis=0).min() > 0.1
    again = next(iter(bent_copies(blobs.cases[0], blobs)))
    np.testing.assert_array_equal(copies[0].volume.voxels, again.volume.voxels)


def test_only_the_fiducials_of_colin_are_raised(tmp_path):
    file = tmp_path / "points.mrk.json"
    write_markups(LandmarkSet({"AFID01": (1.0, 2.0, 3.0)}), file)
    for name, height in (("Colin27_1mm", 5.0), ("MNI152NLin2009bAsym_1mm", 3.0)):
        np.testing.assert_allclose(fiducials(Case(name, None, file))["AFID01"], (1.0, 2.0, height), atol=1e-6)


def test_motions_stay_within_their_limits_and_use_them():
    generator = np.random.default_rng(0)
    centre = np.array([10.0, -20.0, 30.0])
    motions = [random_motion(centre, generator) for _ in range(300)]
    shifts = np.array([apply_affine(motion, centre) - centre for motion in motions])
    assert 29 < np.abs(shifts).max() <= 30
    sizes = np.array([np.cbrt(np.linalg.det(motion[:3, :3])) for motion in motions])
    assert 0.9 <= sizes.min() < 0.91
    assert 1.09 < sizes.max() <= 1.1
    turns = np.array([motion[:3, :3] / size for motion, size in zip(motions, sizes, strict=True)])
    np.testing.assert_allclose(turns @ turns.swapaxes(1, 2), np.broadcast_to(np.eye(3), turns.shape), atol=1e-9)
    # About the first axis alone the angle is what the last two columns tell.
    about_x_deg = np.rad2deg(np.arctan2(-turns[:, 1, 2], turns[:, 2, 2]))
    assert 28 < np.abs(about_x_deg).max() <= 30.0001


def test_moved_templates_are_always_the_same_and_their_truth_moves_along(blobs):
    upright = expert_placed(blobs.cases[0], blobs_described(blobs))
    first, second = random_motions(upright, 2)
    (again,) = random_motions(upright, 1)
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, second)
    turned = moved(upright, first, "turned")
    np.testing.assert_allclose(turned.volume.ijk_to_ras, first @ upright.volume.ijk_to_ras)
    truth = apply_affine(first, blobs.cases[0].read_landmarks().to_array(LABELS))
    np.testing.assert_allclose(turned.landmarks.to_array(["the bright one", "the middle one", "the dim one"]), truth)


def test_the_table_shows_both_truths_where_they_differ(blobs):
    definitions = tuple(LandmarkDefinition(f"AFID{number:02}") for number in (1, 2, 29))
    volume, landmarks = blob_case(0)
    truth = landmarks.to_array()
    upwards = np.array([0.0, 0.0, 1.0])
    affine = truth + np.outer([2.0, 2.0, 20.0], upwards)
    found = {"ours": truth + upwards, "affine": affine, "affine, upright": truth}
    average = MovedTemplate("average", TrainingCase("average_1", volume, landmarks), truth, found)
    raised = MovedTemplate("colin", TrainingCase("colin_1", volume, landmarks), truth - 2 * upwards, found)
    lines = table([average, raised], replace(blobs, definitions=definitions)).splitlines()[2:]
    cells = {tuple(line.strip("| ").split(" | ")[:2]): line.strip("| ").split(" | ")[2:] for line in lines}
    assert cells["average", "ours"] == ["1.00", "1.00", "1.00", "1.00", "1.00", "1.00"]
    assert cells["average", "affine"] == ["2.00", "2.00", "8.00", "2.00", "2.00", "20.00"]
    assert ("average, Colin27 raised", "ours") not in cells
    assert cells["colin", "ours"][0] == "3.00"
    assert cells["colin, Colin27 raised", "ours"][0] == "1.00"
    assert cells["all", "ours"][0] == "2.00"


def test_every_template_is_held_out_once():
    held_out = [name for names in HELD_OUT.values() for name in names]
    assert len(held_out) == len(set(held_out)) == 4


def test_a_start_keeps_all_but_the_last_layers_of_the_scales_it_has(tiny_card):
    settings = MultiscaleLocNetSettings(pooling=(4, 2, 1), crop_size=8, widths=(4, 8), heatmap="softmax")
    torch.manual_seed(0)
    known = settings.networks(3, 2).state_dict()
    of_known = replace(tiny_card, network=record_to_json(settings))
    card = replace(tiny_card, network=record_to_json(replace(settings, pooling=(4, 1))))
    weights = first_weights(ModelBundle(of_known, dict(known), folder=None, weights_sha256=""), card)
    assert set(weights) == {name for name in known if name[0] in "01"}
    for name, value in weights.items():
        if ".output." in name:
            assert len(value) == len(card.landmarks) == 3
        else:
            torch.testing.assert_close(value, known[name.replace("1.", "2.", 1) if name[0] == "1" else name])


def test_turned_shapes_keep_all_distances_and_point_elsewhere():
    shape_mm = np.array([[5.0, 1, 2], [20, 8, 1], [3, 4, 50]])
    turned = turned_shapes([shape_mm], 45.0)
    sides = [np.linalg.norm(one - np.roll(one, 1, axis=0), axis=1) for one in turned]
    np.testing.assert_allclose(sides, np.broadcast_to(sides[0], (len(turned), 3)))
    np.testing.assert_allclose(sides[0], np.linalg.norm(shape_mm - np.roll(shape_mm, 1, axis=0), axis=1))
    assert np.ptp(turned, axis=0).max() > 10


def test_the_ac_pc_plane_holds_both_commissures_and_is_level():
    card = json.loads(RECIPE.read_text(encoding="utf-8"))["card"]
    planes = {one["name"]: parse_record(PlaneDefinition, one, "recipe") for one in card["planes"]}
    plane = standard_plane(planes["AC-PC"], LandmarkSet(AVERAGE))
    for label in ("Anterior commissure", "Posterior commissure"):
        assert abs((np.array(AVERAGE[label]) - plane.origin_ras) @ plane.normal) < 0.3
    assert abs(plane.normal[0]) < np.sin(np.radians(2))
    assert plane.normal[2] > 0.9
    assert plane.x_axis[0] < -0.99, "the patient's right is to the left of the picture"
    assert planes["Mid-sagittal"].axis == (("Anterior commissure",), ("Posterior commissure",))
