"""A folder run that is killed leaves only whole files, and goes on where it stopped."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import SimpleITK as sitk
from command_line import call, write_scan
from tiny_detector import write_tiny_bundle

CASES = 8
SLOWLY = ("--option", "iterations=600", "--option", "tolerance_mm=-1", "--planes")
LIMIT_S = 60.0


@pytest.fixture
def detection(tmp_path) -> tuple[str, ...]:
    """The arguments of a run that takes some seconds."""
    for index in range(CASES):
        write_scan(tmp_path / "in" / f"scan{index}.nii.gz", seed=index)
    model = write_tiny_bundle(tmp_path)
    return (
        "detect",
        "--model",
        str(model),
        "--input",
        str(tmp_path / "in"),
        "--output",
        str(tmp_path / "out"),
        *SLOWLY,
    )


def _heed_ctrl_c() -> None:
    """A shell starts its background jobs deaf to it, and their children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def succeeded(output: Path) -> list[str]:
    if not (output / "cases.csv").is_file():
        return []
    with (output / "cases.csv").open(newline="", encoding="utf-8") as stream:
        return [row["case"] for row in csv.DictReader(stream) if row["status"] == "succeeded"]


@contextmanager
def running(detection: tuple[str, ...], output: Path) -> Iterator[subprocess.Popen]:
    """A process that has done at least two cases of the run and is at the next."""
    command = [sys.executable, "-m", "LandmarkDetectionLib.cli", *detection]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, preexec_fn=_heed_ctrl_c, **streams) as process:  # noqa: PLW1509 - no thread runs yet
        try:
            ends = time.monotonic() + LIMIT_S
            while len(succeeded(output)) < 2:
                assert process.poll() is None, process.stderr.read()
                assert time.monotonic() < ends, "it took too long"
                time.sleep(0.01)
            yield process
        finally:
            process.kill()


def assert_only_whole_files(output: Path) -> None:
    for path in output.rglob("[!.]*"):
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix in (".png", ".nrrd"):
            sitk.ReadImage(str(path))
        elif path.suffix == ".csv":
            with path.open(newline="", encoding="utf-8") as stream:
                header, *rows = csv.reader(stream)
            assert all(len(row) == len(header) for row in rows)
        else:
            assert path.is_dir(), path


def test_a_killed_run_leaves_whole_files_and_resumes(detection, tmp_path):
    with running(detection, tmp_path / "out") as process:
        process.kill()
        process.wait()
    done = succeeded(tmp_path / "out")
    assert 2 <= len(done) < CASES
    assert_only_whole_files(tmp_path / "out")
    before = {name: (tmp_path / "out" / f"{name}.detection.json").stat().st_mtime_ns for name in done}

    assert call(*detection, "--resume").status == 0
    assert succeeded(tmp_path / "out") == [f"scan{index}" for index in range(CASES)]
    after = {name: (tmp_path / "out" / f"{name}.detection.json").stat().st_mtime_ns for name in done}
    assert after == before
    assert not list((tmp_path / "out").rglob(".*"))
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert page.count("<h3>") == CASES


def test_ctrl_c_ends_a_run_with_its_page_and_no_traceback(detection, tmp_path):
    with running(detection, tmp_path / "out") as process:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert errors.splitlines()[-1] == "landmark-detection: interrupted; what was done is written."
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    # The signal may come after a case's tables are written and before the run has counted it.
    assert len(succeeded(tmp_path / "out")) - page.count("<h3>") in (0, 1)
    assert len(succeeded(tmp_path / "out")) < CASES
    assert not list((tmp_path / "out").rglob(".*"))
