"""CSV: streamed, and safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib import csv_stream


@pytest.mark.parametrize(
    "text", ["=1", "+1", "-1+1", "@a", "\t=1", "\r=1", "\n=1", "-", "--1", "-1.2.3", "-\uff15", "=", "-1e5"]
)
def test_a_formula_is_escaped(text: str) -> None:
    assert csv_stream.escape_formula(text) == f"'{text}"


@pytest.mark.parametrize(
    "cell", ["-1", "-0.5", "-12.000000001", "", "a=1", " =1", "'=1", "1-1", 5, -5, None, "\U0001f680"]
)
def test_numbers_and_other_texts_are_unchanged(cell: object) -> None:
    assert csv_stream.escape_formula(cell) == cell


def test_the_response_is_an_attachment_with_a_header_row() -> None:
    rows: list[list[object]] = [["a", 'quote " comma , line\nend', None], ["=1", -5, "-0.5"]]
    response = csv_stream.response("x.csv", ["one", "two", "three"], rows)

    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="x.csv"'
    assert list(csv.reader(io.StringIO(response.getvalue().decode(), newline=""))) == [
        ["one", "two", "three"],
        ["a", 'quote " comma , line\nend', ""],
        ["'=1", "-5", "-0.5"],
    ]


@pytest.mark.parametrize("text", ["=1", "@a", "\t=1", "\r=1", "\n=1", "-", '=HYPERLINK("x", "y")', "=a\nb"])
@pytest.mark.parametrize("column", [0, 1, 2])
def test_a_formula_is_escaped_in_every_column(text: str, column: int) -> None:
    cells: list[object] = ["", 'a,=b\n"+c"', None]
    cells[column] = text
    response = csv_stream.response("x.csv", ["one", "two", "three"], [cells])
    written = [f"'{text}" if cell == text else cell or "" for cell in cells]

    assert list(csv.reader(io.StringIO(response.getvalue().decode(), newline="")))[1:] == [written]


CELLS = st.none() | st.integers() | st.text() | st.text(alphabet='a,"\r\n=-+@\t 1.', max_size=6) | st.floats()


@given(st.integers(2, 4).flatmap(lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1)))
def test_rows_are_written_as_the_csv_module_writes_them(rows: list[list[object]]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows(list(map(csv_stream.escape_formula, row)) for row in rows)
    _, _, written = csv_stream.response("x.csv", [""] * len(rows[0]), rows).getvalue().decode().partition("\r\n")

    assert written == text.getvalue()


def test_rows_are_consumed_only_as_they_are_sent() -> None:
    consumed = 0

    def rows() -> Iterator[list[int]]:
        nonlocal consumed
        for number in range(5000):
            consumed = number + 1
            yield [number]

    chunks = iter(csv_stream.response("x.csv", ["n"], rows()))
    assert (next(chunks), consumed) == (b"n\r\n", 0)
    next(chunks)
    assert consumed == 500
    assert sum(chunk.count(b"\n") for chunk in chunks) == 4500
