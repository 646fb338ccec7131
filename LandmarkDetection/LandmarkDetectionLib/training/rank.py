"""One more process of a training on several devices: `python -m LandmarkDetectionLib.training.rank`.

It reads what to do, one line of JSON, from its standard input, and ends when that does.
"""

from __future__ import annotations

import json
import sys

from ..child_process import lines_until_orphaned
from ..detectors.registry import resolve_device
from .ranks import one_more_rank
from .run import TrainingRequest, take_part


def main() -> None:
    """Take part in the training."""
    request = json.loads(next(lines_until_orphaned(sys.stdin)))
    training = TrainingRequest(**request["training"])
    with one_more_rank(request, resolve_device(training.device)) as ranks:
        take_part(training, ranks)


if __name__ == "__main__":
    main()
