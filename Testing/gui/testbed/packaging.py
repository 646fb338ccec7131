"""A stand-in for slicer.packaging whose user declines every installation."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

from packaging.requirements import Requirement


def make_packaging_module() -> ModuleType:
    """Only what the modules call."""
    module = ModuleType("slicer.packaging")
    module.load_requirements = _load_requirements
    module.pip_ensure = _pip_ensure
    return module


def _load_requirements(path: str) -> list[Requirement]:
    lines = [line.partition("#")[0].strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return [Requirement(line) for line in lines if line]


def _pip_ensure(requirements: list[Requirement], *, requester: str) -> None:
    missing = [str(requirement) for requirement in requirements if not _is_installed(requirement)]
    if missing:
        message = f"{requester} needs {', '.join(missing)}, and the user declined to install it"
        raise RuntimeError(message)


def _is_installed(requirement: Requirement) -> bool:
    try:
        return requirement.specifier.contains(version(requirement.name))
    except PackageNotFoundError:
        return False
