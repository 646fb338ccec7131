"""Words that depend on a number."""

from __future__ import annotations

from collections.abc import Sequence


def counted(number: int, noun: str) -> str:
    """A number of things whose name takes an s.

    Example:
        >>> counted(1, "case"), counted(2, "case")
        ('1 case', '2 cases')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def missing_landmarks(labels: Sequence[str]) -> str:
    """What to do with landmarks that something needs.

    Example:
        >>> missing_landmarks(["AC"]), missing_landmarks(["AC", "PC"])
        ('the missing landmark "AC"; place it', 'the missing landmarks "AC", "PC"; place them')
    """
    quoted = ", ".join(f'"{label}"' for label in labels)
    if len(labels) == 1:
        return f"the missing landmark {quoted}; place it"
    return f"the missing landmarks {quoted}; place them"
