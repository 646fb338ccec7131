"""Packages: what a module needs and Slicer lacks, installed if the user agrees, from the network or from a folder."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from LandmarkDetectionLib.errors import LandmarkDetectionError

_TORCH_VERSIONS = ">=2.2"
_TORCH = f"torch{_TORCH_VERSIONS}"
_KEPT = ("numpy", "SimpleITK", "torch")
"""Never replaced once they are there: Slicer's own, and the PyTorch that its extension chose for this computer."""


class Packages:
    """What one module needs. It asks once a session; after "Cancel" the buttons of `PackagesRow` install all the same.

    Args:
        requirements: file that lists the packages besides PyTorch, one a line.
        requester: the module, as the prompt and the messages name it.
    """

    def __init__(self, requirements: Path, requester: str) -> None:
        self._requirements = requirements
        self._requester = requester
        self._is_agreed: bool | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """Requirements that are not met, as pip writes them."""
        from slicer.packaging import load_requirements, pip_check

        needed = [_TORCH, *map(str, load_requirements(str(self._requirements)))]
        return tuple(requirement for requirement in needed if not pip_check(requirement))

    def ensure(self) -> None:
        """Have everything installed. The user is asked at the first call of a session that finds something missing.

        Raises:
            LandmarkDetectionError: if something is missing and cannot be, or was not allowed to be, installed.
        """
        missing = self.missing
        if not missing:
            return
        self._check_torch_can_come(missing)
        if self._is_agreed is None:
            self._is_agreed = self._ask(missing)
        if not self._is_agreed:
            message = _(
                '{requester} needs packages that you chose not to install ({packages}): press "Install" beside '
                "Packages to install them after all."
            )
            raise LandmarkDetectionError(message.format(requester=self._requester, packages=", ".join(missing)))
        self.install()

    def install(self) -> None:
        """Install from the network what is missing, without asking.

        Raises:
            LandmarkDetectionError: if that fails.
        """
        from slicer.packaging import pip_ensure

        missing = self.missing
        self._check_torch_can_come(missing)
        if _TORCH in missing:
            self._install_torch()
        others = [requirement for requirement in missing if requirement != _TORCH]
        advice = _("check the connection to the internet, or install from a folder of wheels.")
        with _constraints() as kept, self._failures_told(advice):
            pip_ensure(others, constraints=kept, prompt_install=False, requester=self._requester)

    def install_from(self, folder: Path) -> None:
        """Install what is missing from wheels in a folder, without any network.

        Raises:
            LandmarkDetectionError: if that fails.
        """
        from slicer.packaging import pip_install

        missing = list(self.missing)
        wanted = " ".join(f'"{requirement}"' for requirement in missing)
        advice = _(
            "fill a folder on a computer with internet, of the same system and version of Python, with: "
            "pip download -d FOLDER {packages}"
        ).format(packages=wanted)
        if not any(folder.glob("*.whl")):
            message = _("{folder} holds no wheels (*.whl): {advice}").format(folder=folder, advice=advice)
            raise LandmarkDetectionError(message)
        with _constraints() as kept, self._failures_told(advice):
            arguments = ["--no-index", "--find-links", str(folder), *missing]
            pip_install(arguments, constraints=kept, requester=self._requester)

    def _check_torch_can_come(self, missing: tuple[str, ...]) -> None:
        try:
            if _TORCH in missing:
                import PyTorchUtils  # noqa: F401
        except ImportError as error:
            message = _(
                "{requester} needs PyTorch: install the PyTorch extension in the Extensions Manager and restart "
                "Slicer, or install from a folder of wheels."
            ).format(requester=self._requester)
            raise LandmarkDetectionError(message) from error

    def _ask(self, missing: tuple[str, ...]) -> bool:
        question = _(
            "{requester} needs Python packages that Slicer lacks: {packages}. Install them into Slicer now, from the "
            "internet?"
        ).format(requester=self._requester, packages=", ".join(missing))
        if _TORCH in missing:
            question += " " + _("PyTorch takes up to 3 GB of disk space.")
        title = _("{requester}: install packages").format(requester=self._requester)
        return slicer.util.confirmOkCancelDisplay(question, title)

    def _install_torch(self) -> None:
        from PyTorchUtils import PyTorchUtilsLogic

        logic = PyTorchUtilsLogic()
        if logic.installTorch(askConfirmation=False, torchVersionRequirement=_TORCH_VERSIONS) is None:
            message = _("PyTorch could not be installed: see the Python console, or install from a folder of wheels.")
            raise LandmarkDetectionError(message)

    @contextmanager
    def _failures_told(self, advice: str) -> Iterator[None]:
        try:
            yield
        except (RuntimeError, subprocess.CalledProcessError) as error:
            message = _("{requester} lacks packages that could not be installed ({reason}): {advice}")
            text = message.format(requester=self._requester, reason=error, advice=advice)
            raise LandmarkDetectionError(text) from error


@contextmanager
def _constraints() -> Iterator[Path]:
    """A file that keeps pip from replacing what is to stay as it is."""
    with tempfile.TemporaryDirectory(prefix="LandmarkDetection-") as folder:
        file = Path(folder, "constraints.txt")
        file.write_text("".join(f"{name}=={there}\n" for name in _KEPT if (there := _version(name))), encoding="utf-8")
        yield file


def _version(package: str) -> str:
    """Of an installed package; empty if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
