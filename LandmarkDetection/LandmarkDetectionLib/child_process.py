"""Child processes of the same Python that end with whatever started them."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

_END_TIMEOUT_S = 5.0


def start_python(module: str, *arguments: str, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Run a module of this package in a process of its own, which reads what to do from its standard input.

    It leads a process group of its own, so that all it starts can be ended with it, and Ctrl-C is not for it.

    Args:
        module: full dotted name.
        arguments: of its command line.
        log: takes what it prints.
    """
    package_parent = str(Path(__file__).resolve().parents[1])
    inherited = os.environ.get("PYTHONPATH", "")
    own_group = (
        {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        if sys.platform == "win32"
        else {"start_new_session": True}
    )
    # In Slicer, PythonSlicer is the interpreter that finds Slicer's libraries and packages.
    python = shutil.which("PythonSlicer") or sys.executable
    return subprocess.Popen(
        [python, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (package_parent, inherited)))},
        **own_group,
    )


def end_process_tree(process: subprocess.Popen[bytes]) -> None:
    """End a process that `start_python` started, and all that it started."""
    if sys.platform == "win32":
        subprocess.run(
            ["taskkill", "/F", "/T", "/PID", str(process.pid)],
            capture_output=True,
            check=False,
            creationflags=subprocess.CREATE_NO_WINDOW,
        )
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_END_TIMEOUT_S)


def lines_until_orphaned(stream: Iterable[str]) -> Iterator[str]:
    """Lines of a stream, read in a thread that ends this process at once when the stream ends, whatever it is doing.

    The stream ends when the program that started this one closes it, or is no more.
    """
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in stream:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield lines.get()
