"""Asks before it installs the packages a detection needs: PyTorch through its extension, the rest from a list."""

from __future__ import annotations

import subprocess
from importlib.util import find_spec
from pathlib import Path

from slicer.i18n import tr as _

from LandmarkDetectionLib.errors import LandmarkDetectionError


def ensure_packages(requirements: Path, requester: str = "Landmark Detection") -> None:
    """Make the packages importable, installing what is missing if the user agrees.

    Args:
        requirements: list of packages besides PyTorch, one a line.
        requester: who asks, for the prompt and the messages.

    Raises:
        LandmarkDetectionError: if something is missing and cannot be, or was not allowed to be, installed.
    """
    if find_spec("torch") is None:
        _install_torch(requester)
    _install_listed(requirements, requester)


def _install_torch(requester: str) -> None:
    try:
        from PyTorchUtils import PyTorchUtilsLogic
    except ImportError as error:
        message = _(
            "{requester} needs PyTorch: install the PyTorch extension in the Extensions Manager, "
            "restart Slicer and try again."
        ).format(requester=requester)
        raise LandmarkDetectionError(message) from error
    if PyTorchUtilsLogic().installTorch(askConfirmation=True) is None:
        message = _("{requester} needs PyTorch, which was not installed: try again and agree to install it.")
        raise LandmarkDetectionError(message.format(requester=requester))


def _install_listed(requirements: Path, requester: str) -> None:
    import slicer.packaging

    try:
        slicer.packaging.pip_ensure(slicer.packaging.load_requirements(str(requirements)), requester=requester)
    except (RuntimeError, subprocess.CalledProcessError) as error:
        message = _("{requester} lacks a package that could not be installed ({reason}).")
        raise LandmarkDetectionError(message.format(requester=requester, reason=error)) from error
