"""What every command prints for machines, and the argument that asks for it."""

from __future__ import annotations

import argparse
import json
import shutil
import sys


def add_json_argument(parser: argparse.ArgumentParser) -> None:
    """Offer --json."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def terminal_width() -> int | None:
    """Letters in a line of the terminal that shows the results; None in a pipe or a file, which takes any line."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_json(value: object) -> None:
    """One JSON value on stdout."""
    print(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))
