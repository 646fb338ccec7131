"""What every command prints for machines, and the argument that asks for it."""

from __future__ import annotations

import argparse
import json


def add_json_argument(parser: argparse.ArgumentParser) -> None:
    """Offer --json."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def print_json(value: object) -> None:
    """One JSON value on stdout."""
    print(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))
