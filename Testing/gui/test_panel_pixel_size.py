"""A picture whose file tells no pixel size is doubted before anything is measured in it, until a person enters one."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from panel_actions import choose_model

GUESS = "The file does not tell how large a pixel is; 1 mm is a guess. Enter the pixel size above."


@pytest.fixture
def photo(panel):
    """A picture as Slicer loads it from a PNG file, with a model for pictures chosen."""
    pixels = np.random.default_rng(0).integers(0, 255, (1, 540, 800), dtype=np.uint8)
    node = slicer.util.addVolumeFromArray(pixels, name="photo")
    node.AddDefaultStorageNode()
    node.GetStorageNode().SetFileName("photo.png")
    panel.ui.volumeSelector.setCurrentNode(node)
    choose_model(panel, "fetal-head-2d")
    return node


def enter(panel, size_mm):
    panel.ui.pixelSpacingSpinBox.setValue(size_mm)
    panel.ui.setPixelSpacingButton.click()


def test_a_volume_has_no_pixel_size_to_enter(panel, head):
    for widget in (panel.ui.pixelSpacingLabel, panel.ui.pixelSpacingSpinBox, panel.ui.setPixelSpacingButton):
        assert not widget.visible
    assert not panel.ui.doubtsLabel.visible


def test_a_picture_file_without_a_size_is_doubted_and_the_size_can_be_entered_there(panel, photo):
    assert panel.ui.doubtsLabel.text == GUESS
    assert panel.ui.doubtsLabel.visible
    assert panel.ui.pixelSpacingSpinBox.visible
    assert panel.ui.pixelSpacingSpinBox.value == pytest.approx(1.0)
    assert panel.ui.detectButton.enabled, "it is a warning, not a refusal"


def test_a_size_that_was_entered_is_believed_and_kept_with_the_picture(panel, photo):
    enter(panel, 0.2)
    assert photo.GetSpacing() == (0.2, 0.2, 1.0)
    assert not panel.ui.doubtsLabel.visible, panel.ui.doubtsLabel.text
    panel.exit()
    panel.enter()
    assert panel.ui.pixelSpacingSpinBox.value == pytest.approx(0.2)
    assert not panel.ui.doubtsLabel.visible


def test_a_size_of_one_millimetre_is_believed_once_a_person_says_so(panel, photo):
    enter(panel, 1.0)
    assert "how large a pixel is" not in panel.ui.doubtsLabel.text


@pytest.mark.parametrize("dots_per_inch", [72, 96])
def test_a_size_that_programs_write_for_print_is_a_guess_too(panel, dots_per_inch):
    scan = slicer.util.addVolumeFromArray(np.zeros((1, 30, 30)), name="scan")
    scan.SetSpacing(25.4 / dots_per_inch, 25.4 / dots_per_inch, 1.0)
    choose_model(panel, "fetal-head-2d")
    assert "is a guess" in panel.ui.doubtsLabel.text


def test_a_picture_that_knows_its_size_is_not_doubted_for_it(panel):
    scan = slicer.util.addVolumeFromArray(np.zeros((1, 540, 800)), name="scan")
    scan.SetSpacing(0.2, 0.2, 1.0)
    choose_model(panel, "fetal-head-2d")
    assert not panel.ui.doubtsLabel.visible
    assert panel.ui.pixelSpacingSpinBox.visible, "it can be corrected all the same"


def test_a_picture_seen_from_the_side_gets_its_size_along_both_its_axes(panel):
    side = slicer.util.addVolumeFromArray(np.zeros((30, 30, 1)), name="side")
    enter(panel, 0.25)
    assert side.GetSpacing() == (1.0, 0.25, 0.25)
