"""What detect and demo print: each case as it is done, and the conclusion."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Any

from ..detection_text import case_line, case_text
from ..files.detection_json import detection_to_json
from ..files.results import FAILED, SUCCEEDED
from ..index_page import INDEX_FILE
from ..progress import Progress
from ..wording import counted
from .output import print_json, terminal_width

if TYPE_CHECKING:
    from ..batch import DetectionRun
    from ..case_result import CaseResult


class RunReport:
    """Results go to stdout, progress and failures to stderr.

    Args:
        cases: how many there will be.
        in_full: print the tables of each case, not a line.
        as_json: print all results at the end as one list of objects instead.
    """

    def __init__(self, cases: int, *, in_full: bool, as_json: bool) -> None:
        self._cases = cases
        self._in_full = in_full
        self._as_json = as_json
        self._results: list[CaseResult] = []
        self._bar = Progress(cases)

    def __enter__(self) -> RunReport:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.__exit__()

    def progress(self, fraction: float, text: str) -> None:
        """How far the case at work has come."""
        number = len(self._results)
        self._bar.show(number + fraction, f"case {number + 1} of {self._cases}: {text}")

    def tell(self, result: CaseResult) -> None:
        """Print a case."""
        self._results.append(result)
        if result.detection is None:
            self._bar.write(f"{result.name} failed: {result.failure}", sys.stderr)
        elif not self._as_json:
            self._bar.write(f"{case_text(result, terminal_width())}\n" if self._in_full else case_line(result))
        done = len(self._results)
        self._bar.show(done, f"{done} of {self._cases} done")

    def conclude(self, detection_run: DetectionRun) -> int:
        """Print how it went and where the results are; the exit status."""
        failed = sum(result.detection is None for result in self._results)
        if self._as_json:
            print_json([_case_json(result) for result in self._results])
        else:
            kept = sum(result.is_kept for result in self._results)
            earlier = f", {kept} of them kept from an earlier run" if kept else ""
            succeeded = f"{len(self._results) - failed} of {counted(len(self._results), 'case')} succeeded"
            print(f"{succeeded}{earlier}: see {detection_run.output / INDEX_FILE}")
        return int(failed > 0)


def _case_json(result: CaseResult) -> dict[str, Any]:
    """One case for machines: all but the path of the search, which is in the case's file."""
    detection = None if result.detection is None else detection_to_json(result.detection)
    if detection is not None:
        del detection["path_lps"]
    return {
        "case": result.name,
        "source": str(result.source),
        "status": FAILED if detection is None else SUCCEEDED,
        "message": result.failure,
        "kept": result.is_kept,
        "detection": detection,
        "measurements": [dataclasses.asdict(measurement) for measurement in result.measurements],
        "notes": result.notes,
    }
