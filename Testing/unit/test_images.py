"""Every image format comes in with its voxels where they belong in the world."""

from __future__ import annotations

import locale

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.images import find_images, finite_voxels, image_stem, read_volume, write_volume
from LandmarkDetectionLib.geometry import apply_affine, rotation_matrix
from LandmarkDetectionLib.volume import Volume

COUNTING = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)


def oblique_matrix():
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_matrix((1, 2, 3), 25) * [0.5, 0.75, 2.0]
    matrix[:3, 3] = (-12.5, 30.0, 7.25)
    return matrix


class TestVolumes:
    @pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
    def test_what_is_written_is_read_back(self, tmp_path, suffix):
        volume = Volume(COUNTING, oblique_matrix(), "case")
        write_volume(volume, tmp_path / f"case{suffix}")
        back = read_volume(tmp_path / f"case{suffix}")
        assert np.array_equal(back.voxels, COUNTING)
        assert back.voxels.dtype == np.int16
        assert np.allclose(back.ijk_to_ras, volume.ijk_to_ras, atol=1e-5)
        assert back.name == "case"

    @pytest.mark.parametrize("suffix", [".mhd", ".nhdr", ".vtk", ".gipl", ".hdr"])
    def test_other_formats_of_itk_are_read(self, tmp_path, suffix):
        sitk.WriteImage(sitk.GetImageFromArray(COUNTING), str(tmp_path / f"case{suffix}"))
        assert np.array_equal(read_volume(tmp_path / f"case{suffix}").voxels, COUNTING)

    def test_file_coordinates_are_lps_and_memory_is_ras(self, tmp_path):
        image = sitk.GetImageFromArray(COUNTING)
        image.SetOrigin((10.0, 20.0, 30.0))
        image.SetSpacing((1.0, 2.0, 3.0))
        sitk.WriteImage(image, str(tmp_path / "case.nrrd"))
        volume = read_volume(tmp_path / "case.nrrd")
        assert np.allclose(apply_affine(volume.ijk_to_ras, (1, 1, 1)), (-11, -22, 33))

    def test_left_handed_axes_stay_left_handed(self, shared_data):
        volume = read_volume(next((shared_data / "brain" / "volumes").glob("*.nii.gz")))
        assert np.linalg.det(volume.ijk_to_ras[:3, :3]) < 0

    @pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
    def test_names_need_not_be_ascii(self, tmp_path, suffix):
        path = tmp_path / "Schädel é 患者" / f"Fall Ä{suffix}"
        write_volume(Volume(COUNTING, np.eye(4)), path)
        assert read_volume(path).name == "Fall Ä"

    @pytest.mark.parametrize("shape", [(1, 1, 3, 4), (1, 2, 3, 4), (1, 1, 1, 3, 4)])
    def test_trailing_axes_of_one_voxel_are_dropped(self, tmp_path, shape):
        voxels = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        sitk.WriteImage(sitk.GetImageFromArray(voxels, isVector=False), str(tmp_path / "case.mha"))
        assert np.array_equal(read_volume(tmp_path / "case.mha").voxels, voxels.reshape(shape[-3:]))

    def test_one_slice_is_a_picture(self, tmp_path):
        write_volume(Volume(COUNTING[:1], oblique_matrix()), tmp_path / "slice.nii.gz")
        volume = read_volume(tmp_path / "slice.nii.gz")
        assert volume.dimension == 2
        assert np.allclose(volume.ijk_to_ras, oblique_matrix(), atol=1e-5)

    def test_a_constant_image_can_be_read(self, tmp_path):
        write_volume(Volume(np.full((2, 3, 4), 7, np.uint8), np.eye(4)), tmp_path / "flat.nrrd")
        assert (read_volume(tmp_path / "flat.nrrd").voxels == 7).all()

    def test_a_picture_format_is_not_written(self, tmp_path):
        with pytest.raises(LandmarkDetectionError, match=r"\.nrrd"):
            write_volume(Volume(COUNTING, np.eye(4)), tmp_path / "case.png")

    def test_voxels_that_no_file_can_hold_are_a_sentence(self, tmp_path):
        with pytest.raises(LandmarkDetectionError, match="voxel type"):
            write_volume(Volume(COUNTING > 5, np.eye(4)), tmp_path / "mask.nrrd")
        assert list(tmp_path.iterdir()) == []

    def test_a_gzip_file_of_several_streams_is_whole(self, tmp_path):
        """Some programs compress in blocks; the length at the end is then only that of the last."""
        import gzip

        write_volume(Volume(COUNTING, np.eye(4)), tmp_path / "one.nii")
        content = (tmp_path / "one.nii").read_bytes()
        (tmp_path / "two.nii.gz").write_bytes(gzip.compress(content[:100]) + gzip.compress(content[100:]))
        assert np.array_equal(read_volume(tmp_path / "two.nii.gz").voxels, COUNTING)


class TestPictures:
    GREY = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40

    def write(self, path, voxels=GREY, is_vector=False):
        sitk.WriteImage(sitk.GetImageFromArray(voxels, isVector=is_vector), str(path))
        return path

    @pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
    def test_a_picture_takes_the_spacing_and_origin_it_is_given(self, tmp_path, suffix):
        path = self.write(tmp_path / f"film{suffix}")
        volume = read_volume(path, spacing_mm=(0.2, 0.3), origin_mm=(0.05, 0.1))
        assert np.array_equal(volume.voxels, self.GREY[None])
        assert np.allclose(volume.spacing_mm, (0.2, 0.3, 1.0))
        assert np.allclose(apply_affine(volume.ijk_to_ras, (1, 1, 0)), (-0.25, -0.4, 0))

    def test_one_number_is_the_spacing_of_both_axes(self, tmp_path):
        volume = read_volume(self.write(tmp_path / "film.png"), spacing_mm=[0.2])
        assert np.allclose(volume.spacing_mm, (0.2, 0.2, 1.0))

    def test_the_origin_may_be_an_array_and_is_zero_by_default(self, tmp_path):
        path = self.write(tmp_path / "film.png")
        given = read_volume(path, np.array([0.2, 0.2]), np.array([5.0, 6.0]))
        assert np.allclose(given.ijk_to_ras[:3, 3], (-5, -6, 0))
        assert np.allclose(read_volume(path, [0.2]).ijk_to_ras[:3, 3], 0)

    def test_a_jpeg_is_read(self, tmp_path):
        volume = read_volume(self.write(tmp_path / "film.jpg", np.full((8, 8), 90, np.uint8)), spacing_mm=(1, 1))
        assert volume.voxels.shape == (1, 8, 8)
        assert (volume.voxels == 90).all()

    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
    def test_without_spacing_a_picture_is_refused_with_the_way_to_give_it(self, tmp_path, suffix):
        path = self.write(tmp_path / f"film{suffix}")
        with pytest.raises(LandmarkDetectionError, match=r"--spacing, or as spacing_mm in a dataset\.json"):
            read_volume(path)

    @pytest.mark.parametrize("spacing", [(0.0, 1.0), (-1.0, 1.0), (np.nan, 1.0)])
    def test_a_spacing_that_is_not_above_zero_is_refused(self, tmp_path, spacing):
        with pytest.raises(LandmarkDetectionError, match="above zero"):
            read_volume(self.write(tmp_path / "film.png"), spacing_mm=spacing)

    def test_a_tiff_that_knows_its_pixel_size_keeps_it(self, tmp_path):
        image = sitk.GetImageFromArray(self.GREY)
        image.SetSpacing((0.25, 0.25))
        sitk.WriteImage(image, str(tmp_path / "film.tif"))
        volume = read_volume(tmp_path / "film.tif", spacing_mm=(9, 9))
        assert np.allclose(volume.spacing_mm[:2], 0.25, rtol=1e-4)

    def test_the_dots_per_inch_of_a_printer_are_no_pixel_size(self, tmp_path):
        image = sitk.GetImageFromArray(self.GREY)
        image.SetSpacing((25.4 / 72, 25.4 / 72))
        sitk.WriteImage(image, str(tmp_path / "film.tif"))
        with pytest.raises(LandmarkDetectionError, match="--spacing"):
            read_volume(tmp_path / "film.tif")

    def test_a_volume_with_geometry_ignores_a_given_spacing(self, tmp_path):
        write_volume(Volume(COUNTING, oblique_matrix()), tmp_path / "case.nii.gz")
        volume = read_volume(tmp_path / "case.nii.gz", spacing_mm=(9, 9), origin_mm=(9, 9))
        assert np.allclose(volume.ijk_to_ras, oblique_matrix(), atol=1e-5)

    @pytest.mark.parametrize("channels", [3, 4])
    def test_grey_stored_as_colour_becomes_grey(self, tmp_path, channels):
        colour = np.stack([self.GREY] * 3 + [np.full_like(self.GREY, 255)], axis=-1)[..., :channels]
        path = self.write(tmp_path / "film.png", colour, is_vector=True)
        assert np.array_equal(read_volume(path, spacing_mm=(1, 1)).voxels, self.GREY[None])


class TestNotFinite:
    @pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
    @pytest.mark.parametrize("voxel_type", [np.float32, np.float64])
    def test_nan_and_infinity_become_the_finite_minimum_and_are_reported(self, tmp_path, suffix, voxel_type):
        voxels = COUNTING.astype(voxel_type) - 5
        voxels[0, 0, :3] = np.nan, np.inf, -np.inf
        sitk.WriteImage(sitk.GetImageFromArray(voxels), str(tmp_path / f"case{suffix}"))
        reports = []
        volume = read_volume(tmp_path / f"case{suffix}", report=reports.append)
        assert np.array_equal(volume.voxels[0, 0], [-2, -2, -2, -2])
        assert np.array_equal(volume.voxels[1], voxels[1])
        assert reports == [f"case{suffix}: 3 NaN or infinite voxels were set to the image's minimum."]

    @pytest.mark.parametrize(("count", "is_refused"), [(12, False), (13, True)])
    @pytest.mark.parametrize("name", ["case.nii.gz", "case.nrrd"])
    def test_more_than_half_is_refused(self, tmp_path, name, count, is_refused):
        voxels = COUNTING.astype(np.float32)
        voxels.ravel()[:count] = np.nan
        sitk.WriteImage(sitk.GetImageFromArray(voxels), str(tmp_path / name))
        messages = []
        try:
            read_volume(tmp_path / name, report=messages.append)
        except LandmarkDetectionError as error:
            messages.append(str(error))
        assert len(messages) == 1
        assert ("54% of its voxels" in messages[0]) == is_refused

    @pytest.mark.parametrize(
        ("shape", "place", "is_refused"),
        [
            ((30, 30, 30), np.s_[14:17, 14:17, 14:17], True),
            ((30, 30, 30), np.s_[14, 14:16, 14:16], False),
            ((30, 30, 30), np.s_[14:17, 14:17, :17], False),
            ((30, 30, 30), np.s_[::2, ::2, ::2], False),
            ((1, 30, 30), np.s_[:, 14:17, 14:17], True),
            ((1, 30, 30), np.s_[:, :9, 14:17], False),
        ],
        ids=["a hole", "a small one", "one open to the border", "scattered voxels", "in a picture", "at its border"],
    )
    def test_a_hole_in_what_the_image_shows_is_refused(self, shape, place, is_refused):
        voxels = np.ones(shape, np.float32)
        voxels[place] = np.nan
        reports = []
        if is_refused:
            with pytest.raises(LandmarkDetectionError, match=r"scan: (27|9) NaN or infinite voxels leave a hole"):
                finite_voxels("scan", voxels, reports.append)
        else:
            assert np.isfinite(finite_voxels("scan", voxels, reports.append)).all()
        assert len(reports) == (not is_refused)

    def test_a_finite_image_reports_nothing(self, tmp_path):
        write_volume(Volume(COUNTING.astype(np.float64), np.eye(4)), tmp_path / "case.nrrd")
        reports = []
        read_volume(tmp_path / "case.nrrd", report=reports.append)
        assert reports == []


class TestNames:
    @pytest.mark.parametrize(
        ("name", "stem"),
        [
            ("a/b/case.nii.gz", "case"),
            ("case.NII.GZ", "case"),
            ("sub-01.T1.nrrd", "sub-01.T1"),
            ("film.jpeg", "film"),
            ("series folder", "series folder"),
            ("1.2.840.113", "1.2.840.113"),
        ],
    )
    def test_the_stem_is_the_name_without_the_image_suffix(self, name, stem):
        assert image_stem(name) == stem

    @given(st.text(st.characters(exclude_characters="/\\\0", exclude_categories=["Cs"]), min_size=1, max_size=20))
    def test_any_name_comes_back_from_its_file_name(self, stem):
        assert image_stem(f"volumes/x{stem}x.nii.gz") == f"x{stem}x"

    def test_images_are_found_sorted_and_other_files_left_alone(self, tmp_path):
        for name in ("b.nii.gz", "a.PNG", "c.mha", "notes.txt", "a.mrk.json", ".hidden.nrrd"):
            (tmp_path / name).write_text("x")
        (tmp_path / "folder").mkdir()
        assert [path.name for path in find_images(tmp_path)] == ["a.PNG", "b.nii.gz", "c.mha"]

    def test_a_folder_that_does_not_exist_is_a_sentence(self, tmp_path):
        with pytest.raises(LandmarkDetectionError, match="does not exist"):
            find_images(tmp_path / "nowhere")


def test_reading_leaves_the_locale_as_it_was(tmp_path):
    path = tmp_path / "scan.vtk"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 4, 5), dtype=np.uint8)), str(path))
    before = locale.setlocale(locale.LC_ALL)
    read_volume(path)
    assert locale.setlocale(locale.LC_ALL) == before
