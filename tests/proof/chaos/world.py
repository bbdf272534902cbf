"""The accounts and plans of the chaos run, its files, and the clock that all its processes share.

The clock starts at `BASE` and runs `SPEED` times as fast as the real one, so that ten minutes pass over more than four days
and the period borders of twelve time zones.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BASE = datetime(2026, 11, 28, 20, 0, tzinfo=UTC)
SPEED = int(os.environ.get("CHAOS_SPEED", "600"))
ZONES = (
    *(
        "Pacific/Kiritimati",
        "Pacific/Auckland",
        "Asia/Tokyo",
        "Asia/Kathmandu",
        "Europe/Moscow",
        "Europe/Berlin",
        "UTC",
    ),
    *("America/St_Johns", "America/New_York", "America/Los_Angeles", "Pacific/Honolulu", "Pacific/Pago_Pago"),
)
ANCHORS = (29, 30, 31, 1)  # periods of each zone end on these days, all within the run
ACCOUNTS = [f"chaos-{number}" for number in range(len(ZONES) * 2)]
VIDEO_PER_PERIOD, VIDEO_PER_DAY = 12, 5  # hard limits that hold throughout
PLANS = ("soft-small", "soft-large", "hard")
VARIABLES = {
    "CLOSE_GRACE_HOURS": "2",
    "STATEMENT_DUE_DAYS": "1",
    "PAST_DUE_GRACE_DAYS": "1",
    "KEEP_LOGS_DAYS": "1",
    "DJANGO_SETTINGS_MODULE": "tests.settings",
}


def install_clock() -> None:
    """Replace the sources of the time in this process: Django's clock and UUIDv7. Before anything else is imported."""
    import uuid_utils.compat
    from django.utils import timezone

    def fast_uuid7() -> UUID:
        return original(nanoseconds=(fast_now() - EPOCH) // timedelta(microseconds=1) * 1000)

    original = uuid_utils.compat.uuid7
    vars(timezone)["now"] = fast_now
    vars(uuid_utils.compat)["uuid7"] = fast_uuid7


def fast_now() -> datetime:
    started = float(os.environ.get("CHAOS_STARTED", "inf"))
    return BASE + timedelta(seconds=max(time.time() - started, 0.0) * SPEED)


def start_clock(folder: Path) -> None:
    """Let the clock of all processes run from now on."""
    (folder / "started").write_text(str(time.time()))


def wait_for_clock(folder: Path) -> None:
    """Wait until the clock runs, for all processes together."""
    while not (folder / "started").exists() or not (text := (folder / "started").read_text()):
        time.sleep(0.05)
    os.environ["CHAOS_STARTED"] = text


class Journal:
    """An append-only file of one process: what it sent, and what was answered."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file = (folder / f"{name}.jsonl").open("a", encoding="utf-8")

    def write(self, kind: str, value: Any) -> None:
        """One write of one line: a kill leaves at most its last line incomplete."""
        self._file.write(json.dumps([kind, value]) + "\n")
        self._file.flush()


def entries(folder: Path) -> Iterator[tuple[str, Any]]:
    """All complete lines of all journals."""
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                kind, value = json.loads(line)
            except ValueError:  # the process was killed while it wrote the line
                continue
            yield kind, value


def create() -> None:
    """The accounts with their schedules and hard limits, and the plans."""
    from billing.accounts import accounts
    from billing.models import LimitOverride, Meter, Plan, PlanLimit
    from billing.plans import plans
    from lib.money import NANO
    from tests.billing.ledger_rows import set_price

    cost, video = (Meter.objects.get(slug=slug) for slug in ("monthly_cost", "video_calls"))
    for slug, included, fee, hard in (
        ("soft-small", 1, 31, False),
        ("soft-large", 5, 62, False),
        ("hard", 2, 15, True),
    ):
        plan = Plan(slug=slug, name=slug, price_monthly_nano=fee * NANO, price_yearly_nano=fee * 10 * NANO)
        limit = PlanLimit(meter=cost, amount=included * NANO, hard=hard)
        plans.supersede(plan=plan, limits=[limit], at=BASE - timedelta(days=200))
    for number, external_id in enumerate(ACCOUNTS):
        account = accounts.build(
            external_id=external_id,
            at=BASE - timedelta(days=40),
            timezone=ZONES[number % len(ZONES)],
            anchor_day=ANCHORS[number % len(ANCHORS)],
        )
        account.save(force_insert=True)
        for per, amount in (("period", VIDEO_PER_PERIOD), ("day", VIDEO_PER_DAY)):
            LimitOverride.objects.create(
                account=account, meter=video, per=per, amount=amount, reason="chaos", since=BASE - timedelta(days=40)
            )
    set_price("priced-later", since=date(2025, 1, 1), input_tokens="1")
