"""The buttons below the table of landmarks: accept, reset, mark missing or place, go to the next; each has a key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from LandmarkDetectionLib.review import LandmarkState, ReviewedLandmark, next_to_review

from .landmarks_section import LandmarksSection
from .shown_landmarks import ShownLandmarks


class ReviewSection:
    """Takes down what a person decides about the selected landmark, and leads through those that are left.

    Args:
        ui: widgets of the panel by name.
        shown: the list of landmarks.
    """

    def __init__(self, ui: Any, shown: ShownLandmarks) -> None:
        self._ui = ui
        self._shown = shown
        self._table = LandmarksSection(ui, shown, self._on_row_changed)
        self._shortcuts = [
            self._button_with_key(ui.acceptButton, "A", lambda: shown.accept(self._table.row)),
            self._button_with_key(ui.resetButton, "R", lambda: shown.reset(self._table.row)),
            self._button_with_key(ui.missingButton, "M", self._mark_missing_or_place),
            self._button_with_key(ui.nextButton, "N", self._go_on),
        ]
        shown.on_change(self.update)
        self.update()

    def update(self) -> None:
        """Say which decisions are possible, and why the others are not."""
        landmarks = self._shown.landmarks
        row = self._table.row
        landmark = None if row is None else landmarks[row]
        is_missing = landmark is not None and landmark.position_ras is None
        is_placing = row is not None and row == self._shown.placing
        text, purpose = _missing_button(is_missing=is_missing, is_placing=is_placing)
        self._ui.missingButton.setText(text)
        for button, meaning, problem in (
            (self._ui.acceptButton, _("It is right as it is (A)."), self._problem(landmark) or _no_accept(landmark)),
            (
                self._ui.resetButton,
                _("Put it back to where it was predicted (R)."),
                self._problem(landmark) or _no_reset(landmark),
            ),
            (self._ui.missingButton, purpose, self._problem(landmark)),
            (self._ui.nextButton, _("Go to the most doubtful one that is left (N)."), self._no_next()),
        ):
            button.setEnabled(not problem)
            button.setToolTip(problem or meaning)
        self._ui.reviewLabel.setText(self._summary())

    def _button_with_key(self, button: qt.QPushButton, key: str, act: Callable[[], None]) -> qt.QShortcut:
        button.clicked.connect(lambda *_arguments: act())
        shortcut = qt.QShortcut(qt.QKeySequence(key), self._ui.landmarksCollapsibleButton)
        shortcut.setContext(qt.Qt.WidgetWithChildrenShortcut)
        shortcut.activated.connect(button.click)
        return shortcut

    def _on_row_changed(self) -> None:
        if self._shown.placing not in (None, self._table.row):
            self._shown.give_up_placing()
        self.update()

    def _mark_missing_or_place(self) -> None:
        row = self._table.row
        if row == self._shown.placing:
            self._shown.give_up_placing()
        elif self._shown.landmarks[row].position_ras is None:
            self._shown.place_by_click(row)
        else:
            self._shown.mark_missing(row)

    def _go_on(self) -> None:
        row = self._table.row
        current = None if row is None else self._shown.landmarks[row].label
        self._table.select(next_to_review(self._shown.landmarks, current))

    def _problem(self, landmark: ReviewedLandmark | None) -> str:
        if self._shown.node is None:
            return _("Detect landmarks first.")
        if landmark is None:
            return _("Select a landmark in the table first.")
        return "" if landmark.predicted is not None else _("No model predicted this landmark.")

    def _no_next(self) -> str:
        if self._shown.detection is None:
            return _("Detect landmarks first.")
        return "" if next_to_review(self._shown.landmarks) else _("All landmarks are reviewed.")

    def _summary(self) -> str:
        if self._shown.detection is None:
            return ""
        landmarks = self._shown.landmarks
        if self._shown.placing is not None:
            label = landmarks[self._shown.placing].label
            return _("Click in a view to place {label}.").format(label=label)
        count = sum(landmark.is_reviewed for landmark in landmarks)
        return _("{count} of {all} reviewed").format(count=count, all=len(landmarks))


def _missing_button(*, is_missing: bool, is_placing: bool) -> tuple[str, str]:
    """Its text, and what a click on it does."""
    if is_placing:
        return _("Do not place"), _("It stays missing (M).")
    if is_missing:
        return _("Place"), _("Click in a view where it is (M).")
    return _("Mark missing"), _("It is not in the volume (M).")


def _no_accept(landmark: ReviewedLandmark) -> str:
    if landmark.state is LandmarkState.CORRECTED:
        return _("It was corrected, and so it counts as reviewed.")
    return _("It is accepted already.") if landmark.is_reviewed else ""


def _no_reset(landmark: ReviewedLandmark) -> str:
    is_untouched = landmark.is_as_predicted or (landmark.predicted.missing and landmark.position_ras is None)
    return _("It is as predicted.") if is_untouched and not landmark.is_reviewed else ""
