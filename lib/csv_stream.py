"""CSV answers: streamed row by row, and safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence

from django.http import StreamingHttpResponse

FORMULA = frozenset("=+-@\t\r\n")  # a cell that starts so would be run by a spreadsheet
# In a written line: where a cell may start so. The writer puts cells with line breaks in quotes.
_SUSPECT = re.compile(r"""(?:\A|,)(?:"?[=+\-@\t]|"[\r\n])""")


class _Echo:
    def write(self, text: str) -> str:
        return text


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
    writer = csv.writer(_Echo())
    yield writer.writerow(columns)
    chunk: list[str] = []
    for line in lines:
        text = writer.writerow(line)
        chunk.append(writer.writerow(map(safe, line)) if _SUSPECT.search(text) else text)
        if len(chunk) == 500:
            yield "".join(chunk)
            chunk.clear()
    yield "".join(chunk)
