"""Scripts/DetectLandmarks.py: the command line as Slicer runs it, and as Python runs it without an installation."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command_line import SCRIPT, copy_package, run_uninstalled, write_scan
from tiny_detector import write_tiny_bundle

AS_SLICER_RUNS_IT = """
import sys
path = sys.argv.pop(1)
sys.argv[0] = path
exec(open(path, encoding="utf-8").read(), {"__name__": "__main__", "__file__": path})
"""


@pytest.fixture
def flat(tmp_path) -> Path:
    """A folder as Slicer's qt-scripted-modules: the package beside other modules."""
    return copy_package(tmp_path / "flat")


def test_without_installation_it_finds_the_package_of_its_repository():
    assert run_uninstalled("-c", "import LandmarkDetectionLib").returncode == 1
    finished = run_uninstalled(SCRIPT, "--", "models", "list", "--json")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.startswith("[")


@pytest.mark.parametrize("place", ["DetectLandmarks.py", "Scripts/DetectLandmarks.py"])
def test_in_a_flat_folder_it_finds_the_package_there(flat, place):
    (flat / "Scripts").mkdir()
    shutil.copy(SCRIPT, flat / place)
    finished = run_uninstalled(flat / place, "--", "models", "list", "--json")
    assert (finished.returncode, finished.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("--", "models", "list"), 0),
        (("models", "list"), 0),
        (("--", "--version"), 0),
        (("--", "models", "show", "nobody"), 2),
        (("--", "--", "models", "list"), 2),
        ((), 2),
    ],
)
def test_it_ends_the_process_with_the_status(arguments, status):
    assert run_uninstalled("-c", AS_SLICER_RUNS_IT, SCRIPT, *arguments).returncode == status


def test_it_detects(tmp_path):
    scan = write_scan(tmp_path / "scan.nrrd")
    places = ("--model", write_tiny_bundle(tmp_path), "--input", scan, "--output", tmp_path / "out")
    finished = run_uninstalled("-c", AS_SLICER_RUNS_IT, SCRIPT, "--", "detect", *places)
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "out" / "scan.mrk.json").is_file()
