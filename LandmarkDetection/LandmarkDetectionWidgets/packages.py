"""Asks before it installs the packages a detection needs: PyTorch through its extension, the rest from a list."""

from __future__ import annotations

import subprocess
from importlib.util import find_spec
from pathlib import Path

from slicer.i18n import tr as _

from LandmarkDetectionLib.errors import LandmarkDetectionError


def ensure_packages(requirements: Path) -> None:
    """Make the packages importable, installing what is missing if the user agrees.

    Args:
        requirements: list of packages besides PyTorch, one a line.

    Raises:
        LandmarkDetectionError: if something is missing and cannot be, or was not allowed to be, installed.
    """
    if find_spec("torch") is None:
        _install_torch()
    _install_listed(requirements)


def _install_torch() -> None:
    try:
        from PyTorchUtils import PyTorchUtilsLogic
    except ImportError as error:
        message = _(
            "Landmark detection needs PyTorch: install the PyTorch extension in the Extensions Manager, "
            "restart Slicer and try again."
        )
        raise LandmarkDetectionError(message) from error
    if PyTorchUtilsLogic().installTorch(askConfirmation=True) is None:
        message = _("Landmark detection needs PyTorch, which was not installed: try again and agree to install it.")
        raise LandmarkDetectionError(message)


def _install_listed(requirements: Path) -> None:
    import slicer.packaging

    try:
        slicer.packaging.pip_ensure(
            slicer.packaging.load_requirements(str(requirements)), requester="Landmark Detection"
        )
    except (RuntimeError, subprocess.CalledProcessError) as error:
        message = _("Landmark detection lacks a package that could not be installed ({reason}).").format(reason=error)
        raise LandmarkDetectionError(message) from error
