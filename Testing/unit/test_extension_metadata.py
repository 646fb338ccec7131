"""What Slicer's ExtensionsIndex checks of an extension, as far as it needs no network."""

from __future__ import annotations

import json
import re

from cmake_lists import REPOSITORY, modules
from PySide6.QtGui import QImage

ENTRY = REPOSITORY / "Resources" / "ExtensionsIndex" / "LandmarkDetection.json"
ICONS = [
    str(REPOSITORY / "Resources" / "LandmarkDetection.png"),
    *(str(module / "Resources" / "Icons" / f"{module.name}.png") for module in modules()),
]
FIELDS_OF_THE_SCHEMA = {
    "$schema",
    "category",
    "scm_url",
    "scm_revision",
    "scm_type",
    "build_dependencies",
    "build_subdirectory",
    "enabled",
    "tier",
}
"""Of slicer-extension-catalog-entry-schema-v1.0.1; the first three are required, no other is allowed."""


def metadata() -> dict[str, str]:
    """The EXTENSION_ variables, read as the index reads them: from the text of the CMake file, unexpanded."""
    text = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")
    return dict(re.findall(r'set\s*\(EXTENSION_(\w+)\s*"([^"]+)"\)', text))


def entry() -> dict:
    return json.loads(ENTRY.read_text(encoding="utf-8"))


def image_urls() -> list[str]:
    return [metadata()["ICONURL"], *metadata()["SCREENSHOTURLS"].split()]


def test_the_entry_has_the_fields_of_its_schema():
    assert {"$schema", "category", "scm_url"} <= set(entry()) <= FIELDS_OF_THE_SCHEMA
    assert entry()["$schema"].endswith("/slicer-extension-catalog-entry-schema-v1.0.1.json#")
    assert entry()["tier"] in range(1, 6)
    assert b"\r" not in ENTRY.read_bytes()


def test_the_entry_agrees_with_the_cmake_file():
    text = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")
    assert f"project({ENTRY.stem})" in text
    assert entry()["scm_url"] == metadata()["HOMEPAGE"]
    assert entry()["scm_url"].rpartition("/")[2] == f"Slicer{ENTRY.stem}"
    assert entry()["build_dependencies"] == metadata()["DEPENDS"].split()


def test_the_category_is_that_of_both_modules():
    for name in ("LandmarkDetection", "LandmarkTraining"):
        text = (REPOSITORY / name / f"{name}.py").read_text(encoding="utf-8")
        assert f'translate("qSlicerAbstractCoreModule", "{entry()["category"]}")' in text


def test_every_picture_has_an_address_of_its_own_and_is_in_the_repository():
    """The index does not expand CMake variables."""
    assert len(image_urls()) >= 2
    raw = metadata()["HOMEPAGE"].replace("github.com", "raw.githubusercontent.com") + "/main/"
    for url in image_urls():
        assert url.startswith(raw)
        assert not QImage(str(REPOSITORY / url.removeprefix(raw))).isNull(), url


def test_no_text_breaks_apart_in_cmake():
    """A semicolon would make a list of it."""
    assert not [name for name, text in metadata().items() if ";" in text]


def test_icons_are_squares_of_128_pixels_that_differ():
    assert {(image.width(), image.height()) for image in map(QImage, ICONS)} == {(128, 128)}
    assert len({bytes(QImage(icon).constBits()) for icon in ICONS}) == len(ICONS)
