"""Stand-ins for the CTK widgets that the panels use."""

# ruff: noqa: N801 - the names are Slicer's
from __future__ import annotations

from typing import ClassVar

from PySide6.QtCore import Property, Qt
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QMessageBox, QToolButton, QWidget


class ctkCollapsibleButton(QWidget):
    """A titled section whose content folds away."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._folded: list[QWidget] = []
        self._header = QToolButton(self)
        self._header.setCheckable(True)
        self._header.setChecked(True)
        self._header.setArrowType(Qt.ArrowType.DownArrow)
        self._header.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._header.toggled.connect(self._show_content)
        self.setContentsMargins(0, self._header.sizeHint().height() + 2, 0, 0)

    def _get_text(self) -> str:
        return self._header.text

    def setText(self, text: str) -> None:
        self._header.setText(text)

    text = Property(str, _get_text, setText)

    def _get_collapsed(self) -> bool:
        return not self._header.checked

    def setCollapsed(self, is_collapsed: bool) -> None:
        self._header.setChecked(not is_collapsed)

    collapsed = Property(bool, _get_collapsed, setCollapsed)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._header.resize(self.width, self._header.sizeHint().height())
        super().resizeEvent(event)

    def showEvent(self, event: QShowEvent) -> None:
        """What was put in after it was folded must not show either."""
        if not self._header.checked:
            self._show_content(False)
        super().showEvent(event)

    def _show_content(self, is_shown: bool) -> None:
        """What was hidden when it was folded stays hidden when it is unfolded."""
        self._header.setArrowType(Qt.ArrowType.DownArrow if is_shown else Qt.ArrowType.RightArrow)
        if is_shown:
            for child in self._folded:
                child.setVisible(True)
            self._folded.clear()
            return
        for child in self.children():
            if isinstance(child, QWidget) and child is not self._header and not child.isHidden():
                self._folded.append(child)
                child.setVisible(False)


class ctkMessageBox(QMessageBox):
    """A message that does not wait for a person: it is kept for the test, which may have prepared answers."""

    shown: ClassVar[list[str]] = []
    answers: ClassVar[list[str]] = []
    """Names of the buttons that are pressed, in order; a question that no answer was prepared for is an error."""

    def exec_(self) -> int:
        ctkMessageBox.shown.append(self.text)
        if self.standardButtons == QMessageBox.StandardButton.Ok:
            return QMessageBox.StandardButton.Ok
        answer = QMessageBox.StandardButton[ctkMessageBox.answers.pop(0)]
        if not answer & self.standardButtons:
            message = f"there is no button {answer.name}"
            raise ValueError(message)
        return answer


CTK_WIDGETS = {"ctkCollapsibleButton": ctkCollapsibleButton}
