"""The handed cases of price lists from the field: what `sync_prices --dry-run` says of each."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from tests.providers.offers import stored_state

pytestmark = [pytest.mark.shared_data, pytest.mark.django_db]

EXPECTED = {
    "sync-off-peak-dropped": ["1 offered without off_peak_pricing", "1 statements read: 0 unchanged, 1 new"],
    "sync-negative-price": ["left out 1: a price out of range", "2 statements read: 0 unchanged, 1 new"],
}


def test_each_price_list_is_offered_in_full_or_says_what_it_lacks(shared_data: Path, tmp_path: Path) -> None:
    lines = (shared_data / "field_cases.jsonl").read_text(encoding="utf-8").splitlines()
    cases = {case["id"]: case["input"]["file"] for case in map(json.loads, lines) if case["id"].startswith("sync-")}
    before, printed = stored_state(), {}
    for name, content in cases.items():
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(content), encoding="utf-8")
        out = StringIO()
        call_command("sync_prices", "--source", "litellm", str(file), "--dry-run", stdout=out, stderr=StringIO())
        printed[name] = [line.partition(", 0 changed")[0] for line in out.getvalue().splitlines()]
    assert printed == EXPECTED
    assert stored_state() == before
