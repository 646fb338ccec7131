"""DICOM: a series is a folder, its gaps are not stretched over, and single files are images of their own."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.images import find_images, read_volume
from LandmarkDetectionLib.geometry import apply_affine

VOXELS = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)


def write_slice(path, voxels, z, series="1.2.3.4", **tags):
    """One slice at z mm; its pixels are 0.5 x 0.7 mm, its corner at (1, 2, z) in LPS."""
    image = sitk.GetImageFromArray(voxels[None])
    image.SetSpacing((0.5, 0.7, 2.0))
    image.SetOrigin((1.0, 2.0, z))
    identity = {"0008|0060": "MR", "0020|000d": "1.2.3", "0020|000e": series, "0008|0018": f"{series}.{int(z)}"}
    for tag, value in (identity | tags).items():
        image.SetMetaData(tag, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetFileName(str(path.with_suffix(".dcm")))
    writer.Execute(image)
    path.with_suffix(".dcm").rename(path)


def write_series(folder, heights_mm=(0, 2, 4, 6), suffix=".dcm", series="1.2.3.4"):
    """Slices whose file names run against their order in space."""
    for index, height in enumerate(heights_mm):
        write_slice(folder / f"IM{99 - index}{suffix}", VOXELS[index], height, series)
    return folder


@pytest.mark.parametrize("suffix", [".dcm", ".IMA", ""])
def test_a_series_is_read_in_the_order_of_its_slices(tmp_path, suffix):
    volume = read_volume(write_series(tmp_path / "Head 1.5T", suffix=suffix))
    assert np.array_equal(volume.voxels, VOXELS)
    assert np.allclose(apply_affine(volume.ijk_to_ras, (1, 1, 1)), (-1.5, -2.7, 2))
    assert volume.name == "Head 1.5T"


def test_a_missing_slice_is_refused_instead_of_stretching_the_others(tmp_path):
    with pytest.raises(LandmarkDetectionError, match=r"2\.00 to 4\.00 mm apart"):
        read_volume(write_series(tmp_path / "gap", heights_mm=(0, 2, 6, 8)))


def test_two_series_in_a_folder_are_refused(tmp_path):
    write_series(tmp_path / "two")
    for index in range(2):
        write_slice(tmp_path / "two" / f"other{index}.dcm", VOXELS[index], index, series="9.9")
    with pytest.raises(LandmarkDetectionError, match="holds 2 DICOM series"):
        read_volume(tmp_path / "two")


def test_a_single_file_is_a_picture_with_its_own_pixel_size(tmp_path):
    write_slice(tmp_path / "one.dcm", VOXELS[0], 3)
    volume = read_volume(tmp_path / "one.dcm", spacing_mm=(9, 9))
    assert np.allclose(volume.spacing_mm[:2], (0.5, 0.7))
    assert np.array_equal(volume.voxels, VOXELS[:1])


def test_a_single_file_without_pixel_size_needs_one(tmp_path):
    path = tmp_path / "frame.dcm"
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS[0].astype(np.uint8)), str(path))
    pixel_spacing, private = b"\x28\x00\x30\x00", b"\x29\x00\x30\x00"
    path.write_bytes(path.read_bytes().replace(pixel_spacing, private))
    with pytest.raises(LandmarkDetectionError, match="--spacing"):
        read_volume(path)
    assert np.allclose(read_volume(path, spacing_mm=[0.3]).spacing_mm[:2], 0.3)


class TestFinding:
    def test_a_series_is_found_as_its_folder(self, tmp_path):
        write_series(tmp_path / "patient1")
        write_series(tmp_path / "patient2", suffix="")
        (tmp_path / "empty").mkdir()
        sitk.WriteImage(sitk.GetImageFromArray(VOXELS), str(tmp_path / "other.nrrd"))
        assert [path.name for path in find_images(tmp_path)] == ["other.nrrd", "patient1", "patient2"]

    def test_a_series_folder_is_itself_the_image(self, tmp_path):
        folder = write_series(tmp_path / "patient1")
        assert find_images(folder) == [folder]

    def test_single_images_in_one_folder_are_found_one_by_one(self, tmp_path):
        for index in range(3):
            write_slice(tmp_path / f"film{index}.dcm", VOXELS[index], 0, series=f"1.{index}")
        assert [path.name for path in find_images(tmp_path)] == ["film0.dcm", "film1.dcm", "film2.dcm"]
