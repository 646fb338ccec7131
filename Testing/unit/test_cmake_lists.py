"""Slicer packages what CMake lists, and nothing else: the lists are the files there are."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cmake_lists import REPOSITORY, listed_files, modules, packaged_files

MODULES = [pytest.param(path, id=path.name) for path in modules()]
CMAKES = [path for path in [shutil.which("cmake")] if path]

STUB_SLICER_CONFIG = """
set(Slicer_USE_FILE ${CMAKE_CURRENT_LIST_DIR}/UseSlicer.cmake)
set(Slicer_EXTENSION_GENERATE_CONFIG ${CMAKE_CURRENT_LIST_DIR}/Generate.cmake)
set(Slicer_EXTENSION_CPACK ${CMAKE_CURRENT_LIST_DIR}/CPack.cmake)
"""

STUB_USE_SLICER = """
function(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MODULE "WITH_GENERIC_TESTS" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MODULE_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "unknown: ${MODULE_UNPARSED_ARGUMENTS}")
  endif()
  foreach(file ${MODULE_SCRIPTS} ${MODULE_RESOURCES})
    if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${file})
      message(FATAL_ERROR "no file ${file}")
    endif()
    message(STATUS "PACKAGED ${MODULE_NAME}/${file}")
  endforeach()
endfunction()
function(slicer_add_python_unittest)
endfunction()
"""

STUB_GENERATE_CONFIG = """
foreach(name HOMEPAGE CONTRIBUTORS DESCRIPTION ICONURL DEPENDS)
  if(NOT EXTENSION_${name})
    message(FATAL_ERROR "EXTENSION_${name} is not set")
  endif()
endforeach()
"""


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


@pytest.mark.parametrize("cmake", CMAKES)
def test_cmake_configures_the_extension_against_a_stub_of_slicer(cmake, tmp_path):
    stub = tmp_path / "Slicer"
    stub.mkdir()
    (stub / "SlicerConfig.cmake").write_text(STUB_SLICER_CONFIG)
    (stub / "UseSlicer.cmake").write_text(STUB_USE_SLICER)
    (stub / "Generate.cmake").write_text(STUB_GENERATE_CONFIG)
    (stub / "CPack.cmake").write_text("")
    command = [
        cmake,
        f"-DSlicer_DIR={stub}",
        "-DBUILD_TESTING=ON",
        "-S",
        str(REPOSITORY),
        "-B",
        str(tmp_path / "build"),
    ]
    # The extension has nothing to compile, but project() looks for compilers unless they are named.
    compilers = ["-DCMAKE_C_COMPILER_WORKS=1", "-DCMAKE_CXX_COMPILER_WORKS=1"]
    finished = subprocess.run([*command, *compilers], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    packaged = {Path(line.split("PACKAGED ")[1]) for line in finished.stdout.splitlines() if "PACKAGED" in line}
    expected = {Path(module.name) / name for module in modules() for files in packaged_files(module) for name in files}
    assert packaged == expected
