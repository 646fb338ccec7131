"""Writes the list of packaged files into each module's CMakeLists.txt: `python Testing/cmake_lists.py`."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]

_NOT_PACKAGED = {"CMakeLists.txt"}
_SOURCES_OF_ICONS = ".svg"
_SCRIPTS_TO_RUN = "Scripts"
"""Python files in this folder are data for CMake: they are run by path, not imported."""


def modules() -> list[Path]:
    """Folders of the extension's modules."""
    return sorted(path.parent for path in REPOSITORY.glob("*/CMakeLists.txt"))


def packaged_files(module: Path) -> tuple[list[str], list[str]]:
    """Python files and resources below a module's folder that git tracks, or would if asked to."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "."]
    listed = subprocess.run(command, cwd=module, check=True, capture_output=True, text=True).stdout.split("\0")
    paths = [Path(name) for name in sorted(set(filter(None, listed))) if (module / name).is_file()]
    packaged = [path for path in paths if path.name not in _NOT_PACKAGED and path.suffix != _SOURCES_OF_ICONS]
    scripts = [path for path in packaged if path.suffix == ".py" and path.parts[0] != _SCRIPTS_TO_RUN]
    return [path.as_posix() for path in scripts], [path.as_posix() for path in packaged if path not in scripts]


def listed_files(module: Path) -> tuple[list[str], list[str]]:
    """Python files and resources that a module's CMakeLists.txt lists."""
    text = (module / "CMakeLists.txt").read_text(encoding="utf-8")
    return _entries(text, "MODULE_PYTHON_SCRIPTS"), _entries(text, "MODULE_PYTHON_RESOURCES")


def update(module: Path) -> None:
    """Make a module's CMakeLists.txt list what there is."""
    file = module / "CMakeLists.txt"
    text = file.read_text(encoding="utf-8")
    for variable, files in zip(
        ("MODULE_PYTHON_SCRIPTS", "MODULE_PYTHON_RESOURCES"), packaged_files(module), strict=True
    ):
        entries = "".join(f"  {name}\n" for name in files)
        text = _list_pattern(variable).sub(lambda match, entries=entries: f"{match[1]}\n{entries}  )", text)
    file.write_text(text, encoding="utf-8")


def _list_pattern(variable: str) -> re.Pattern[str]:
    return re.compile(rf"(set\({variable}\b)([^)]*)\)")


def _entries(text: str, variable: str) -> list[str]:
    return _list_pattern(variable).search(text)[2].split()


if __name__ == "__main__":
    for folder in modules():
        update(folder)
