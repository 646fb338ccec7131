"""`make screenshots`: a panel in its main states, beside the views, as small PNG files."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from testbed import Testbed
from testbed.plot_view import add_plots

from .detection_pictures import picture_detection
from .training_pictures import picture_training
from .window import Album

_REPOSITORY = Path(__file__).resolve().parents[3]


def main() -> None:
    """Write the pictures of one module; a process has one application, and an application one scene."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=_REPOSITORY / "Resources" / "Screenshots")
    parser.add_argument("module", choices=("detection", "training"))
    arguments = parser.parse_args()
    album = Album(arguments.output.resolve())
    testbed = Testbed()
    sys.excepthook = sys.__excepthook__
    plot_view = add_plots(testbed)
    detection, training = (
        testbed.load_module(_REPOSITORY / name / f"{name}.py") for name in ("LandmarkDetection", "LandmarkTraining")
    )
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LANDMARK_DETECTION_MODELS"] = str(Path(folder, "models"))
        os.chdir(folder)
        if arguments.module == "detection":
            picture_detection(testbed, detection, album)
        else:
            picture_training(testbed, training, plot_view, album)
    if testbed.messages:
        sys.exit("\n".join(testbed.messages))


main()
