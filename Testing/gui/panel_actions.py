"""What a user does in the panel of Landmark Detection."""

from __future__ import annotations


def choose_model(panel, name):
    """In the chooser of models."""
    panel.ui.modelSelector.setCurrentIndex(panel.ui.modelSelector.findData(name))


def is_idle(panel):
    return panel.ui.detectButton.text == "Detect landmarks"


def detect(testbed, panel):
    panel.ui.detectButton.click()
    testbed.wait_until(lambda: is_idle(panel))


def start_endless(testbed, panel):
    """A detection that has begun to iterate; the process id of its child."""
    choose_model(panel, "tiny-endless")
    panel.ui.detectButton.click()
    testbed.wait_until(lambda: panel.ui.statusLabel.text == "Moving the landmarks...")
    return panel.detection.process_id
