"""The admin imports a file as `import_usage` does: the same events, ids and costs, so that nothing counts twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from billing.imports.import_totals import ImportTotals
from billing.models import UsageLog
from lib.money import exact_usd
from tests.billing.imports import files
from tests.billing.ledger_rows import NOON, assert_ledger_consistent, run

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOON.isoformat())]
SAMPLE = "openrouter_activity.sample.json"


def values() -> list[tuple[object, ...]]:
    return list(UsageLog.objects.order_by("event_id").values_list("event_id", "digest", "cost_total", "tokens_total"))


@pytest.mark.shared_data
def test_a_vendors_sample_is_recognised_and_costs_what_it_says(shared_data: Path) -> None:
    path = shared_data / "vendor_exports" / SAMPLE
    done = files.import_all(path.read_bytes(), name=SAMPLE, account="a")

    assert (done.imported or {})["file"]["format"].endswith("recognised by its columns")
    total = ImportTotals.from_json(done.imported).total()
    assert (total.calls, total.tokens, exact_usd(total.cost_nano), total.refused) == (5, 175, "0.015", 0)
    before = values()
    again = run("import_usage", str(path), "--account", "a")
    assert " 0 imported (0 unpriced), 1 already stored, 0 refused." in again.lines[-1]
    assert values() == before
    assert_ledger_consistent()


def test_rows_without_ids_that_the_command_has_stored_are_already_stored(tmp_path: Path) -> None:
    content = b"Model,In,Out,Cost\ngpt-4o,10,5,1.5\ngpt-4o,20,5,\n"
    path = tmp_path / "calls.csv"
    path.write_bytes(content)
    maps = ["Model=model", "In=input_tokens", "Out=output_tokens", "Cost=cost_usd"]
    options = [word for pair in maps for word in ("--map", pair)]
    first = run("import_usage", str(path), "--account", "a", "--set", "provider=openai", *options)
    assert " 2 imported " in first.lines[-1]
    before = values()

    done = files.import_all(content, name="calls.csv", account="a", maps=maps, constants=["provider=openai"])
    assert ImportTotals.from_json(done.imported).counts.statuses == {"duplicate": 2}
    assert values() == before
