"""The package in a wheel and in an editable install; test_installation.py is about Slicer's flat folder."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import resources
from itertools import chain
from pathlib import Path

import pytest

PACKAGE = "LandmarkDetectionLib"
REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = REPOSITORY / "LandmarkDetection" / PACKAGE


def packaged_files() -> set[str]:
    """Every file of the package, as a path below its folder."""
    files = (path.relative_to(SOURCE) for path in SOURCE.rglob("*") if path.is_file())
    return {path.as_posix() for path in files if "__pycache__" not in path.parts}


def project() -> dict:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel built from a copy of the sources, so that nothing is left in the repository."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(REPOSITORY / name, folder)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(SOURCE, folder / "LandmarkDetection" / PACKAGE, ignore=ignore)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "."]
    subprocess.run(command, cwd=folder, check=True)
    return next(folder.glob("*.whl"))


class TestWheel:
    def test_holds_every_file_of_the_package_and_nothing_else(self, wheel):
        with zipfile.ZipFile(wheel) as archive:
            names = {name for name in archive.namelist() if ".dist-info/" not in name}
        assert names == {f"{PACKAGE}/{name}" for name in packaged_files()}

    def test_carries_the_licence_the_notices_and_the_command(self, wheel):
        with zipfile.ZipFile(wheel) as archive:
            names = {name.partition(".dist-info/")[2] for name in archive.namelist()}
            scripts = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
            assert f"landmark-detection = {PACKAGE}.cli:main" in archive.read(scripts).decode()
        assert {"licenses/LICENSE", "licenses/NOTICE"} <= names


def test_resources_are_found_where_the_tests_run():
    assert resources.files(PACKAGE).joinpath("Resources", "Models", "registry.json").is_file()


def test_only_names_of_our_own_can_be_imported():
    """Slicer puts both modules into one folder on the path, as it does with those of every other extension."""
    packages = {path.parent for path in REPOSITORY.glob("Landmark*/**/__init__.py")}
    tops = {folder.name for folder in packages if folder.parent not in packages}
    assert PACKAGE in tops
    assert all(name.startswith("Landmark") for name in tops)


class TestDependencies:
    @staticmethod
    def name_of(requirement: str) -> str:
        return re.match(r"[\w-]+", requirement)[0].lower().replace("_", "-")

    def test_every_direct_dependency_has_a_lower_bound_and_an_exact_version(self):
        pins = [line for line in (REPOSITORY / "constraints.txt").read_text().splitlines() if "==" in line]
        exact = {self.name_of(pin) for pin in pins}
        extras = project()["optional-dependencies"].values()
        for requirement in chain(project()["dependencies"], *extras):
            assert ">=" in requirement or "==" in requirement, requirement
            assert self.name_of(requirement) in exact, requirement

    def test_exact_versions_hold_from_any_index(self):
        """A local label such as +cpu would exist on one index only."""
        assert "+" not in (REPOSITORY / "constraints.txt").read_text()


def test_every_sample_is_credited():
    samples = [path.name for path in (SOURCE / "Resources" / "Samples").iterdir()]
    notice = (REPOSITORY / "NOTICE").read_text()
    assert not [name for name in samples if name.partition(".")[0] not in notice]
