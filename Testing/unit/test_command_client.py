"""A panel runs commands in a child process, learns what they came to, and can end them with all their children."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from blob_dataset import blob_case, write_blob_dataset
from tiny_detector import ENDLESS, write_tiny_bundle

from LandmarkDetectionLib.command_client import CommandFailed, CommandFinished, CommandProcess
from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.files.images import write_volume


@pytest.fixture
def command():
    process = CommandProcess()
    yield process
    process.cancel()


def result_of(command, limit_s=60.0):
    ends = time.monotonic() + limit_s
    while (result := command.poll()) is None:
        assert time.monotonic() < ends
        time.sleep(0.02)
    return result


def is_running(process_id):
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_a_command_prints_comes_back_once(command, tmp_path):
    folder = write_blob_dataset(tmp_path / "blobs", missing={"case3": ["dim"]})
    command.start("dataset", "check", str(folder), "--json")
    assert command.is_busy
    result = result_of(command)
    assert isinstance(result, CommandFinished)
    assert json.loads(result.output) == [{"case": "case3", "message": "These landmarks are missing: dim."}]
    assert not command.is_busy
    assert command.poll() is None


def test_a_command_that_is_refused_says_why(command, tmp_path):
    command.start("dataset", "check", str(tmp_path / "nowhere"), "--json")
    result = result_of(command)
    assert isinstance(result, CommandFailed)
    assert str(result.error).endswith("nowhere does not exist: check its name.")
    assert "nowhere does not exist" in result.log_tail


def test_a_crash_and_a_lack_of_memory_are_told_apart(command):
    for number, beginning in ((signal.SIGSEGV, "The process crashed (status -11"), (signal.SIGKILL, "The process was")):
        command.start("models", "list", "--json")
        os.kill(command.process_id, number)
        result = result_of(command)
        assert isinstance(result, CommandFailed)
        assert str(result.error).startswith(beginning)


def test_only_one_command_runs_at_a_time(command):
    command.start("models", "list", "--json")
    with pytest.raises(LandmarkDetectionError, match="wait or cancel"):
        command.start("models", "list", "--json")


def test_a_cancelled_command_is_gone_at_once(command):
    command.start("models", "list", "--json")
    process_id = command.process_id
    command.cancel()
    assert not is_running(process_id)
    assert not command.is_busy
    assert command.poll() is None


def test_a_command_ends_with_the_program_that_started_it(tmp_path):
    """Whatever ends that program: the command, which would never end, notices that nobody holds its input any more."""
    volume, _ = blob_case(0)
    write_volume(volume, tmp_path / "blobs.nii.gz")
    bundle = write_tiny_bundle(tmp_path, **ENDLESS)
    program = (
        "import os, sys; from LandmarkDetectionLib.command_client import CommandProcess; command = CommandProcess();"
        "command.start(*sys.argv[1:]); print(command.process_id, flush=True); os._exit(1)"
    )
    arguments = [
        "--model",
        bundle,
        "--input",
        tmp_path / "blobs.nii.gz",
        "--output",
        tmp_path / "out",
        "--device",
        "cpu",
    ]
    ended = subprocess.run(
        [sys.executable, "-c", program, "detect", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    process_id = int(ended.stdout)
    ends = time.monotonic() + 30.0
    while is_running(process_id) and time.monotonic() < ends:
        time.sleep(0.05)
    assert not is_running(process_id)
    assert not list(tmp_path.glob("out/*.mrk.json"))
