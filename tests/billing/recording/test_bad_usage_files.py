"""Damaged, hostile and unusual files: each is read, or refused in one clear sentence, and what was imported is counted."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from billing.events.usage_files import file_text, options, rows, usage_file
from billing.events.usage_files.formats import BadMapping
from billing.models import UsageLog
from tests.billing.ledger_rows import CommandResult, run

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at("2026-12-01T12:00")]

HEADER = "provider,model,input_tokens\n"
LINE = "openai,gpt-4o,10\n"


def import_bytes(tmp_path: Path, content: bytes, name: str = "a.csv", *arguments: str) -> CommandResult:
    (tmp_path / name).write_bytes(content)
    return run("import_usage", str(tmp_path / name), "--account", "a", *arguments)


def stored() -> list[tuple[str, int]]:
    return list(UsageLog.objects.order_by("event_id").values_list("model_used", "tokens_input"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.csv.gz"])
def test_unicode_files_are_read(tmp_path: Path, encoding: str, name: str) -> None:
    text = f"{HEADER}openai,modèle,10\n"
    if "json" in name:
        text = '{"provider": "openai", "model": "modèle", "input_tokens": 10}\n'
    content = text.encode(encoding)
    result = import_bytes(tmp_path, gzip.compress(content) if name.endswith(".gz") else content, name)

    assert result.status == 0, result
    assert stored() == [("modèle", 10)]


def test_latin_1_is_refused_line_by_line_until_it_is_stated(tmp_path: Path) -> None:
    content = f"{HEADER}openai,modèle,10\n{LINE}".encode("latin-1")
    result = import_bytes(tmp_path, content)
    assert (result.status, result.lines[0]) == (
        1,
        "2: model: The text is not UTF-8. State the file's encoding, such as --encoding latin-1.",
    )
    assert stored() == [("gpt-4o", 10)]

    assert import_bytes(tmp_path, content, "a.csv", "--encoding", "latin-1").status == 0
    assert stored() == [("modèle", 10), ("gpt-4o", 10)]


def test_undecodable_text_in_a_column_that_is_left_out_does_no_harm(tmp_path: Path) -> None:
    assert import_bytes(tmp_path, b"provider,model,input_tokens,x\nopenai,gpt-4o,10,\xff\n").status == 0
    assert stored() == [("gpt-4o", 10)]


def test_an_unknown_encoding_is_refused(tmp_path: Path) -> None:
    result = import_bytes(tmp_path, b"", "a.csv", "--encoding", "klingon")
    assert result.err == "'klingon' is not a text encoding; try utf-8, utf-16 or latin-1."


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_are_recognised(tmp_path: Path, separator: str) -> None:
    assert import_bytes(tmp_path, (HEADER + LINE).replace(",", separator).encode(), "a.tsv").status == 0
    assert stored() == [("gpt-4o", 10)]


def test_quoted_newlines_and_comments_before_the_header_keep_the_line_numbers(tmp_path: Path) -> None:
    content = b'# exported\n\n"provider",model,input_tokens,"x\ny"\nopenai,gpt-4o,10,"1\n2"\nopenai,gpt-4o,ten,3\n'
    result = import_bytes(tmp_path, content)

    assert result.lines[0] == "7: usage.input_tokens: Expected `int`, got `str`."
    assert list(UsageLog.objects.values_list("event_id", flat=True)) == ["a.csv:6"]


def test_a_quote_that_is_not_closed_is_refused_with_its_lines(tmp_path: Path) -> None:
    result = import_bytes(tmp_path, f'{HEADER}{LINE}openai,"gpt-4o,10\n{LINE * 3}'.encode())

    assert (result.status, result.lines[:2]) == (
        1,
        [
            "6: Lines 3 to 6 were read as one: is a closing quote missing? Invalid CSV: unexpected end of data.",
            "1 refused: invalid",
        ],
    )
    assert stored() == [("gpt-4o", 10)]


def test_a_column_that_stands_twice_is_refused_if_it_is_used(tmp_path: Path) -> None:
    content = b"provider,model,x,x,input_tokens\nopenai,gpt-4o,1,2,10\n"
    assert import_bytes(tmp_path, content, "a.csv", "--map", "x=output_tokens").err == (
        "The file has 2 columns 'x'; rename or remove all but one."
    )
    assert UsageLog.objects.count() == 0
    assert import_bytes(tmp_path, content).status == 0


def test_a_formula_is_no_value(tmp_path: Path) -> None:
    result = import_bytes(tmp_path, f'{HEADER}openai,"=HYPERLINK(""x"")",10\nopenai,gpt-4o,=1+1\n{LINE}'.encode())

    assert result.lines[:2] == [
        "2: model: A formula; export its value.",
        "3: usage.input_tokens: A formula; export its value.",
    ]
    assert stored() == [("gpt-4o", 10)]


def zip_archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.csv", HEADER)
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (zip_archive(), "a.csv", "The file is a zip archive or an Excel workbook; export it as CSV or JSON Lines."),
        (b"PAR1....", "a.csv", "The file is a Parquet file; export it as CSV or JSON Lines."),
        (b"<!doctype html><p>Log in", "a.csv", "The file is HTML or XML; export it as CSV or JSON Lines."),
        (b'{"a": 1}', "a.csv", "The file is JSON, not CSV; name it .jsonl or .json."),
        (b"x", "a.xlsx", "a.xlsx: only .csv, .tsv, .jsonl and .json files, also as .gz, can be imported."),
        (b"", "a.csv", "No column has the provider. State it (--set provider=openai), or map a column to it (--map)."),
        (b"", "a.json", "The file is not JSON: Expecting value: line 1 column 1 (char 0). Is it cut off?"),
        (
            b'{"data": [{"starting_at": "2026-11-02T10:00:00Z",\n "resu',
            "a.json",
            "The file is not JSON: Unterminated string starting at: line 2 column 2 (char 51). Is it cut off?",
        ),
        (gzip.compress(b"x" * 9999)[:20], "a.csv.gz", "The file is damaged or cut off: Compressed file ended before"),
        (b"\x1f\x8bnot gzip", "a.csv.gz", "The file is damaged or cut off: "),
        (
            b'{"object": "page", "nodes": []}',
            "a.json",
            "The file's format is not known; name it with --format, one of anthropic-usage, aws-cur2, ",
        ),
    ],
)
def test_what_is_no_usage_file_is_refused_as_a_whole(tmp_path: Path, content: bytes, name: str, message: str) -> None:
    result = import_bytes(tmp_path, content, name)

    assert (result.status, result.err[: len(message)]) == (2, message)
    assert UsageLog.objects.count() == 0


def test_a_truncated_gzip_file_names_the_line_and_counts_what_was_imported(tmp_path: Path) -> None:
    lines = "".join(f"openai,gpt-4o,{number}\n" for number in range(1, 30_001))
    content = gzip.compress((HEADER + lines).encode())
    result = import_bytes(tmp_path, content[: len(content) // 2], "a.csv.gz")

    count = UsageLog.objects.count()
    assert (result.status, 0 < count < 30_000) == (1, True)
    number, _, sentence = result.lines[0].partition(": ")
    assert sentence == (
        "The file is damaged or cut off: Compressed file ended before the end-of-stream marker was reached."
    )
    assert int(number) == count + 1
    assert result.lines[-1] == f"{count + 1} read: {count} imported (0 unpriced), 0 already stored, 1 refused."


def test_a_jsonl_file_that_is_cut_off_refuses_its_last_line(tmp_path: Path) -> None:
    line = '{"provider": "openai", "model": "gpt-4o", "input_tokens": 10}\n'
    result = import_bytes(tmp_path, (line * 2 + line[:30]).encode(), "a.jsonl")

    assert result.lines[0].startswith("3: The line is not JSON: Expecting ':' delimiter: column 31 (char 30)")
    assert stored() == [("gpt-4o", 10)] * 2


class Repeated(io.RawIOBase):
    """A seekable stream with a start and lines that are made when they are read."""

    def __init__(self, start: bytes, line: bytes, count: int) -> None:
        self._start, self._block, self._blocks = start, line * 1000, count // 1000
        self.seek(0)

    def _pieces(self) -> Iterator[bytes]:
        yield self._start
        for _ in range(self._blocks):
            yield self._block

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._rest, self._iterator = b"", self._pieces()
        return 0

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # the base class takes any buffer
        while not self._rest:
            piece = next(self._iterator, None)
            if piece is None:
                return 0
            self._rest = piece
        data = self._rest[: len(buffer)]
        self._rest = self._rest[len(data) :]
        buffer[: len(data)] = data
        return len(data)


@pytest.mark.parametrize(
    ("name", "start", "line"),
    [
        ("a.csv", HEADER.encode(), LINE.encode()),
        ("a.jsonl", b"\n", b'{"provider": "openai", "model": "gpt-4o", "input_tokens": 10}\n'),
    ],
)
def test_memory_does_not_grow_with_the_number_of_rows(name: str, start: bytes, line: bytes) -> None:
    stated = options.parse(constants=["account=a"])
    peaks = []
    for count in (2_000, 10_000):
        file = usage_file.open_stream(io.BufferedReader(Repeated(start, line, count)), name, stated)
        tracemalloc.start()
        assert sum(1 for _ in file.lines) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peaks[1] < peaks[0] + 200_000


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.gz"])
def test_a_gzip_bomb_is_read_no_further_than_its_limit(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(file_text, "FREE_EXPANSION", 10_000)
    monkeypatch.setattr(file_text, "MAX_EXPANSION", 50)
    line = LINE if "csv" in name else '{"provider": "openai", "model": "gpt-4o", "input_tokens": 10}\n'
    content = gzip.compress(((HEADER if "csv" in name else "") + line * 50_000).encode())
    file = usage_file.open_stream(io.BytesIO(content), name, options.parse(constants=["account=a"]))
    *lines, last = (line.event for line in file.lines)

    assert getattr(last, "detail", "") == ("The file expands to more than 50 times its size; unpack it and look at it.")
    assert len(lines) * len(line) <= 50 * len(content) < len(line) * 50_000


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.gz"])
def test_a_bomb_of_one_line_is_refused(name: str) -> None:
    start = HEADER if "csv" in name else '{"provider": "'
    content = gzip.compress(start.encode() + b"x" * 20_000_000)
    file = (
        usage_file.open_stream(io.BytesIO(content), name, options.parse(constants=["account=a"]))
        if "csv" in name
        else None
    )
    if file is None:
        with pytest.raises(BadMapping, match=r"The line is longer than 1,048,576 characters"):
            usage_file.open_stream(io.BytesIO(content), name, options.parse(constants=["account=a"]))
        return
    assert [getattr(line.event, "detail", "") for line in file.lines] == [
        "The line is longer than 1,048,576 characters; the rest of the file was not read."
    ]


def test_a_json_document_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_DOCUMENT", 2**20)
    content = b'{"data": [' + b'{"provider": "openai"},' * 50_000 + b"{}]}"

    with pytest.raises(BadMapping, match=r"The JSON document is larger than 1 MiB; export fewer days, or JSON Lines"):
        usage_file.open_stream(io.BytesIO(content), "a.json", options.parse(constants=["account=a"]))


def test_deep_json_is_refused(tmp_path: Path) -> None:
    line = '{"provider": "openai", "input_tokens": 1, "metadata": ' + '{"a":' * 5000 + "1" + "}" * 5001
    result = import_bytes(tmp_path, line.encode(), "a.jsonl")

    assert result.lines[0] == "1: The line is nested more than 64 levels deep."


def test_a_mapped_column_that_is_no_number_names_itself(tmp_path: Path) -> None:
    result = import_bytes(tmp_path, b"provider,in\nopenai,1.5\nopenai,many\n", "a.csv", "--map", "in=input_tokens")

    assert result.lines[:2] == [
        "2: usage.input_tokens: 1.5 is not a whole number (column 'in').",
        "3: usage.input_tokens: Expected `int`, got `str` (column 'in').",
    ]
