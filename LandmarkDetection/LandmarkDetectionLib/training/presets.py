"""How long a training may last, by the name of its preset."""

from __future__ import annotations

PRESETS: dict[str, float | None] = {"quick": 5.0, "standard": 60.0, "paper": None}
"""Preset -> minutes within which every method ends on two processor cores; None for the published schedule."""
