"""The panel's tables: their look, their cells, their height."""

from __future__ import annotations

import qt

_HEADER_HEIGHT = 24
_ROW_HEIGHT = 22
_MOST_ROWS_SHOWN = 8


def set_up_table(table: qt.QTableWidget, headers: list[str]) -> None:
    """Give a table its columns, as wide as what is in them, and low rows."""
    table.setColumnCount(len(headers))
    table.setHorizontalHeaderLabels(headers)
    table.setWordWrap(False)
    table.horizontalHeader().setFixedHeight(_HEADER_HEIGHT)
    table.horizontalHeader().setHighlightSections(False)
    table.horizontalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
    table.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)


def fit_height(table: qt.QTableWidget) -> None:
    """Make a table as high as its rows; beyond some of them it scrolls."""
    rows = min(max(table.rowCount, 1), _MOST_ROWS_SHOWN)
    table.setFixedHeight(_HEADER_HEIGHT + rows * _ROW_HEIGHT + 2 * table.frameWidth)


def set_cell(table: qt.QTableWidget, row: int, column: int, text: str) -> qt.QTableWidgetItem:
    """Write a text into a cell; its item stays the same, so that this is allowed while it is edited."""
    item = table.item(row, column)
    if item is None:
        item = qt.QTableWidgetItem()
        table.setItem(row, column, item)
    item.setText(text)
    return item
