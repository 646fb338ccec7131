"""A training can be followed from its files, half-written lines included."""

from __future__ import annotations

import pytest

from LandmarkDetectionLib.training.log_files import (
    TrainingPlan,
    TrainingProgress,
    network_folders,
    read_progress,
    write_plan,
)

HEADER = "step,minutes,loss,validation_error_mm\n"


def progress_after(folder, lines, plan):
    write_plan(folder, plan)
    (folder / "metrics.csv").write_text(HEADER + lines)
    return read_progress(folder)


def test_before_a_training_learns_there_is_no_progress(tmp_path):
    assert read_progress(tmp_path / "nowhere") == TrainingProgress()
    assert read_progress(tmp_path).fraction == 0.0
    assert read_progress(tmp_path).minutes_left is None
    assert progress_after(tmp_path, "", TrainingPlan(100, 4.0)).minutes_left is None


def test_losses_and_errors_are_told_apart(tmp_path):
    found = progress_after(tmp_path, "49,0.5,2.5,\n99,1.0,1.5,\n99,1.2,,7.0\n149,1.7,1.0,\n", TrainingPlan(1000, 60.0))
    assert found.losses == ((49, 2.5), (99, 1.5), (149, 1.0))
    assert found.errors_mm == ((99, 7.0),)
    assert found.best_error_mm == 7.0
    assert (found.step, found.minutes) == (150, 1.7)


def test_steps_end_the_training_if_they_are_done_before_the_time_is_over(tmp_path):
    found = progress_after(tmp_path, "249,3.0,1.0,\n", TrainingPlan(1000, 60.0))
    assert found.fraction == 0.25
    assert found.minutes_left == pytest.approx(9.0)


def test_the_time_ends_the_training_if_the_steps_take_longer(tmp_path):
    found = progress_after(tmp_path, "99,3.0,1.0,\n", TrainingPlan(1000, 4.0))
    assert found.fraction == 0.75
    assert found.minutes_left == pytest.approx(1.0)


def test_a_line_that_is_still_being_written_is_left_for_later(tmp_path):
    found = progress_after(tmp_path, "49,0.5,2.5,\n99,1.", TrainingPlan(100, 4.0))
    assert found.losses == ((49, 2.5),)
    assert progress_after(tmp_path, "49,0.5,2.5,\n9", TrainingPlan(100, 4.0)).step == 50


@pytest.mark.parametrize("plan", ["{", "[]", "{}", '{"steps": 0, "minutes": 0}', '{"steps": "many", "minutes": 1}'])
def test_what_is_damaged_counts_as_nothing(tmp_path, plan):
    progress_after(tmp_path, "49,0.5,2.5,\n", TrainingPlan(100, 4.0))
    (tmp_path / "plan.json").write_text(plan)
    assert read_progress(tmp_path) == TrainingProgress()


def test_a_folder_that_cannot_be_is_no_progress(tmp_path):
    (tmp_path / "file").touch()
    assert read_progress(tmp_path / "file" / "name.training") == TrainingProgress()
    assert network_folders(tmp_path / "file" / "name.training") == [tmp_path / "file" / "name.training"]
