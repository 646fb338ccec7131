"""A stand-in for slicer.packaging that asks before it installs, as Slicer does; tests say what installing would do."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import slicer
from packaging.requirements import Requirement

Requirements = str | Requirement | list[str | Requirement]


def load_requirements(path: str | Path) -> list[Requirement]:
    """One a line; a comment has a line of its own."""
    lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def pip_check(requirement: Requirements) -> bool:
    """Whether everything is installed."""
    requirements = requirement if isinstance(requirement, list) else [requirement]
    return all(_is_installed(Requirement(str(one))) for one in requirements)


def pip_ensure(
    requirements: Requirements,
    constraints: str | Path | None = None,
    *,
    prompt_install: bool = True,
    requester: str | None = None,
) -> None:
    """Install what is missing, if the user agrees."""
    missing = [str(one) for one in ([requirements] if isinstance(requirements, str) else requirements)]
    missing = [one for one in missing if not pip_check(one)]
    if not missing:
        return
    question = f"{len(missing)} Python packages need to be installed."
    title = f"{requester} - Install Python Packages"
    if prompt_install and not slicer.util.confirmOkCancelDisplay(question, title, detailedText="\n".join(missing)):
        message = "User declined package installation"
        raise RuntimeError(message)
    pip_install(missing, constraints=constraints, requester=requester)


def pip_install(
    requirements: Requirements, constraints: str | Path | None = None, *, requester: str | None = None
) -> None:
    """Refused: the environment of the tests is not theirs to change."""
    message = f"the testbed installs nothing, not even {requirements}"
    raise NotImplementedError(message)


def _is_installed(requirement: Requirement) -> bool:
    try:
        return requirement.specifier.contains(version(requirement.name))
    except PackageNotFoundError:
        return False
