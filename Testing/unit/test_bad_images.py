"""An image that cannot be used is refused in one sentence, before anything is computed from it."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.images import read_volume
from LandmarkDetectionLib.volume import Volume

NOISE = np.random.default_rng(0).integers(0, 255, (12, 20, 30), dtype=np.uint8)
IDENTITY = "1 0 0 0 1 0 0 0 1"


def refusal(path, **options):
    """The sentence with which an image is refused."""
    with pytest.raises(LandmarkDetectionError) as caught:
        read_volume(path, **options)
    sentence = str(caught.value)
    assert path.name in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def write(path, voxels=NOISE, is_vector=False, compressed=False):
    sitk.WriteImage(sitk.GetImageFromArray(voxels, isVector=is_vector), str(path), compressed)
    return path


def cut(path, share=0.6):
    """Leave only the beginning of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


def nifti(path, changes):
    """A NIfTI file some of whose header bytes are changed: {offset: (format, values)}."""
    content = bytearray(write(path.with_name("template.nii")).read_bytes())
    for offset, (layout, values) in changes.items():
        struct.pack_into(f"<{layout}", content, offset, *values)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def meta_image(path, **changes):
    fields = {
        "NDims": "3",
        "DimSize": "5 6 7",
        "ElementType": "MET_UCHAR",
        "ElementSpacing": "1 1 1",
        "Offset": "0 0 0",
        "TransformMatrix": IDENTITY,
    } | changes
    header = "".join(f"{key} = {value}\n" for key, value in fields.items())
    path.write_bytes(f"ObjectType = Image\nBinaryData = True\n{header}ElementDataFile = LOCAL\n".encode() + bytes(210))
    return path


class TestFilesThatAreNoImages:
    def test_a_missing_file(self, tmp_path):
        assert "does not exist" in refusal(tmp_path / "gone.nii.gz")

    def test_a_folder_without_images(self, tmp_path):
        assert "holds no DICOM series" in refusal(tmp_path)

    @pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha", ".png", ".jpg", ".tif", ".bmp", ".dcm"])
    def test_a_text_file_that_is_called_an_image(self, tmp_path, suffix):
        path = tmp_path / f"text{suffix}"
        path.write_text("I am no image at all.\n" * 50)
        assert "not an image in a known format" in refusal(path)

    @pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".png", ".dcm"])
    def test_an_empty_file(self, tmp_path, suffix):
        path = tmp_path / f"empty{suffix}"
        path.touch()
        assert "is empty" in refusal(path)


class TestCutFiles:
    @pytest.mark.parametrize("name", ["case.nii.gz", "case.nii", "case.nrrd", "case.mha", "case.vtk", "case.gipl"])
    def test_a_volume(self, tmp_path, name):
        assert "incomplete" in refusal(cut(write(tmp_path / name)))

    @pytest.mark.parametrize("name", ["case.nii.gz", "case.nrrd", "case.mha"])
    def test_a_compressed_volume_that_lost_its_last_bytes(self, tmp_path, name):
        assert "incomplete" in refusal(cut(write(tmp_path / name, compressed=True), 0.999))

    def test_a_volume_whose_voxels_are_in_another_file(self, tmp_path):
        path = write(tmp_path / "case.mhd")
        cut(tmp_path / "case.raw")
        assert "incomplete" in refusal(path)

    @pytest.mark.parametrize("name", ["film.jpg", "film.bmp", "film.png", "film.tif"])
    def test_a_picture(self, tmp_path, name):
        refusal(cut(write(tmp_path / name, NOISE[0])), spacing_mm=(1, 1))

    def test_the_slices_of_a_tiff(self, tmp_path):
        assert "incomplete" in refusal(cut(write(tmp_path / "case.tif", NOISE.astype(np.int16))), spacing_mm=(1, 1))

    @pytest.mark.parametrize("name", ["case.nii.gz", "case.mha", "film.jpg", "film.tif"])
    def test_itk_does_not_write_to_the_screen_about_it(self, tmp_path, name, capfd):
        refusal(cut(write(tmp_path / name, NOISE[0] if "film" in name else NOISE)), spacing_mm=(1, 1))
        assert capfd.readouterr() == ("", "")


class TestVoxelsThatAreNotOneNumber:
    def test_four_axes(self, tmp_path):
        path = write(tmp_path / "four.nii.gz", np.zeros((2, 5, 6, 7), np.float32))
        assert "has 4 axes" in refusal(path)

    def test_colour(self, tmp_path):
        colour = np.stack([NOISE[0], NOISE[1], NOISE[2]], axis=-1)
        assert "colour" in refusal(write(tmp_path / "film.png", colour, is_vector=True), spacing_mm=(1, 1))

    def test_vectors(self, tmp_path):
        vectors = np.zeros((5, 6, 7, 2), np.float32)
        assert "2 values a voxel" in refusal(write(tmp_path / "field.nii.gz", vectors, is_vector=True))

    def test_complex_numbers(self, tmp_path):
        assert "complex" in refusal(write(tmp_path / "raw.nii.gz", np.zeros((5, 6, 7), np.complex64)))


class TestGeometry:
    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
    @pytest.mark.parametrize(
        "changes",
        [
            {80: ("f", [0.0])},
            {80: ("f", [np.nan])},
            {84: ("f", [np.inf])},
            {280: ("f", [np.nan])},
            {268: ("f", [np.inf])},
        ],
        ids=["zero spacing", "nan spacing", "infinite spacing", "nan axis", "infinite origin"],
    )
    def test_nifti_numbers_that_itk_would_replace_in_silence(self, tmp_path, suffix, changes, capfd):
        assert "zero or not finite" in refusal(nifti(tmp_path / f"case{suffix}", changes))
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize("axes", [[1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0], [1, 0.3, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]])
    def test_nifti_axes_that_are_singular_or_sheared(self, tmp_path, axes):
        path = nifti(tmp_path / "case.nii", {252: ("2h", [0, 1]), 280: ("12f", axes)})
        assert "perpendicular" in refusal(path)

    @pytest.mark.parametrize(
        "changes",
        [
            {"ElementSpacing": "0 1 1"},
            {"ElementSpacing": "nan 1 1"},
            {"Offset": "0 inf 0"},
            {"TransformMatrix": "1 0 0 1 0 0 0 0 1"},
            {"TransformMatrix": "nan 0 0 0 1 0 0 0 1"},
        ],
        ids=["zero spacing", "nan spacing", "infinite origin", "singular axes", "nan axis"],
    )
    def test_meta_image(self, tmp_path, changes):
        assert "correct its header" in refusal(meta_image(tmp_path / "case.mha", **changes))

    @pytest.mark.parametrize(
        "directions", ["(1,0,0) (1,0,0) (0,0,1)", "(0,0,0) (0,1,0) (0,0,1)", "(nan,0,0) (0,1,0) (0,0,1)"]
    )
    def test_nrrd(self, tmp_path, directions):
        header = (
            "NRRD0004\ntype: uchar\ndimension: 3\nspace: left-posterior-superior\nsizes: 5 6 7\n"
            f"space directions: {directions}\nspace origin: (0,0,0)\nencoding: raw\n\n"
        )
        path = tmp_path / "case.nrrd"
        path.write_bytes(header.encode() + bytes(210))
        assert "geometry is not usable" in refusal(path)


class TestMemory:
    def test_a_nifti_header_that_promises_more_than_there_is(self, tmp_path):
        path = nifti(tmp_path / "huge.nii.gz", {42: ("3h", [30000, 30000, 30000])})
        assert "of memory" in refusal(path)

    def test_a_meta_image_header_that_promises_more_than_there_is(self, tmp_path):
        assert "of memory" in refusal(meta_image(tmp_path / "huge.mha", DimSize="30000 30000 30000"))


class TestAnyDamage:
    """Whatever bytes are wrong, the answer is an image or a sentence."""

    @pytest.mark.parametrize("name", ["case.nii", "case.nii.gz", "case.mha", "film.bmp", "film.tif", "film.jpg"])
    @given(st.dictionaries(st.integers(0, 347), st.integers(0, 255), min_size=1, max_size=6), st.floats(0.1, 1.0))
    @settings(max_examples=25)
    def test_of_the_header_and_the_end(self, tmp_path_factory, name, changes, share):
        path = tmp_path_factory.mktemp("damaged") / name
        content = bytearray(write(path, NOISE[0] if "film" in name else NOISE.astype(np.float32)).read_bytes())
        for offset, value in changes.items():
            content[offset % len(content)] = value
        path.write_bytes(content)
        cut(path, share)
        try:
            answer = read_volume(path, spacing_mm=(1, 1), report=lambda _: None)
        except LandmarkDetectionError as error:
            answer = error
        assert isinstance(answer, Volume) or str(answer).endswith(".")
