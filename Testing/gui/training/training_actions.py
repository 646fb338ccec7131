"""What a user does in the panel of Landmark Training."""

from __future__ import annotations

import os

from LandmarkDetectionLib.training.folders import is_interrupted

LIMIT_S = 600.0
"""For a training: a machine that is busy with others takes its time."""


def choose(selector, text):
    """An entry of a combo box."""
    assert selector.findText(text) >= 0
    selector.setCurrentIndex(selector.findText(text))


def prepare(panel, dataset, settings):
    """Choose a dataset, and settings that make the training short."""
    panel.ui.datasetEdit.setText(str(dataset))
    panel.ui.configEdit.setText(str(settings))
    choose(panel.ui.deviceSelector, "CPU")


def train(testbed, panel, name):
    """To the end."""
    panel.ui.nameEdit.setText(name)
    panel.ui.trainButton.click()
    testbed.wait_until(lambda: not panel.training.is_busy, LIMIT_S)


def start(testbed, panel, name, settings):
    """A training that could be resumed if it ended now; the process id of its child."""
    panel.ui.configEdit.setText(str(settings))
    panel.ui.nameEdit.setText(name)
    panel.ui.trainButton.click()
    testbed.wait_until(
        lambda: (
            is_interrupted(panel.training.running.output) and "best validation error" in panel.ui.trainingLabel.text
        ),
        LIMIT_S,
    )
    return panel.training.process_id


def is_running(process_id):
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def table_texts(table):
    """Cells by row."""
    return [[table.item(row, column).text() for column in range(table.columnCount)] for row in range(table.rowCount)]
