"""What stands beside a method: the baselines that need no model, and the observers."""

from __future__ import annotations

from .metrics import ErrorTable
from .outcome import Evaluation

MEAN_POSITION_TITLE = "Mean position (no image)"
ORACLE_TITLE = "Mean shape at the true centroid (oracle)"


def observer_title(name: str) -> str:
    """How an observer is called."""
    return f"Observer {name}"


def rival_tables(evaluation: Evaluation) -> dict[str, ErrorTable]:
    """Errors of the baselines, where there were training cases, and of the observers, by title."""
    tables = {
        MEAN_POSITION_TITLE: evaluation.mean_position,
        ORACLE_TITLE: evaluation.oracle,
        **{observer_title(name): table for name, table in evaluation.observers.items()},
    }
    return {title: table for title, table in tables.items() if table is not None}
