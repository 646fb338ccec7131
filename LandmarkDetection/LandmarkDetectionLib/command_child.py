"""The child process that runs one command for a panel: `python -m LandmarkDetectionLib.command_child`.

It reads one line of JSON from its standard input, {"arguments": [...], "output": a file}, and runs `landmark-detection`
with these arguments; what that prints on standard output goes to the file. It ends when its input does, whatever it is
doing then. `CommandProcess` is the other end.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path

from .child_process import lines_until_orphaned
from .cli import main


def run_request() -> int:
    """Run the command that the first line of standard input names; its exit status."""
    request = json.loads(next(lines_until_orphaned(sys.stdin)))
    with Path(request["output"]).open("w", encoding="utf-8") as output, redirect_stdout(output):
        return main(request["arguments"])


if __name__ == "__main__":
    status = run_request()
    sys.stderr.flush()
    # The thread that waits for the end of the input would hold up, or upset, an orderly end of the interpreter.
    os._exit(status)
