"""What the tests of the command line share: calling it, scans to detect in, and a model for pictures."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tiny_detector import LABELS, NETWORK, write_tiny_bundle

from LandmarkDetectionLib.cli import main
from LandmarkDetectionLib.files.images import write_volume
from LandmarkDetectionLib.models.bundle import load_bundle, save_bundle
from LandmarkDetectionLib.networks.pin import PINNetwork
from LandmarkDetectionLib.volume import Volume

MODULE = Path(__file__).resolve().parents[2] / "LandmarkDetection"
SCRIPT = MODULE / "Scripts" / "DetectLandmarks.py"


class Call(NamedTuple):
    """What a call of the command line gave."""

    status: int
    out: str
    err: str


def call(*arguments: object) -> Call:
    """Call the command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main([str(argument) for argument in arguments])
    return Call(status, out.getvalue(), err.getvalue())


def sentence_of(refused: Call) -> str:
    """The one sentence with which a wrong call was refused."""
    assert refused.status == 2
    assert refused.out == ""
    prefix, separator, sentence = refused.err.partition("landmark-detection: ")
    assert (prefix, separator) == ("", "landmark-detection: ")
    assert sentence.endswith(".\n")
    assert sentence.count("\n") == 1
    return sentence.strip()


def write_scan(path: Path, seed: int = 0) -> Path:
    """A noisy block of 60 x 68 x 60 mm."""
    voxels = np.random.default_rng(seed).normal(10.0, 3.0, (30, 34, 30)).astype(np.float32)
    voxels[8:22, 8:22, 8:22] += 100.0
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(Volume(voxels, np.diag([2.0, 2.0, 2.0, 1.0])), path)
    return path


def write_tiny_picture_bundle(folder: Path) -> Path:
    """A bundle like the tiny one, for pictures."""
    torch.manual_seed(0)
    network = PINNetwork(len(LABELS), outputs=2, widths=NETWORK["widths"], hidden=NETWORK["hidden"])
    card = load_bundle(write_tiny_bundle(folder, "tiny")).card
    save_bundle(folder / "tiny-2d", replace(card, name="tiny-2d", dimension=2, planes=()), network.state_dict())
    return folder / "tiny-2d"


def files_below(folder: Path) -> set[str]:
    """Every file of a folder, hidden ones too, by its path in it."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def run_uninstalled(*command: object) -> subprocess.CompletedProcess:
    """Run Python with its libraries but without the installation that would find the package anywhere."""
    packages = str(Path(np.__file__).resolve().parents[1])
    command = [sys.executable, "-S", *map(str, command)]
    variables = {"PYTHONPATH": packages, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=variables)


def copy_package(folder: Path) -> Path:
    """Copy the package into a folder, as Slicer installs it flat beside other modules."""
    shutil.copytree(MODULE / "LandmarkDetectionLib", folder / "LandmarkDetectionLib")
    return folder
