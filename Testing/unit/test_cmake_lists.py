"""Slicer packages what CMake lists, and nothing else: the lists are the files there are."""

from __future__ import annotations

import re

import pytest
from cmake_lists import REPOSITORY, listed_files, modules, packaged_files

MODULES = [pytest.param(path, id=path.name) for path in modules()]


@pytest.mark.parametrize("module", MODULES)
def test_every_file_is_listed_and_every_listed_file_exists(module):
    advice = "run: python Testing/cmake_lists.py"
    assert listed_files(module) == packaged_files(module), advice


@pytest.mark.parametrize("module", MODULES)
def test_the_module_its_panel_and_its_icon_are_among_them(module):
    scripts, resources = listed_files(module)
    assert f"{module.name}.py" in scripts
    assert {f"Resources/UI/{module.name}.ui", f"Resources/Icons/{module.name}.png"} <= set(resources)


def test_no_path_occurs_in_two_modules():
    """Both are installed into one folder."""
    installed = [name for module in modules() for files in listed_files(module) for name in files]
    assert len(installed) == len(set(installed))


def test_the_root_adds_every_module_and_has_the_name_of_the_extension():
    text = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")
    assert re.findall(r"add_subdirectory\((\w+)\)", text) == [module.name for module in modules()]
    assert "project(LandmarkDetection)" in text
    assert 'set(EXTENSION_DEPENDS "PyTorch")' in text
