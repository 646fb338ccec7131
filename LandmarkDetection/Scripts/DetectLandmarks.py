"""The command line for Slicer: Slicer --no-main-window --python-script DetectLandmarks.py -- detect ..."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "LandmarkDetectionLib"


def main() -> None:
    """Run the command that follows this script's name, then end the process, Slicer's too, with its exit status."""
    if find_spec(PACKAGE) is None:
        here = Path(__file__).resolve().parent
        sys.path[:0] = [str(folder) for folder in (here, here.parent) if (folder / PACKAGE).is_dir()]
    from LandmarkDetectionLib.cli import main as run_command

    arguments = sys.argv[1:]
    if arguments[:1] == ["--"]:
        del arguments[0]
    sys.exit(run_command(arguments))


if __name__ == "__main__":
    main()
