"""Calls of the command line as such: help, wrong calls, how fast it answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from command_line import call, sentence_of, write_scan
from tiny_detector import write_tiny_bundle

ABSENT_DEVICES = [
    name
    for name, is_present in {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}.items()
    if not is_present
]


def test_help_is_a_success():
    shown = call("--help")
    assert shown.status == 0
    assert all(command in shown.out for command in ("detect", "train", "evaluate", "dataset", "models", "demo"))


@pytest.mark.parametrize("command", ["detect", "train", "evaluate", "dataset", "models", "demo"])
def test_every_command_explains_itself(command):
    shown = call(command, "--help")
    assert shown.status == 0
    usage, description, *_ = shown.out.split("\n\n")
    assert f"landmark-detection {command}" in usage
    assert not description.startswith(("options", "positional"))


def test_training_says_how_long_it_takes():
    shown = " ".join(call("train", "--help").out.split())
    assert "quick 5 minutes at most, standard 60 minutes at most, paper as published" in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "COMMAND"),
        (("undo",), "invalid choice: 'undo'"),
        (("detect",), "--model, --input, --output"),
        (("detect", "--model", "m", "--input", "i", "--output", "o", "--colour"), "--colour"),
        (("models",), "ACTION"),
        (("train", "--dataset", "d", "--method", "pin", "--output", "o", "--preset", "slow"), "invalid choice: 'slow'"),
        (("evaluate", "--dataset", "d", "--output", "o"), "--model --predictions"),
        (("evaluate", "--dataset", "d", "--output", "o", "--model", "m", "--predictions", "p"), "not allowed with"),
    ],
)
def test_a_wrong_call_is_one_sentence_and_status_2(arguments, words):
    sentence = sentence_of(call(*arguments))
    assert words in sentence
    assert "--help" in sentence


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "wide", "", "0.2,", "0.2,0.3,0.4", "0.2x0.2"])
def test_a_pixel_size_that_is_none_is_refused(tmp_path, value):
    refused = call("detect", "--model", "m", "--input", tmp_path, "--output", tmp_path / "out", f"--spacing={value}")
    assert "is not a pixel size such as 0.2" in sentence_of(refused)


@pytest.mark.parametrize("value", ["", "iterations", "=3", "iterations="])
def test_an_option_without_key_or_value_is_refused(tmp_path, value):
    refused = call("detect", "--model", "m", "--input", tmp_path, "--output", tmp_path / "out", f"--option={value}")
    assert "key=value" in sentence_of(refused)


@pytest.mark.parametrize("device", ABSENT_DEVICES)
def test_an_absent_device_is_refused_and_never_replaced(tmp_path, device):
    scan = write_scan(tmp_path / "scan.nrrd")
    model = write_tiny_bundle(tmp_path)
    refused = call("detect", "--model", model, "--input", scan, "--output", tmp_path / "out", "--device", device)
    assert f'no device "{device}"' in sentence_of(refused)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [["--help"], ["models", "list"], ["dataset", "check"]])
def test_what_needs_no_network_loads_no_torch(tmp_path, arguments):
    if "check" in arguments:
        write_scan(tmp_path / "scan.nrrd")
        arguments = [*arguments, str(tmp_path)]
    program = (
        "import sys; from LandmarkDetectionLib.cli import main; main(sys.argv[1:]);"
        "sys.exit(str({'torch', 'matplotlib', 'sklearn', 'lightning'} & set(sys.modules)))"
    )
    finished = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert finished.stderr.splitlines()[-1] == "set()"


def test_the_installed_command_is_this_one():
    command = Path(sys.executable).with_name("landmark-detection")
    finished = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert finished.stdout.startswith("landmark-detection ")


def test_a_reader_that_leaves_early_is_no_failure(tmp_path):
    """As in `landmark-detection models show NAME | head -1`."""
    model = write_tiny_bundle(tmp_path)
    program = [sys.executable, "-m", "LandmarkDetectionLib.cli", "models", "show", str(model)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (141, "")
