"""The child process that detects: its answers, its cancellation, and what is said when it dies."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny_detector import ENDLESS, LABELS, write_tiny_bundle

from LandmarkDetectionLib.child_log import CRASH
from LandmarkDetectionLib.detectors.registry import load_detector
from LandmarkDetectionLib.errors import LandmarkDetectionError
from LandmarkDetectionLib.failures import OUT_OF_MEMORY, UNEXPECTED
from LandmarkDetectionLib.models.bundle import load_bundle, save_bundle
from LandmarkDetectionLib.volume import Volume
from LandmarkDetectionLib.worker import PROBLEM
from LandmarkDetectionLib.worker_client import DetectionWorker, Event, Failed, Finished, Progress

LIMIT_S = 120.0
ENDLESS_OPTIONS = {name: str(value) for name, value in ENDLESS.items()}

CHATTER = """
import os, threading, time
def chatter():
    while True:
        print("from Python", flush=True)
        os.write(1, b"from C")
        time.sleep(0.01)
threading.Thread(target=chatter, daemon=True).start()
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def warm_worker() -> Iterator[DetectionWorker]:
    worker = DetectionWorker()
    yield worker
    worker.close()


@pytest.fixture
def worker(warm_worker: DetectionWorker) -> Iterator[DetectionWorker]:
    """The same for all tests, because its child takes seconds to start; idle before and after each."""
    yield warm_worker
    if warm_worker.is_busy:
        warm_worker.cancel()


@pytest.fixture
def fresh_worker(warm_worker: DetectionWorker) -> DetectionWorker:
    """Without a child, before and after the test."""
    warm_worker.close()
    yield warm_worker
    warm_worker.close()


@pytest.fixture
def volume() -> Volume:
    voxels = np.random.default_rng(0).integers(0, 1000, (40, 30, 50), dtype=np.int16)
    return Volume(voxels, np.array([[0, 0, 1.5, -30], [-1, 0, 0, 20], [0, -2, 0, 30], [0, 0, 0, 1.0]]), "head")


def wait_until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < ends, "it took too long"
        time.sleep(0.01)


def all_events(worker: DetectionWorker) -> list[Event]:
    events = []
    wait_until(lambda: events.extend(worker.poll()) or not worker.is_busy)
    return events


def wait_for_iterations(worker: DetectionWorker) -> None:
    """Until the endless detection has left the preparation."""
    wait_until(lambda: any(isinstance(e, Progress) and e.fraction > 0 for e in worker.poll()))


def is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


class TestDetection:
    def test_the_child_finds_what_the_same_detector_finds_here(self, worker, volume, model):
        worker.detect(volume, {model: {}}, device="cpu", seed=7)
        *progress, last = all_events(worker)
        assert isinstance(last, Finished)
        expected = load_detector(load_bundle(model), "cpu").detect(volume, seed=7)
        assert last.detection.labels == LABELS
        for found, wanted in zip(last.detection.landmarks, expected.landmarks, strict=True):
            np.testing.assert_allclose(found.position_ras, wanted.position_ras, atol=1e-4)
            np.testing.assert_allclose(found.covariance_ras, wanted.covariance_ras, atol=1e-4)
            assert found.radius90_mm == wanted.radius90_mm
        assert last.detection.weights_sha256 == load_bundle(model).weights_sha256
        assert last.detection.seed == 7
        fractions = [event.fraction for event in progress]
        assert fractions == sorted(fractions)
        assert all(isinstance(event, Progress) and event.text for event in progress)

    def test_a_large_volume_is_handed_over_piece_by_piece(self, worker, volume, model, monkeypatch):
        monkeypatch.setattr("LandmarkDetectionLib.worker_client._PIECE_BYTES", 10 * volume.voxels[0].nbytes)
        worker.detect(volume, {model: {}}, device="cpu", seed=7)
        assert worker.poll() == [], "four pieces of ten slices: the second was written, and the child not asked yet"
        last = all_events(worker)[-1]
        expected = load_detector(load_bundle(model), "cpu").detect(volume, seed=7)
        np.testing.assert_allclose(last.detection["AC"].position_ras, expected["AC"].position_ras, atol=1e-4)

    def test_the_child_stays_for_the_next_volume(self, worker, volume, model):
        worker.detect(volume, {model: {}}, device="cpu")
        all_events(worker)
        first = worker.process_id
        worker.detect(volume, {model: {}}, device="cpu")
        assert isinstance(all_events(worker)[-1], Finished)
        assert worker.process_id == first

    def test_a_model_that_was_replaced_is_loaded_again(self, worker, volume, tmp_path):
        bundle = write_tiny_bundle(tmp_path)
        worker.detect(volume, {bundle: {}}, device="cpu")
        all_events(worker)
        card = bundle / "model.json"
        card.write_text(card.read_text().replace('"version": "1.0"', '"version": "2.0"'))
        os.utime(card, ns=(0, card.stat().st_mtime_ns + 1_000_000))
        worker.detect(volume, {bundle: {}}, device="cpu")
        assert all_events(worker)[-1].detection.model_version == "2.0"

    def test_options_reach_the_detector(self, worker, volume, model):
        worker.detect(volume, {model: {"iterations": "2", "tolerance_mm": "-1"}}, device="cpu")
        assert len(all_events(worker)[-1].detection.path_ras) == 3

    def test_several_models_give_their_consensus(self, worker, volume, model, tmp_path):
        bundle = load_bundle(write_tiny_bundle(tmp_path, "other"))
        save_bundle(bundle.folder, bundle.card, {name: 1.01 * tensor for name, tensor in bundle.tensors.items()})
        worker.detect(volume, {model: {}, bundle.folder: {}}, device="cpu")
        assert all_events(worker)[-1].detection.model_names == ("tiny", "other")

    def test_nothing_is_left_in_the_temporary_folder(self, fresh_worker, volume, model, tmp_path, monkeypatch):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        fresh_worker.detect(volume, {model: {}}, device="cpu")
        assert list(tmp_path.rglob("*.npy"))
        all_events(fresh_worker)
        assert not list(tmp_path.rglob("*.npy"))
        fresh_worker.close()
        assert not list(tmp_path.iterdir())

    def test_a_second_volume_must_wait(self, worker, volume, model):
        worker.detect(volume, {model: ENDLESS_OPTIONS}, device="cpu")
        with pytest.raises(LandmarkDetectionError, match="A detection is running"):
            worker.detect(volume, {model: {}}, device="cpu")


class TestProblems:
    def failure(self, worker: DetectionWorker) -> Failed:
        last = all_events(worker)[-1]
        assert isinstance(last, Failed)
        return last

    def test_a_problem_of_the_user_arrives_as_its_sentence(self, worker, model):
        worker.detect(Volume(np.ones((10, 10, 10)), np.eye(4), "flat"), {model: {}}, device="cpu")
        failure = self.failure(worker)
        assert failure.kind == PROBLEM
        assert str(failure.error).startswith("flat: every voxel has the same value")

    def test_after_a_problem_the_child_goes_on(self, worker, volume, model):
        worker.detect(volume, {model: {}}, device="warp")
        assert 'no device "warp"' in str(self.failure(worker).error)
        process_id = worker.process_id
        worker.detect(volume, {model: {}}, device="cpu")
        assert isinstance(all_events(worker)[-1], Finished)
        assert worker.process_id == process_id

    def test_a_mistake_in_the_program_is_named_and_logged(self, worker, volume, tmp_path):
        worker.detect(volume, {tmp_path / "not-there": {}})
        failure = self.failure(worker)
        assert failure.kind == UNEXPECTED
        assert "FileNotFoundError" in str(failure.error)
        assert "FileNotFoundError" in failure.log_tail

    def test_a_volume_larger_than_the_memory_is_said_to_be(self, fresh_worker, volume, model):
        worker = fresh_worker
        worker.detect(volume, {model: {}}, device="cpu")
        all_events(worker)
        size = int(Path(f"/proc/{worker.process_id}/statm").read_text().split()[0]) * resource.getpagesize()
        resource.prlimit(worker.process_id, resource.RLIMIT_AS, (size + 50_000_000, size + 50_000_000))
        large = Volume(np.zeros((300, 300, 300), np.int16), np.diag([0.3, 0.3, 0.3, 1.0]), "large")
        worker.detect(large, {model: {}}, device="cpu")
        failure = self.failure(worker)
        assert failure.kind == OUT_OF_MEMORY
        assert "too little free memory" in str(failure.error)

    def test_a_killed_child_is_said_to_have_run_out_of_memory(self, worker, volume, model):
        worker.detect(volume, {model: ENDLESS_OPTIONS}, device="cpu")
        wait_for_iterations(worker)
        os.kill(worker.process_id, signal.SIGKILL)
        failure = self.failure(worker)
        assert failure.kind == OUT_OF_MEMORY
        assert "most often because memory ran out" in str(failure.error)

    def test_a_crash_is_a_sentence_and_the_next_detection_works(self, worker, volume, model):
        worker.detect(volume, {model: ENDLESS_OPTIONS}, device="cpu")
        wait_for_iterations(worker)
        os.kill(worker.process_id, signal.SIGSEGV)
        failure = self.failure(worker)
        assert failure.kind == CRASH
        assert "crashed (status -11" in str(failure.error)
        worker.detect(volume, {model: {}}, device="cpu")
        assert isinstance(all_events(worker)[-1], Finished)

    def test_a_volume_that_cannot_be_copied_is_a_sentence(self, worker, volume, model):
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, unlimited[1]))
        try:
            with pytest.raises(LandmarkDetectionError, match=r"head could not be copied to .*free disk space"):
                worker.detect(volume, {model: {}})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        assert not worker.is_busy


class TestEnd:
    def test_cancel_ends_the_child_and_its_children_at_once(self, worker, volume, model):
        worker.detect(volume, {model: ENDLESS_OPTIONS}, device="cpu")
        wait_for_iterations(worker)
        process_id = worker.process_id
        started = time.monotonic()
        worker.cancel()
        assert time.monotonic() - started < 2.0
        assert not is_running(process_id)
        assert not worker.is_busy
        assert worker.poll() == []

    def test_after_cancel_the_next_detection_works(self, worker, volume, model):
        worker.detect(volume, {model: ENDLESS_OPTIONS}, device="cpu")
        worker.cancel()
        worker.detect(volume, {model: {}}, device="cpu")
        assert isinstance(all_events(worker)[-1], Finished)

    def test_the_child_does_not_outlive_the_program_that_started_it(self, volume, model, tmp_path):
        np.save(tmp_path / "voxels.npy", volume.voxels)
        program = f"""
import os, sys, time, numpy as np
from pathlib import Path
from LandmarkDetectionLib.volume import Volume
from LandmarkDetectionLib.worker_client import DetectionWorker
worker = DetectionWorker()
volume = Volume(np.load({str(tmp_path / "voxels.npy")!r}), np.eye(4))
worker.detect(volume, {{Path({str(model)!r}): {ENDLESS_OPTIONS!r}}}, device="cpu")
while not any(event.fraction > 0 for event in worker.poll()):
    time.sleep(0.01)
print(worker.process_id, flush=True)
os._exit(1)
"""
        environment = os.environ | {"TMPDIR": str(tmp_path)}
        finished = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
            env=environment,
        )
        process_id = int(finished.stdout)
        wait_until(lambda: not is_running(process_id) or "(zombie)" in Path(f"/proc/{process_id}/status").read_text())

    def test_prints_of_libraries_do_not_disturb_the_answers(self, fresh_worker, volume, model, tmp_path, monkeypatch):
        """Neither Python's print nor C's writing to descriptor 1, from before the child's first line on."""
        (tmp_path / "sitecustomize.py").write_text(CHATTER)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
        fresh_worker.detect(volume, {model: {}}, device="cpu")
        assert isinstance(all_events(fresh_worker)[-1], Finished)
