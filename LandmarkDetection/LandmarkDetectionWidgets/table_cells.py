"""Cells of the panel's tables."""

from __future__ import annotations

import qt


def set_cell(table: qt.QTableWidget, row: int, column: int, text: str) -> qt.QTableWidgetItem:
    """Write a text into a cell; its item stays the same, so that this is allowed while it is edited."""
    item = table.item(row, column)
    if item is None:
        item = qt.QTableWidgetItem()
        table.setItem(row, column, item)
    item.setText(text)
    return item
