"""A training holds its folder until it ends, and a killed one leaves nothing locked."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.training.folders import forget_training
from LandmarkDetectionLib.training.lock import is_training, training_lock

HOLD = (
    "import sys, time; from pathlib import Path; from LandmarkDetectionLib.training.lock import training_lock\n"
    "with training_lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
)


def test_a_folder_is_held_once_and_free_afterwards(tmp_path):
    assert not is_training(tmp_path)
    assert not is_training(Path(__file__) / "below a file")
    with training_lock(tmp_path):
        assert is_training(tmp_path)
        with pytest.raises(LandmarkDetectionError, match="Another program is training in"), training_lock(tmp_path):
            pass
        assert is_training(tmp_path)
    assert not is_training(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_is_free_after_a_failure(tmp_path):
    with pytest.raises(ZeroDivisionError), training_lock(tmp_path):
        raise ZeroDivisionError
    assert not is_training(tmp_path)


def test_another_program_that_is_killed_leaves_the_folder_free(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout.readline() == "held\n"
        assert is_training(tmp_path)
        program.kill()
    deadline = time.monotonic() + 5
    while is_training(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_training(tmp_path)


def test_forgetting_leaves_nothing_but_the_lock_of_the_training_that_begins(tmp_path):
    (tmp_path / "fold-1.training").mkdir()
    (tmp_path / "fold-1.training" / "last.ckpt").touch()
    (tmp_path / "metrics.csv").touch()
    with training_lock(tmp_path):
        forget_training(tmp_path)
        assert [file.name for file in tmp_path.iterdir()] == ["training.lock"]
        assert is_training(tmp_path)
