"""Cases of rare sizes, such as fetal heads of the first weeks, are learned from more often."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_ALIKE = 1.1
"""Sizes by a smaller ratio than this apart count as the same."""
_MOST_TURNS = 4
"""Variants of one case are worth less than other cases."""


def balanced_turns(sizes: Sequence[float]) -> list[int]:
    """Numbers of the cases in the order in which variants are made of them, those of rare sizes several times.

    Args:
        sizes: of the cases, above zero.
    """
    logarithms = np.log(sizes)
    alike = (np.abs(logarithms[:, None] - logarithms) < np.log(_ALIKE)).sum(1)
    turns = np.clip(np.round(alike.max() / alike), 1, _MOST_TURNS)
    return [int(case) for turn in range(_MOST_TURNS) for case in np.flatnonzero(turns > turn)]
