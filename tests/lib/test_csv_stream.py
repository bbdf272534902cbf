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
def test_a_formula_is_defused(text: str) -> None:
    assert csv_stream.safe(text) == f"'{text}"


@pytest.mark.parametrize(
    "cell", ["-1", "-0.5", "-12.000000001", "", "a=1", " =1", "'=1", "1-1", 5, -5, None, "\U0001f680"]
)
def test_numbers_and_other_texts_stay_as_they_are(cell: object) -> None:
    assert csv_stream.safe(cell) == cell


def test_the_answer_is_an_attachment_with_a_header_row() -> None:
    lines: list[list[object]] = [["a", 'quote " comma , line\nend', None], ["=1", -5, "-0.5"]]
    answer = csv_stream.response("x.csv", ["one", "two", "three"], lines)

    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"] == 'attachment; filename="x.csv"'
    assert list(csv.reader(io.StringIO(answer.getvalue().decode(), newline=""))) == [
        ["one", "two", "three"],
        ["a", 'quote " comma , line\nend', ""],
        ["'=1", "-5", "-0.5"],
    ]


@pytest.mark.parametrize("text", ["=1", "@a", "\t=1", "\r=1", "\n=1", "-", '=HYPERLINK("x", "y")', "=a\nb"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_formula_is_defused_in_every_place_of_a_row(text: str, place: int) -> None:
    cells: list[object] = ["", 'a,=b\n"+c"', None]
    cells[place] = text
    answer = csv_stream.response("x.csv", ["one", "two", "three"], [cells])
    written = [f"'{text}" if cell == text else cell or "" for cell in cells]

    assert list(csv.reader(io.StringIO(answer.getvalue().decode(), newline="")))[1:] == [written]


CELLS = st.none() | st.integers() | st.text() | st.text(alphabet='a,"\r\n=-+@\t 1.', max_size=6) | st.floats()


@given(st.integers(2, 4).flatmap(lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1)))
def test_lines_are_written_as_the_csv_module_writes_them(lines: list[list[object]]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows(list(map(csv_stream.safe, line)) for line in lines)
    _, _, written = csv_stream.response("x.csv", [""] * len(lines[0]), lines).getvalue().decode().partition("\r\n")

    assert written == text.getvalue()


def test_rows_are_taken_as_they_are_sent() -> None:
    taken = 0

    def lines() -> Iterator[list[int]]:
        nonlocal taken
        for number in range(5000):
            taken = number + 1
            yield [number]

    parts = iter(csv_stream.response("x.csv", ["n"], lines()))
    assert (next(parts), taken) == (b"n\r\n", 0)
    next(parts)
    assert taken == 500
    assert sum(part.count(b"\n") for part in parts) == 4500
