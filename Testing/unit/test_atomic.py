"""Files appear whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import subprocess
import sys

import pytest

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.atomic import remove_partial_files, whole_file


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_temporary_path_is_beside_the_file_and_keeps_its_suffixes(tmp_path):
    with whole_file(tmp_path / "scan.nii.gz") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.endswith(".nii.gz")
        assert not (tmp_path / "scan.nii.gz").exists()
        temporary.write_text("whole")
    assert names_in(tmp_path) == ["scan.nii.gz"]
    assert (tmp_path / "scan.nii.gz").read_text() == "whole"


def test_missing_folders_are_made(tmp_path):
    with whole_file(tmp_path / "a" / "b" / "table.csv") as temporary:
        temporary.write_text("whole")
    assert (tmp_path / "a" / "b" / "table.csv").read_text() == "whole"


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "table.csv").write_text("old")

    def write_half():
        with whole_file(tmp_path / "table.csv") as temporary:
            temporary.write_text("ha")
            raise KeyError

    with pytest.raises(KeyError):
        write_half()
    assert names_in(tmp_path) == ["table.csv"]
    assert (tmp_path / "table.csv").read_text() == "old"


def test_a_kill_leaves_the_old_file_and_a_leftover_that_can_be_removed(tmp_path):
    (tmp_path / "table.csv").write_text("old")
    program = (
        "import os, signal, sys\n"
        "from LandmarkDetectionLib.files.atomic import whole_file\n"
        "with whole_file(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('ha')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, tmp_path / "table.csv"], check=False)
    assert killed.returncode != 0
    assert (tmp_path / "table.csv").read_text() == "old"
    assert len(names_in(tmp_path)) == 2
    remove_partial_files(tmp_path)
    assert names_in(tmp_path) == ["table.csv"]


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with (
        pytest.raises(LandmarkDetectionError, match="choose a folder you may write to"),
        whole_file(tmp_path / "file" / "table.csv"),
    ):
        pytest.fail("nothing can be written here")


def test_a_full_disk_is_a_sentence(tmp_path):
    def write():
        with whole_file(tmp_path / "table.csv"):
            raise OSError(28, "No space left on device")

    with pytest.raises(LandmarkDetectionError, match="No space left on device"):
        write()
    assert names_in(tmp_path) == []
