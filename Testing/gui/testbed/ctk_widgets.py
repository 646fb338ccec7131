"""Stand-ins for the CTK widgets that the panels use."""

# ruff: noqa: N801 - the names are Slicer's
from __future__ import annotations

from typing import ClassVar

from PySide6.QtCore import Property, QChildEvent, QEvent, QObject, Qt
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QMessageBox, QToolButton, QWidget

_IS_WANTED = "visibilityToParent"
"""Property of what is in a section: whether it is to be seen when the section is open."""

_FOLDED_HEIGHT = 4
_WIDGET_SIZE_MAX = 16_777_215


class ctkCollapsibleButton(QWidget):
    """A titled section whose content folds away.

    As in CTK, what is shown or hidden while the section is folded stays out of sight until it is unfolded.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._is_folding = False
        self._header = QToolButton(self)
        self._header.setCheckable(True)
        self._header.setChecked(True)
        self._header.setArrowType(Qt.ArrowType.DownArrow)
        self._header.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._header.toggled.connect(self._fold)
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

    def childEvent(self, event: QChildEvent) -> None:
        child = event.child()
        if event.added() and isinstance(child, QWidget) and isinstance(getattr(self, "_header", None), QWidget):
            child.installEventFilter(self)
        super().childEvent(event)

    def showEvent(self, event: QShowEvent) -> None:
        """What was put in after it was folded must not show either."""
        self._fold()
        super().showEvent(event)

    def eventFilter(self, child: QObject, event: QEvent) -> bool:
        kind = event.type()
        if not self._is_folding and kind in (QEvent.Type.ShowToParent, QEvent.Type.HideToParent):
            child.setProperty(_IS_WANTED, kind == QEvent.Type.ShowToParent)
            self._show_or_hide(child)
        return False

    def _fold(self) -> None:
        is_open = self._header.checked
        self._header.setArrowType(Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow)
        for child in self.children():
            if isinstance(child, QWidget) and child is not self._header:
                if child.property(_IS_WANTED) is None:
                    child.setProperty(_IS_WANTED, not child.isHidden())
                self._show_or_hide(child)
        self.setMaximumHeight(_WIDGET_SIZE_MAX if is_open else self._header.sizeHint().height() + _FOLDED_HEIGHT)

    def _show_or_hide(self, child: QWidget) -> None:
        """So that Qt does not take this for what the module wants, and tells when the module wants something else."""
        is_wanted = child.property(_IS_WANTED)
        self._is_folding = True
        child.setVisible(self._header.checked and is_wanted)
        child.setAttribute(Qt.WidgetAttribute.WA_WState_ExplicitShowHide, not is_wanted)
        self._is_folding = False


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
