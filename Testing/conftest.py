"""What every test may ask for: the repository, the public data beside it, and a quiet, repeatable machine."""

from __future__ import annotations

import locale
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")


@pytest.fixture(scope="session")
def repository_root() -> Path:
    """The folder that holds pyproject.toml."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data(repository_root: Path) -> Path:
    """The public data sets in ../shared/data, beside the repository; tests that need them are skipped without it."""
    folder = repository_root.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"The public data sets are not at {folder}: put them there to run this test.")
    return folder


@pytest.fixture(autouse=True)
def _same_locale() -> Iterator[None]:
    """ITK's writer of DICOM files, which some tests use, leaves the C locale behind."""
    before = locale.setlocale(locale.LC_ALL)
    yield
    locale.setlocale(locale.LC_ALL, before)
