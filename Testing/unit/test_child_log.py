"""The log of a child process, and what is said of a child that ended without an answer."""

from __future__ import annotations

import signal

from LandmarkDetectionLib.child_log import CRASH, death_of, read_lines, tail_of
from LandmarkDetectionLib.failures import OUT_OF_MEMORY


def test_the_log_is_shown_as_a_terminal_would(tmp_path):
    log = tmp_path / "log.txt"
    log.write_bytes(b"one\n 10 %\r 50 %\r100 %\r\n\ntwo\n")
    assert read_lines(log) == ["one", "100 %", "two"]


def test_the_tail_is_the_end_of_a_long_log():
    assert tail_of([f"line {number}" for number in range(100)]).split("\n") == [f"line {n}" for n in range(88, 100)]


def test_a_crash_is_told_with_the_last_line_that_is_no_progress_bar():
    death = death_of(-11, ["Fatal error: segmentation", "learning:  50%|#####     | 5/10"])
    assert death.kind == CRASH
    assert death.message == (
        "The process crashed (status -11; Fatal error: segmentation): try again, or report this with its log."
    )


def test_a_crash_without_a_word_has_its_status():
    assert death_of(1, []).message.startswith("The process crashed (status 1): ")


def test_a_killed_process_most_often_ran_out_of_memory():
    death = death_of(-signal.SIGKILL, ["anything"], "detection process")
    assert death.kind == OUT_OF_MEMORY
    assert death.message.startswith("The detection process was killed, most often because memory ran out")
