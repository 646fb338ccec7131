"""demo, with a copy of the package that ships two models: one with an image to try it on, one without."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_line import SCRIPT, copy_package, files_below, run_uninstalled, write_scan
from tiny_detector import LABELS, write_tiny_bundle


@pytest.fixture
def package(tmp_path) -> Path:
    """The copy's folder; it ships nothing."""
    folder = copy_package(tmp_path / "flat")
    resources = folder / "LandmarkDetectionLib" / "Resources"
    for shipped in ("Models", "Samples"):
        shutil.rmtree(resources / shipped)
        (resources / shipped).mkdir()
    ship(folder, [])
    return folder


def ship(package: Path, names: list[str]) -> None:
    """Ship tiny models under these names; the first alone with an image."""
    resources = package / "LandmarkDetectionLib" / "Resources"
    entries = []
    for index, name in enumerate(names):
        bundle = write_tiny_bundle(resources / "Models", name)
        sha256 = json.loads((bundle / "model.json").read_text())["weights_sha256"]
        sample = "Samples/scan.nrrd" if index == 0 else None
        entries.append({"name": name, "folder": name, "weights_sha256": sha256, "sample": sample})
        write_scan(resources / "Samples" / "scan.nrrd")
    registry = {"format_version": 1, "models": entries}
    (resources / "Models" / "registry.json").write_text(json.dumps(registry))


def demo(package: Path, *arguments: object):
    shutil.copy(SCRIPT, package)
    return run_uninstalled(package / SCRIPT.name, "--", "demo", *arguments)


def test_shows_every_model_that_has_an_image(package, tmp_path):
    ship(package, ["tiny-head", "tiny-hand"])
    done = demo(package, "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert all(label in done.stdout for label in LABELS)
    assert done.stdout.splitlines()[-1] == f"1 of 1 case succeeded: see {tmp_path / 'out' / 'index.html'}"
    planes = {f"tiny-head_{name}{suffix}" for name in ("axial", "axial_from_below") for suffix in (".png", ".nrrd")}
    case = {"tiny-head.mrk.json", "tiny-head.planes.mrk.json", "tiny-head.detection.json", "thumbnails/tiny-head.png"}
    assert files_below(tmp_path / "out") == planes | case | {"index.html", "results.csv", "cases.csv"}


def test_without_a_model_it_says_so(package, tmp_path):
    refused = demo(package, "--output", tmp_path / "out")
    assert refused.returncode == 2
    assert "use detect with an image of your own." in refused.stderr
    assert not (tmp_path / "out").exists()


def test_a_damaged_model_is_named(package, tmp_path):
    ship(package, ["tiny-head"])
    weights = package / "LandmarkDetectionLib" / "Resources" / "Models" / "tiny-head" / "weights.safetensors"
    weights.write_bytes(b"cut")
    refused = demo(package, "--output", tmp_path / "out")
    assert refused.returncode == 2
    assert "tiny-head" in refused.stderr
    assert "Traceback" not in refused.stderr
