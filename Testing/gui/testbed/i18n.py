"""A stand-in for slicer.i18n: English alone."""

from __future__ import annotations


def tr(text: str) -> str:
    return text


def translate(_context: str, text: str) -> str:
    return text
