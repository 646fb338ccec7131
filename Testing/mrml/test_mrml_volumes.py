"""Volume nodes become volumes in the world, whatever transforms they are under, and volumes become nodes."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.mrml import add_volume, is_warped, volume_from_node
from LandmarkDetectionLib.planes import StandardPlane
from LandmarkDetectionLib.reslicing import reslice
from LandmarkDetectionLib.volume import Volume

OBLIQUE = np.array([[0.0, -0.8, 0.6, 10.0], [2.0, 0.0, 0.0, -20.0], [0.0, 0.6, 0.8, 30.0], [0.0, 0.0, 0.0, 1.0]])
QUARTER_TURN_ABOUT_S = np.array(
    [[0.0, -1.0, 0.0, 5.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
)
SHIFT = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 100.0], [0.0, 0.0, 0.0, 1.0]])


def counting_voxels(shape=(4, 5, 6)) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.int16).reshape(shape)


def transform_node(matrix, parent=None):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    slicer.util.updateTransformMatrixFromArray(node, matrix)
    if parent is not None:
        node.SetAndObserveTransformNodeID(parent.GetID())
    return node


def test_a_volume_node_keeps_its_voxels_geometry_and_name(scene):
    node = slicer.util.addVolumeFromArray(counting_voxels(), ijkToRAS=OBLIQUE, name="head")
    volume = volume_from_node(node)
    assert volume.name == "head"
    np.testing.assert_array_equal(volume.voxels, counting_voxels())
    np.testing.assert_allclose(volume.ijk_to_ras, OBLIQUE, atol=1e-12)


def test_voxels_are_indexed_k_j_i_and_shared_with_the_node(scene):
    node = slicer.util.addVolumeFromArray(counting_voxels(), name="head")
    node.GetImageData().SetScalarComponentFromDouble(5, 4, 3, 0, -7.0)
    volume = volume_from_node(node)
    assert volume.voxels[3, 4, 5] == -7
    assert np.shares_memory(volume.voxels, slicer.util.arrayFromVolume(node))


def test_nested_linear_transforms_lead_to_the_world(scene):
    node = slicer.util.addVolumeFromArray(counting_voxels(), ijkToRAS=OBLIQUE)
    node.SetAndObserveTransformNodeID(transform_node(SHIFT, parent=transform_node(QUARTER_TURN_ABOUT_S)).GetID())
    assert not is_warped(node)
    # The first voxel lies at (10, -20, 30): shifted to (10, -20, 130), then turned to (20 + 5, 10, 130).
    np.testing.assert_allclose(volume_from_node(node).ijk_to_ras[:3, 3], [25.0, 10.0, 130.0], atol=1e-9)
    np.testing.assert_allclose(volume_from_node(node).ijk_to_ras, QUARTER_TURN_ABOUT_S @ SHIFT @ OBLIQUE, atol=1e-9)


def test_under_a_non_linear_transform_a_volume_stays_in_its_own_coordinates(scene, warp_node):
    node = slicer.util.addVolumeFromArray(counting_voxels(), ijkToRAS=OBLIQUE)
    node.SetAndObserveTransformNodeID(warp_node.GetID())
    assert is_warped(node)
    np.testing.assert_allclose(volume_from_node(node).ijk_to_ras, OBLIQUE, atol=1e-12)


def test_a_non_linear_transform_further_up_counts_too(scene, warp_node):
    node = slicer.util.addVolumeFromArray(counting_voxels(), ijkToRAS=OBLIQUE)
    node.SetAndObserveTransformNodeID(transform_node(SHIFT, parent=warp_node).GetID())
    assert is_warped(node)


def test_real_colour_is_refused_with_a_sentence(scene):
    pixels = np.random.default_rng(0).integers(0, 255, (1, 5, 6, 3), dtype=np.uint8)
    node = slicer.util.addVolumeFromArray(pixels, name="photo", nodeClassName="vtkMRMLVectorVolumeNode")
    with pytest.raises(LandmarkDetectionError, match=r"photo: .* 3 values a voxel .*convert it"):
        volume_from_node(node)


@pytest.mark.parametrize("channels", [3, 4])
def test_grey_stored_as_colour_is_converted(scene, channels):
    grey = counting_voxels((1, 5, 6)).astype(np.uint8)
    pixels = np.stack([grey] * 3 + [np.full_like(grey, 255)] * (channels - 3), axis=-1)
    node = slicer.util.addVolumeFromArray(pixels, nodeClassName="vtkMRMLVectorVolumeNode")
    np.testing.assert_array_equal(volume_from_node(node).voxels, grey)


def test_displacement_vectors_are_refused_even_when_equal(scene):
    node = slicer.util.addVolumeFromArray(np.zeros((2, 3, 4, 2)), name="field", nodeClassName="vtkMRMLVectorVolumeNode")
    with pytest.raises(LandmarkDetectionError, match="2 values a voxel"):
        volume_from_node(node)


def test_a_node_without_an_image_is_refused_with_a_sentence(scene):
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    with pytest.raises(LandmarkDetectionError, match="empty: this volume has no voxels"):
        volume_from_node(node)


def test_voxels_that_are_not_finite_become_the_smallest_finite_one(scene):
    voxels = counting_voxels().astype(np.float32)
    voxels[0, 0, 0], voxels[1, 1, 1] = np.nan, np.inf
    volume = volume_from_node(slicer.util.addVolumeFromArray(voxels))
    assert volume.voxels[0, 0, 0] == volume.voxels[1, 1, 1] == 1.0


def test_a_volume_becomes_a_node_and_comes_back(scene):
    node = add_volume(Volume(counting_voxels(), OBLIQUE, "head"))
    assert node.GetName() == "head"
    assert node.GetDisplayNode() is not None
    volume = volume_from_node(node)
    np.testing.assert_array_equal(volume.voxels, counting_voxels())
    np.testing.assert_allclose(volume.ijk_to_ras, OBLIQUE, atol=1e-12)


def test_a_resliced_picture_lies_in_the_scene_where_it_was_cut(scene):
    """On a volume whose voxels hold their own S coordinate, every pixel must hold the S coordinate it lies at."""
    k, j, i = np.indices((30, 40, 50), dtype=np.float64)
    heights = (OBLIQUE @ np.stack([i.ravel(), j.ravel(), k.ravel(), np.ones(i.size)]))[2].reshape(i.shape)
    volume = volume_from_node(add_volume(Volume(heights.astype(np.float32), OBLIQUE, "heights")))
    x_axis, normal = np.array([0.0, 0.0, 1.0]), np.array([0.6, 0.8, 0.0])
    plane = StandardPlane("oblique", volume.centre_ras, x_axis, np.cross(normal, x_axis), normal, (10.0, 8.0))

    node = add_volume(reslice(volume, plane, 0.5))

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    assert node.GetImageData().GetDimensions() == (20, 16, 1)
    for i, j in [(0, 0), (19, 0), (3, 15), (10, 8)]:
        height = matrix.MultiplyPoint((i, j, 0, 1))[2]
        assert slicer.util.arrayFromVolume(node)[0, j, i] == pytest.approx(height, abs=1e-3)
