"""Arguments that several commands take, and how their values are read."""

from __future__ import annotations

import argparse
import math

DEVICES = ("auto", "cpu", "cuda", "mps")


def add_device_argument(parser: argparse.ArgumentParser) -> None:
    """Offer --device."""
    parser.add_argument(
        "--device", choices=DEVICES, default="auto", help="where to compute (default: auto, the best there is)"
    )


def seed(text: str) -> int:
    """A whole number that is not negative.

    Raises:
        argparse.ArgumentTypeError: if it is anything else.
    """
    if not text.isascii() or not text.isdigit():
        message = f'"{text}" is not a seed, which is a whole number such as 0'
        raise argparse.ArgumentTypeError(message)
    return int(text)


def spacing_mm(text: str) -> tuple[float, float]:
    """One pixel size for both axes, or two with a comma between, in millimetres.

    Raises:
        argparse.ArgumentTypeError: if it is anything else, or not above zero.
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2) or not all(0 < number < math.inf for number in numbers):
        message = f'"{text}" is not a pixel size such as 0.2 or 0.2,0.25 in millimetres'
        raise argparse.ArgumentTypeError(message)
    return numbers[0], numbers[-1]


def key_and_value(text: str) -> tuple[str, str]:
    """The two sides of key=value.

    Raises:
        argparse.ArgumentTypeError: if one is missing.
    """
    key, _, value = text.partition("=")
    if not key or not value:
        message = f'"{text}" is not of the form key=value'
        raise argparse.ArgumentTypeError(message)
    return key, value
