"""What CMake installs, as Slicer lays it out: both modules' files in one folder, from which they load and detect."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cmake
import pytest
from cmake_lists import REPOSITORY, modules, packaged_files

STUB = REPOSITORY / "Testing" / "slicer_stub"
CMAKE = Path(cmake.CMAKE_BIN_DIR) / "cmake"
SCRIPTED_MODULES = Path("lib", "Slicer-5.12", "qt-scripted-modules")

DETECT_WITH_THE_LIBRARY = """
import json, sys, LandmarkDetectionLib
from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.files.images import read_volume
from LandmarkDetectionLib.models.bundle import load_bundle
from LandmarkDetectionLib.models.registry import find_model, sample_image

detector = load_detector(load_bundle(find_model("brain-t1")))
detection = detector.detect(read_volume(sample_image("brain-t1")))
print(json.dumps([LandmarkDetectionLib.__file__, len(detection.landmarks)]))
"""

LOAD_BOTH_MODULES_AND_DETECT = """
import json, sys, traceback
from pathlib import Path
import slicer
from testbed import Testbed

def detect_from(folder, bed):
    detection, training = (bed.load_module(folder / name) for name in ("LandmarkDetection.py", "LandmarkTraining.py"))
    for module in (detection, training):
        bed.close_panel(bed.open_panel(module))
    from LandmarkDetectionLib.files.images import read_volume
    from LandmarkDetectionLib.models.registry import sample_image
    from LandmarkDetectionLib.mrml import add_volume

    found = detection.LandmarkDetectionLogic().detect(add_volume(read_volume(sample_image("brain-t1"))), "brain-t1")
    ours = [module.__file__ for name, module in sys.modules.items() if name.startswith("Landmark")]
    print(json.dumps([ours, found.GetNumberOfControlPoints(), [str(error) for error in bed.uncaught]]))

bed = Testbed()
try:
    detect_from(Path(sys.argv[1]), bed)
except Exception:
    sys.exit(traceback.format_exc())
"""


def run(*command: object, **variables: str) -> subprocess.CompletedProcess:
    """Run a program somewhere else than in the repository's folders."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | variables
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, env=environment)


def configure(build: Path) -> subprocess.CompletedProcess:
    """Configure the extension against a stub of Slicer, with the self-tests, and without compilers."""
    options = (f"-DSlicer_DIR={STUB}", f"-DCMAKE_TOOLCHAIN_FILE={STUB / 'NoCompiler.cmake'}", "-DBUILD_TESTING=ON")
    return run(CMAKE, *options, "-S", REPOSITORY, "-B", build)


@pytest.fixture(scope="module")
def configured(tmp_path_factory) -> tuple[Path, list[str]]:
    """The build folder, and what CMake said."""
    build = tmp_path_factory.mktemp("build")
    finished = configure(build)
    assert finished.returncode == 0, finished.stderr
    return build, [line.removeprefix("-- ") for line in finished.stdout.splitlines()]


@pytest.fixture(scope="module")
def installed(configured, tmp_path_factory) -> Path:
    """The folder qt-scripted-modules, with the extension and nothing else."""
    prefix = tmp_path_factory.mktemp("Slicer")
    finished = run(CMAKE, "--install", configured[0], "--prefix", prefix)
    assert finished.returncode == 0, finished.stderr
    return prefix / SCRIPTED_MODULES


def test_the_extension_configures_and_registers_the_self_test_of_each_module(configured):
    messages = configured[1]
    assert "CONFIG LandmarkDetection" in messages
    assert {f"SELF-TEST {module.name}.py" for module in modules()} <= set(messages)


def test_the_extension_says_what_the_extensions_manager_shows(configured):
    told = dict(line.split(" ", 1) for line in configured[1] if line.startswith("EXTENSION_"))
    assert told["EXTENSION_DEPENDS"] == "PyTorch"
    assert len(told) == 6


def test_what_is_installed_is_exactly_the_files_there_are(installed):
    found = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    expected = [name for module in modules() for files in packaged_files(module) for name in files]
    assert found == set(expected)
    assert len(found) == len(expected)
    files = [path for module in modules() for path in sorted(module.rglob("*")) if path.is_file()]
    for path in files:
        copy = installed / path.relative_to(next(module for module in modules() if path.is_relative_to(module)))
        assert not copy.exists() or copy.read_bytes() == path.read_bytes()


def test_the_library_detects_from_there(installed):
    finished = run(sys.executable, "-c", DETECT_WITH_THE_LIBRARY, PYTHONPATH=str(installed))
    assert finished.returncode == 0, finished.stderr
    place, landmarks = json.loads(finished.stdout)
    assert Path(place).is_relative_to(installed)
    assert landmarks == 20


def test_the_script_for_slicer_detects_from_there(installed, tmp_path):
    sample = installed / "LandmarkDetectionLib" / "Resources" / "Samples" / "brain-t1.nii.gz"
    places = ("--model", "brain-t1", "--input", sample, "--output", tmp_path / "out")
    script = installed / "Scripts" / "DetectLandmarks.py"
    finished = run(sys.executable, script, "--", "detect", *places, PYTHONPATH=str(installed))
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "out" / "brain-t1.mrk.json").is_file()


def test_both_modules_load_open_and_detect_from_there(installed):
    """With the code of this folder alone: nothing comes from the repository but the stand-in for Slicer."""
    paths = os.pathsep.join(map(str, (installed, REPOSITORY / "Testing" / "gui")))
    program = (sys.executable, "-c", LOAD_BOTH_MODULES_AND_DETECT, installed)
    finished = run(*program, PYTHONPATH=paths, QT_QPA_PLATFORM="offscreen")
    assert finished.returncode == 0, finished.stderr
    files, landmarks, uncaught = json.loads(finished.stdout.splitlines()[-1])
    assert {Path(file).is_relative_to(installed) for file in files} == {True}
    assert len(files) > 50
    assert (landmarks, uncaught) == (20, [])
