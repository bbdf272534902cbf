"""Each shipped format reads a file as its vendor documents it, and importing the file again changes nothing."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import pytest

from billing.events.events import Event
from billing.events.usage_files import options, shipped_formats, usage_file
from billing.models import UsageLog
from tests.billing.ledger_rows import assert_ledger_consistent, run
from tests.billing.recording import cloud_cost_files, usage_files
from tests.billing.recording.usage_files import UsageFileExample

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at("2026-12-01T12:00")]
EXAMPLES = [*usage_files.EXAMPLES, *cloud_cost_files.EXAMPLES]
each_example = pytest.mark.parametrize("example", EXAMPLES, ids=[f"{row.format}-{row.name}" for row in EXAMPLES])


def open_example(example: UsageFileExample) -> usage_file.UsageFile:
    stated = options.parse(constants=["account=a"])
    return usage_file.open_stream(io.BytesIO(example.text.encode()), example.name, stated)


def test_every_shipped_format_has_an_example() -> None:
    assert {example.format for example in EXAMPLES} == set(shipped_formats.load())


@each_example
def test_rows_become_events(example: UsageFileExample) -> None:
    file = open_example(example)
    events = [line.event for line in file.lines]

    assert file.format is not None
    assert (file.format.name, file.recognised) == (example.format, True)
    assert [event for event in events if not isinstance(event, Event)] == []
    fields = [msgspec.to_builtins(event) for event in events]
    ids = tuple(field.pop("event_id") for field in fields)
    assert {field.pop("account") for field in fields} == {"a"}
    for field in fields:  # empty objects say nothing
        for name in ("usage", "variant"):
            if not field[name]:
                del field[name]
    assert fields == example.events
    assert set(file.left_out) >= example.left_out
    assert all(event_id.startswith(f"{example.format}:") for event_id in ids)
    assert len(set(ids)) == len(ids)
    if example.ids:
        assert ids == example.ids


@each_example
def test_a_second_import_changes_nothing(example: UsageFileExample, tmp_path: Path) -> None:
    path = tmp_path / example.name
    path.write_text(example.text)
    first = run("import_usage", str(path), "--account", "a")
    stored = list(UsageLog.objects.order_by("pk").values())
    second = run("import_usage", str(path), "--account", "a", "--format", example.format)

    count = len(example.events)
    assert (first.status, second.status) == (0, 0)
    assert first.lines[-1].startswith(f"{count} read: {count} imported")
    assert second.lines[-1] == f"{count} read: 0 imported (0 unpriced), {count} already stored, 0 refused."
    assert list(UsageLog.objects.order_by("pk").values()) == stored
    assert_ledger_consistent()


def test_an_overlapping_export_in_another_order_adds_only_its_new_rows(tmp_path: Path) -> None:
    header = "generation_id,created_at,cost_total,tokens_prompt,tokens_completion,model_permaslug\n"
    rows = [f"gen-{number},2026-11-02 10:00:0{number},0.1,10,5,openai/gpt-4o\n" for number in range(4)]
    for name, part in (("a.csv", rows[:3]), ("b.csv", [rows[3], rows[2], rows[1]])):
        (tmp_path / name).write_text(header + "".join(part))
        assert run("import_usage", str(tmp_path / name), "--account", "a").status == 0

    assert sorted(UsageLog.objects.values_list("event_id", flat=True)) == [
        f"openrouter-activity:gen-{number}" for number in range(4)
    ]


def test_a_bucket_that_grew_is_a_conflict_and_the_first_is_kept(tmp_path: Path) -> None:
    header = "start_time,end_time,start_time_iso,num_model_requests,model,input_tokens,output_tokens\n"
    path = tmp_path / "usage.csv"
    for tokens in (10, 20):
        path.write_text(f"{header}1793613600,1793700000,2026-11-02T10:00:00Z,1,gpt-4o,{tokens},5\n")
        result = run("import_usage", str(path), "--account", "a")

    assert (result.status, result.lines[1]) == (1, "1 refused: event_conflict event_id")
    assert UsageLog.objects.get().tokens_input == 10


def test_formats_are_listed() -> None:
    lines = run("import_usage", "--list-formats").lines

    assert [line.split()[0] for line in lines] == sorted(shipped_formats.load())
    assert "cursor               Cursor: usage events as CSV" in lines


def test_a_file_of_another_format_is_refused_and_its_format_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(usage_files.EXAMPLES[0].text)
    result = run("import_usage", str(path), "--account", "a", "--format", "cursor")

    assert (result.status, result.err) == (2, "The file is not cursor: it looks like openai-usage.")
    assert UsageLog.objects.count() == 0


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    result = run("import_usage", str(tmp_path / "a.csv"), "--format", "nothere")
    assert result.status == 2

    (tmp_path / "a.csv").write_text("a\n")
    result = run("import_usage", str(tmp_path / "a.csv"), "--format", "nothere")
    assert result.err.startswith("There is no format 'nothere'. There are anthropic-usage, aws-cur2, ")


OWN_FORMAT = """
name = "own"
recognise = ["when", "in"]
timezone = "Europe/Berlin"
time_forms = ["%d.%m.%Y %H:%M"]
id = ["no"]
currency = "cur"

[set]
provider = "openai"

[skip]
kind = ["test*"]

[patterns]
name = '^(?P<team>[a-z]+)-(?P<own_model>.+)$'

[fields]
occurred_at = "when"
model = { column = "own_model", values = { "four*" = "gpt-4o" } }
input_tokens = { column = "in", times = "1000" }
output_tokens = "a + b"
cost_usd = "price"
"metadata.team" = "team"
"""


def test_an_operators_own_format(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN_FORMAT)
    (tmp_path / "own.csv").write_text(
        "no;when;name;kind;in;a;b;price;cur\n"
        "7;02.11.2026 11:00;red-four-o;real;1.5;3;4;$0.50;eur\n"
        "8;02.11.2026 11:00;red-four-o;test 1;1.5;3;4;$0.50;eur\n"
    )
    command = ("import_usage", str(tmp_path / "own.csv"), "--account", "a", "--format", str(tmp_path / "own.toml"))
    result = run(*command, "--rate", "EUR=1.1", "--set", "metadata.source=own")

    assert (result.status, result.lines[0]) == (0, "1 skipped: kind is test 1")
    log = UsageLog.objects.get()
    assert (log.event_id, log.model_used, log.tokens_input, log.tokens_output) == ("own:7", "gpt-4o", 1500, 7)
    assert (log.timestamp.isoformat(), log.cost_total) == ("2026-11-02T10:00:00+00:00", 550_000_000)
    assert log.metadata == {
        "team": "red",
        "source": "own",
        "original_cost": "0.5",
        "original_currency": "EUR",
        "exchange_rate": "1.1",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "own.toml: not a format: "),
        ("recognise = []\n", "own.toml: not a format: Object missing required field `name`"),
        ('name = "x"\ncolour = 1\n', "own.toml: not a format: Object contains unknown field `colour`"),
        ('name = "x"\n[fields]\nshade = "a"\n', "own.toml: 'shade' is not a field of a usage event."),
        ('name = "x"\ntimezone = "Mars/Olympus"\n', "own.toml: not a format: "),
        ("name = \"x\"\n[patterns]\na = '('\n", "own.toml: not a format: "),
        ('name = "x"\n[fields]\ncost_usd = { column = "a", times = "x" }\n', "own.toml: not a format: "),
    ],
)
def test_a_format_with_a_mistake_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "own.toml").write_text(text)
    (tmp_path / "own.csv").write_text("a\n")
    result = run("import_usage", str(tmp_path / "own.csv"), "--format", str(tmp_path / "own.toml"))

    assert result.status == 2
    assert result.err.removeprefix(f"{tmp_path}/").startswith(message)
