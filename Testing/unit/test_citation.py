"""CITATION.cff: valid by the essentials of Citation File Format 1.2, and in step with the package and the README."""

from __future__ import annotations

import re
import tomllib

import yaml
from cmake_lists import REPOSITORY

import LandmarkDetectionLib
from LandmarkDetectionLib.training.registry import METHODS

FIELDS = {
    *("cff-version", "title", "message", "abstract", "type", "version", "license", "repository-code", "authors"),
    *("keywords", "references"),
}
"""The fields of the format that this file uses; a misspelt one is not among them."""

FIELDS_OF_A_REFERENCE = {
    *("type", "title", "notes", "authors", "year", "collection-title", "conference", "publisher", "doi"),
    *("journal", "volume", "issue", "start", "end"),
}


def citation() -> dict:
    return yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))


def readme() -> str:
    return (REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_it_has_what_the_format_requires_and_no_field_the_format_lacks():
    assert {"cff-version", "title", "message", "authors"} <= set(citation()) <= FIELDS
    assert citation()["cff-version"] == "1.2.0"
    assert citation()["type"] == "software"
    assert all(set(author) == {"name"} for author in citation()["authors"])


def test_every_reference_has_what_the_format_requires():
    for reference in citation()["references"]:
        assert {"type", "title", "authors"} <= set(reference) <= FIELDS_OF_A_REFERENCE
        assert reference["type"] in {"article", "conference-paper"}
        assert all(set(author) == {"family-names", "given-names"} for author in reference["authors"])
        assert re.fullmatch(r"10\.\d{4,}/\S+", reference["doi"])
        assert isinstance(reference["year"], int)


def test_it_is_in_step_with_the_package():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation()["version"] == LandmarkDetectionLib.__version__
    assert citation()["license"] == project["license"]
    assert f'set(EXTENSION_HOMEPAGE "{citation()["repository-code"]}")' in (REPOSITORY / "CMakeLists.txt").read_text()


def test_the_four_papers_are_there_each_with_its_method_and_in_the_readme():
    methods = [re.fullmatch(r'Method "(.+)"\.', reference["notes"])[1] for reference in citation()["references"]]
    assert methods == ["pin", "cascade", "multiscale-locnet", "global-to-local"]
    assert set(methods) <= set(METHODS)
    for reference in citation()["references"]:
        assert f"https://doi.org/{reference['doi']}" in readme()
        assert reference["title"].lower() in " ".join(readme().split()).lower()
