"""Tables for a terminal stay within it."""

from __future__ import annotations

from LandmarkDetectionLib.text_table import text_table

HEADINGS = ["landmark", "error", "median", "largest"]
ROWS = [["AC", "1.00", "2.00", "3.00"], ["PC", "10.00", "20.00", "30.00"]]


def test_a_table_that_fits_is_one():
    whole = "landmark  error  median  largest\nAC         1.00    2.00     3.00\nPC        10.00   20.00    30.00"
    assert text_table(HEADINGS, ROWS) == text_table(HEADINGS, ROWS, width=32) == whole


def test_columns_that_do_not_fit_are_continued_below():
    assert text_table(HEADINGS, ROWS, width=31) == (
        "landmark  error  median\nAC         1.00    2.00\nPC        10.00   20.00\n\n"
        "landmark  largest\nAC           3.00\nPC          30.00"
    )


def test_a_terminal_narrower_than_any_two_columns_gets_them_one_by_one():
    assert text_table(HEADINGS, ROWS, width=1).count("landmark") == 3


def test_texts_are_continued_below_as_texts():
    parts = text_table(["a", "bb", "c"], [["long", "x", "1"]], texts=2, width=8)
    assert parts == "a     bb\nlong  x\n\na     c\nlong  1"


def test_the_last_column_of_a_table_of_texts_is_wrapped():
    table = text_table(["key", "meaning"], [["rule", "how an iteration moves the shape"], ["x", ""]], texts=2, width=26)
    assert table == "key   meaning\nrule  how an iteration\n      moves the shape\nx"
