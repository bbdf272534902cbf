"""`GET usage/logs/?format=csv`: the rows and columns of the JSON, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from billing.api.schema import LOG_FIELDS
from billing.models import UsageAdjustment, UsageLog
from lib import ids
from tests.billing.ledger_rows import NOON, record
from tests.conftest import Api

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOON)]


def export(api: Api, **query: str) -> list[dict[str, str]]:
    response = api.get("usage/logs/", format="csv", **query)
    assert (response.status_code, response["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert response["Content-Disposition"] == 'attachment; filename="usage-logs.csv"'
    return list(csv.DictReader(io.StringIO(response.getvalue().decode(), newline="")))


def as_cell(value: Any) -> str:
    if value is None or value in ({}, []):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def test_the_csv_has_the_columns_and_rows_of_the_json(service: Api) -> None:
    record(
        {
            "metadata": {"a": [1, "\u00e9"]},
            "usage": {"input_tokens": 5, "seconds": "0.5"},
            "error_message": 'two\nlines, "q"',
        },
        {"cost_usd": None, "model": "nobody", "occurred_at": "2026-11-01T00:00:00.000001Z"},
        {"provider": "video", "status_code": 500},
    )
    log = UsageLog.objects.order_by("id")[0]
    UsageAdjustment.objects.create(
        id=ids.new_id(),
        account_id=log.account_id,
        log=log,
        kind="credit",
        period=NOON,
        corrects_period=NOON,
        created_at=NOON,
        delta_nano=-5,
        reason="=1+1",
    )
    rows = service.get("usage/logs/").json()["results"]
    lines = export(service)

    assert [list(line) for line in lines] == [list(LOG_FIELDS)] * 3
    for line, row in zip(lines, rows, strict=True):
        for name in ("usage", "metadata", "adjustments"):
            assert json.loads(line.pop(name) or "null") == (row.pop(name) or None)
        assert line == {name: as_cell(value) for name, value in row.items()}


def test_the_csv_has_the_filters_of_the_json_but_no_pages(service: Api) -> None:
    record(*({"event_id": f"e{n}", "model": model} for n, model in enumerate(["gpt-4o", "gpt-4o-mini"] * 300)))

    assert [line["event_id"] for line in export(service, model="gpt-4o")] == [f"e{n}" for n in range(0, 600, 2)]
    assert export(service, model="nothing") == []
    assert len(export(service, page_size="1")) == 600


FORMULAS = ["=HYPERLINK(1)", "+1+1", "-1+1", "@SUM(1)", "\tx", "=cmd|' /C calc'!A0", "-", "-1.2.3"]
PLAIN_TEXTS = ["plain", "a=b", "1-1", "'=1", " =1", "<script>", "\U0001f680", "caf\u00e9"]


def test_formulas_are_escaped_in_every_field_that_a_caller_writes(service: Api) -> None:
    texts = [*FORMULAS, *PLAIN_TEXTS]
    record(*({"event_id": f"e{n}", "error_message": text} for n, text in enumerate(texts)))
    record(
        {
            "event_id": "=1",
            "account": "@a",
            "model": "+m",
            "endpoint": "=e",
            "metadata": {"=1": "=2"},
            "provider": "-x",
        },
    )
    lines = {line["event_id"]: line for line in export(service)}

    escaped = [f"'{text}" for text in FORMULAS]
    assert [lines[f"e{n}"]["error_message"] for n in range(len(texts))] == escaped + PLAIN_TEXTS
    names = ("account", "model", "endpoint", "metadata", "provider")
    assert [lines["'=1"][name] for name in names] == ["'@a", "'+m", "'=e", '{"=1":"=2"}', "'-x"]


def test_a_bad_filter_is_an_error_not_a_file(service: Api) -> None:
    response = service.get("usage/logs/", format="csv", status="maybe")
    assert (response.status_code, response["Content-Type"]) == (422, "application/json")


def test_a_bound_key_exports_only_its_own_logs(bound: Api) -> None:
    record({"account": "acct_42"}, {"account": "other"})
    assert [line["account"] for line in export(bound)] == ["acct_42"]
