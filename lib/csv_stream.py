"""CSV answers: streamed some rows at a time, and safe to open in a spreadsheet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from django.http import StreamingHttpResponse

FORMULA = frozenset("=+-@\t\r\n")  # a cell that starts so would be run by a spreadsheet
_SPECIAL = re.compile('[",\r\n]')
CHUNK = 500  # rows that are written at once


def safe(cell: object) -> object:
    """A text that a spreadsheet would take for a formula gets an apostrophe in front; numbers stay as they are."""
    if type(cell) is str and cell[:1] in FORMULA and cell and not _number(cell):
        return f"'{cell}"
    return cell


def _number(text: str) -> bool:
    digits = text[1:].replace(".", "", 1)
    return text[0] == "-" and digits.isascii() and digits.isdigit()


def response(name: str, columns: Sequence[str], lines: Iterable[Sequence[object]]) -> StreamingHttpResponse:
    """An attachment with a header row; memory does not grow with its length."""
    answer = StreamingHttpResponse(_chunks(columns, lines), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _chunks(columns: Sequence[str], lines: Iterable[Sequence[object]]) -> Iterator[str]:
    yield _written([columns])
    rest = iter(lines)
    while chunk := list(islice(rest, CHUNK)):
        yield _written(chunk)


def _written(lines: Sequence[Sequence[object]]) -> str:
    """Lines of two cells or more as the csv module writes them, at half its cost: it weighs every sign of every cell."""
    columns = map(_column, zip(*lines, strict=True))
    return "\r\n".join([*map(",".join, zip(*columns, strict=True)), ""])


def _column(cells: Sequence[object]) -> Sequence[str]:
    """A column's cells as they are written. All are looked at together first, as most columns need no care at all."""
    texts = [cell if type(cell) is str else "" if cell is None else str(cell) for cell in cells]
    together = "\n".join(["", *texts])
    odd = together.count("\n") != len(texts) or any(sign in together for sign in '",\r')
    if odd or any(sign in together and f"\n{sign}" in together for sign in "=+-@\t"):
        return [
            _quoted(str(safe(text) if type(cell) is str else text)) for cell, text in zip(cells, texts, strict=True)
        ]
    return texts


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _SPECIAL.search(text) else text
