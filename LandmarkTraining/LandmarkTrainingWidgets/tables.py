"""Fills tables of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import qt

_ROW_HEIGHT = 22


def fill_table(table: qt.QTableWidget, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Show rows of cells; the first column takes the room that is left, and every cell tells its text as a hint."""
    table.setColumnCount(len(headings))
    table.setHorizontalHeaderLabels(list(headings))
    header = table.horizontalHeader()
    header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
    header.setSectionResizeMode(0, qt.QHeaderView.Stretch)
    table.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
    table.setRowCount(len(rows))
    for row, cells in enumerate(rows):
        for column, text in enumerate(cells):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(text)
            if column > 0:
                item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
            table.setItem(row, column, item)


def rows_of(cells: Mapping[str, Mapping[str, str]], corner: str) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of a table whose cells are known by row and column."""
    headings = [corner, *next(iter(cells.values()), {})]
    return headings, [[title, *row.values()] for title, row in cells.items()]
