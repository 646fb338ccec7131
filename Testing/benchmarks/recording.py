"""Many rows of results.csv, one after the other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

_SCRIPT = Path(__file__).with_name("record_training.py")


def all_recorded(asked: Iterable[Sequence[str]]) -> bool:
    """Call record_training.py with each of these arguments; whether none failed."""
    # Each in a process of its own, so that one that fails stops no other.
    codes = [subprocess.run([sys.executable, str(_SCRIPT), *one], check=False).returncode for one in asked]
    return not any(codes)
