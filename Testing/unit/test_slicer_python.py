"""A run in Slicer's own Python, which has numpy, SimpleITK and vtk, and was given torch and safetensors."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
from tiny_detector import write_tiny_bundle

from LandmarkDetectionLib.files.images import write_volume
from LandmarkDetectionLib.volume import Volume

ABSENT = ("lightning", "matplotlib", "monai", "scipy", "sklearn", "tqdm")
PROGRAM = f"""
import sys
sys.modules.update(dict.fromkeys({ABSENT}))
from LandmarkDetectionLib.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_detection_needs_nothing_that_slicer_lacks(tmp_path):
    bundle = write_tiny_bundle(tmp_path)
    head = np.zeros((30, 30, 30), np.float32)
    head[8:22, 8:22, 8:22] = 100.0
    write_volume(Volume(head, np.diag([2.0, 2.0, 2.0, 1.0])), tmp_path / "scan.nii.gz")
    call = ["detect", "--model", bundle, "--input", tmp_path / "scan.nii.gz", "--output", tmp_path / "out", "--planes"]
    finished = subprocess.run([sys.executable, "-c", PROGRAM, *call], capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert (tmp_path / "out" / "scan.mrk.json").is_file()
    assert (tmp_path / "out" / "index.html").is_file()
