"""The processes of the chaos run: `python -m tests.proof.chaos.actors ROLE NAME SEED FOLDER`. They work until killed."""

from __future__ import annotations

import random
import sys
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

from tests.proof.chaos import world

world.install_clock()

import django  # noqa: E402 - after the clock

django.setup()

from django.core.management import call_command  # noqa: E402 - needs the setup
from django.db import InterfaceError, OperationalError, close_old_connections  # noqa: E402 - needs the setup
from django.utils import timezone  # noqa: E402 - needs the setup

from billing.accounts import accounts  # noqa: E402 - needs the setup
from billing.corrections import corrections  # noqa: E402 - needs the setup
from billing.corrections.apply_corrections import BatchClosed  # noqa: E402 - needs the setup
from billing.errors import Refused  # noqa: E402 - needs the setup
from billing.events import events  # noqa: E402 - needs the setup
from billing.limits import reservations  # noqa: E402 - needs the setup
from billing.limits.decisions import Refusal  # noqa: E402 - needs the setup
from billing.limits.operations import Operation  # noqa: E402 - needs the setup
from billing.models import (  # noqa: E402 - needs the setup
    Account,
    CorrectionBatch,
    LimitOverride,
    Meter,
    Statement,
    UsageAdjustment,
    UsageLog,
)
from billing.plans import anchor_changes, overrides, subscriptions  # noqa: E402 - needs the setup
from billing.recording import metering  # noqa: E402 - needs the setup
from billing.recording.metering import EventSource  # noqa: E402 - needs the setup
from billing.statements import statements  # noqa: E402 - needs the setup
from billing.verification import verify  # noqa: E402 - needs the setup
from lib import jobs  # noqa: E402 - needs the setup
from lib.money import NANO  # noqa: E402 - needs the setup
from providers import rulebook  # noqa: E402 - needs the setup
from providers.models import DetectionRule, Provider  # noqa: E402 - needs the setup
from tests.billing.ledger_rows import set_price  # noqa: E402 - needs the setup

SOURCE = EventSource(may_state_cost=True, may_create_accounts=True)
# A command that skipped something exits with a status.
EXPECTED = (Refused, Refusal, BatchClosed, corrections.NotReverted, OperationalError, InterfaceError, SystemExit)
JOBS_LEFT_OUT = {"verify_ledger", "find_undetected", "prune"}
LOGS_TO_CHOOSE_FROM = 400

Actor = Callable[["Process"], None]


class Process:
    """One process: its random numbers, its journal, and the events that it sent lately."""

    def __init__(self, name: str, seed: int, folder: Path) -> None:
        self.name, self.rng = f"{name}-{seed}", random.Random(seed)
        self.journal = world.Journal(folder, self.name)
        self.sent: list[dict[str, Any]] = []
        self.number = 0

    def new_id(self) -> str:
        self.number += 1
        return f"{self.name}-{self.number}"

    def account(self) -> Account:
        account = accounts.get(self.rng.choice(world.ACCOUNTS))
        assert account
        return account

    def record(self, batch: list[dict[str, Any]]) -> None:
        self.journal.write("sent", [event["event_id"] for event in batch])
        parsed = [events.parse(event) for event in batch]
        results = metering.record(parsed, source=SOURCE, at=timezone.now())
        self.journal.write("answered", [[result.event_id, result.status] for result in results])


def ingest(process: Process) -> None:
    """Record new events, some of an earlier time, and repeat some old ones."""
    rng = process.rng
    new = [_event(process) for _ in range(rng.choice((1, 1, 5, 80)))]
    process.sent = [*process.sent, *new][-500:]
    process.record(rng.sample([*new, *rng.sample(process.sent, min(len(process.sent), 3))], len(new)))


def _event(process: Process) -> dict[str, Any]:
    rng = process.rng
    hours_ago = rng.choices((0, rng.uniform(0, 6), rng.uniform(0, 240), rng.uniform(240, 800)), (70, 20, 8, 2))[0]
    kind: dict[str, Any] = rng.choice(
        [
            {
                "provider": "openai",
                "model": "gpt-4o",
                "usage": {"input_tokens": rng.randrange(9000), "output_tokens": 9},
            },
            {"provider": "mistral", "model": "priced-later", "usage": {"input_tokens": rng.randrange(9000)}},
            {"provider": "openai", "model": "priced-later", "usage": {"input_tokens": rng.randrange(9000)}},
            {"provider": "audio", "model": f"m{rng.randrange(5)}", "cost_usd": f"0.{rng.randrange(10**6):06}"},
        ]
    )
    occurred_at = timezone.now() - timedelta(hours=hours_ago)
    account = rng.choice(world.ACCOUNTS)
    return {"event_id": process.new_id(), "account": account, "occurred_at": occurred_at.isoformat(), **kind}


def reserve(process: Process) -> None:
    """Reserve a video call, then settle it (also into the past), release it, or let it expire."""
    rng, account, name = process.rng, process.account(), process.new_id()
    request = reservations.ReservationRequest(
        name, [Operation(provider="video", category="video")], rng.choice((300, 900, 7200))
    )
    reservation, _ = reservations.reserve(account, request, timezone.now())
    choice = rng.random()
    if choice < 0.15:
        reservations.release(reservation, timezone.now())
    elif choice < 0.85:
        hours_ago = rng.choice((0.0, 0.0, 1.0, 30.0, 500.0))
        occurred_at = (timezone.now() - timedelta(hours=hours_ago)).isoformat()
        event = {"event_id": f"{name}-call", "reservation_id": name, "account": account.external_id}
        call = {**event, "provider": "video", "model": "wan", "cost_usd": "0.01", "occurred_at": occurred_at}
        for _ in range(rng.choice((1, 1, 2))):
            process.record([call])


def correct(process: Process) -> None:
    """Void, re-price, redetect and revert; never video calls, which would make room under their limit."""
    rng = process.rng
    action = rng.choice((_void, _void, _void, _revert, _reprice, _redetect, _revert_batch, _rebuild))
    action(process)


def _void(process: Process) -> None:
    newest = UsageLog.objects.exclude(category="video").filter(account=process.account()).order_by("-timestamp")
    if logs := list(newest[:LOGS_TO_CHOOSE_FROM]):
        corrections.void(process.rng.choice(logs), reason="chaos", actor=process.name, at=timezone.now())


def _revert(process: Process) -> None:
    active = UsageAdjustment.objects.filter(account=process.account(), reverted_by=None).exclude(kind="revert")
    if adjustments := list(active.order_by("-id")[:LOGS_TO_CHOOSE_FROM]):
        adjustment = process.rng.choice(adjustments)
        corrections.revert_adjustment(adjustment, reason="chaos", actor=process.name, at=timezone.now())


def _reprice(process: Process) -> None:
    set_price("priced-later", input_tokens=str(process.rng.randrange(1, 9)))
    call_command("reprice", "--provider", "openai", stdout=StringIO(), stderr=StringIO())


def _redetect(process: Process) -> None:
    """Detect again after a change of an operator's rule."""
    provider = Provider.objects.get(slug=process.rng.choice(("huggingface", "mistral")))
    values = {"evidence": "family", "pattern": "priced-later", "declared": ["mistral"], "provider": provider}
    DetectionRule.objects.update_or_create(slug="chaos", defaults=values)
    rulebook.invalidate()
    call_command("backfill_actual_providers", "--redetect", stdout=StringIO(), stderr=StringIO())


def _revert_batch(process: Process) -> None:
    batches = CorrectionBatch.objects.filter(kind__in=["reprice", "redetect"], reverted_at=None)
    if batch := batches.order_by("-created_at").first():
        for _ in corrections.revert(batch, actor=process.name, size=50, clock=timezone.now):
            pass


def _rebuild(_process: Process) -> None:
    call_command("rebuild_rollups", stdout=StringIO(), stderr=StringIO())


def subscribe(process: Process) -> None:
    """Change subscriptions, anchor days and time zones, and pay statements."""
    rng, account, at = process.rng, process.account(), timezone.now()
    choice = rng.randrange(12)
    if choice < 4:
        cycle = rng.choice(("monthly", "monthly", "yearly"))
        subscriptions.subscribe(account, plan=rng.choice(world.PLANS), cycle=cycle, actor="chaos", at=at)
    elif choice < 6:
        subscriptions.cancel(account, actor="chaos", at=at, immediately=rng.random() < 0.3)
    elif choice == 6:
        subscriptions.resume(account, actor="chaos", at=at)
    elif choice == 7:
        anchor_changes.change(account, anchor_day=rng.randrange(1, 32), timezone=rng.choice(world.ZONES), at=at)
    elif choice < 10:
        _override(process, account)
    elif statement := Statement.objects.filter(account=account, state=Statement.State.OPEN).first():
        statements.mark_paid(statement, actor="chaos", note="", at=at)


def _override(process: Process, account: Account) -> None:
    """Set, edit or delete the account's own monthly cost limit."""
    rng, stored = process.rng, LimitOverride.objects.filter(account=account, meter__slug="monthly_cost").first()
    if stored and rng.random() < 0.4:
        overrides.change(account, deleted=[stored], at=timezone.now())
        return
    override = stored or LimitOverride(account=account, meter=Meter.objects.get(slug="monthly_cost"), reason="chaos")
    override.amount, override.hard = rng.randrange(1, 9) * NANO, rng.random() < 0.3
    overrides.change(account, saved=[override], at=timezone.now())


def work(process: Process) -> None:
    """Run all periodic jobs: expire, renew, close, sweep, archive, and so on."""
    for job in jobs.registered():
        if job.name not in JOBS_LEFT_OUT:
            try:
                job.run(timezone.now())
            except jobs.ProblemFound as problem:
                process.journal.write("problem", f"{job.name}: {problem}")


def check(process: Process) -> None:
    """Verify the ledger while everything else goes on."""
    for difference in differences():
        process.journal.write("difference", difference)
    process.journal.write("verified", 1)


def differences() -> Iterator[str]:
    """What all ledger checks find."""
    for parts in verify.check_all(verify.Run(timezone.now())):
        yield from (str(difference) for part in parts for difference in part.differences)


ACTORS: dict[str, Actor] = {
    "ingest": ingest,
    "reserve": reserve,
    "correct": correct,
    "subscribe": subscribe,
    "work": work,
    "check": check,
}


def step(actor: Actor, process: Process) -> None:
    """One step; what a busy database or a rule refuses is part of the run, anything else is an error."""
    try:
        actor(process)
        process.journal.write("done", process.name)
    except EXPECTED as refusal:
        process.journal.write("refused", f"{type(refusal).__name__}: {refusal}"[:80])
    except Exception:
        process.journal.write("error", traceback.format_exc()[-3000:])
    close_old_connections()


def main(role: str, name: str, seed: str, folder: str) -> None:
    process = Process(name, int(seed), Path(folder))
    process.journal.write("ready", name)
    world.wait_for_clock(Path(folder))
    while True:
        step(ACTORS[role], process)


if __name__ == "__main__":
    main(*sys.argv[1:])
