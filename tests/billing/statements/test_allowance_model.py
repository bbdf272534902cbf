"""R3: after any history, the overage of each period and of each late correction equals that of a model in plain Python.

The model walks the calls one by one. It reads the limit in force at the instant at which a call counts, as a decision on
a reservation does; it knows neither segments nor events of subscriptions.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import pytest

from billing.accounts import accounts, usage_periods
from billing.corrections import corrections
from billing.errors import Refused
from billing.models import Account, LimitOverride, Meter, Per, Plan, PlanLimit, Statement, UsageLog
from billing.plans import overrides, plans, subscriptions
from billing.statements import statements
from billing.verification import statement_check
from lib import periods
from lib.money import NANO
from tests.billing.subscribers import create_soft_plan
from tests.billing.usage import record
from tests.frozen_clock import utc

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at("2026-08-01")]

HISTORIES = int(os.environ.get("PROOF_EXAMPLES", "50")) // 5
ZONES = ("UTC", "Asia/Tokyo", "America/New_York", "Europe/Berlin", "Pacific/Apia", "Asia/Kathmandu")
JOINED_AT, ENDS_AT = utc("2026-09-03T07:30"), utc("2026-12-20")
GRACE, HOUR = timedelta(hours=72), timedelta(hours=1)
AMOUNTS = (0, 5, 40, 100, None)
Action = Callable[[datetime], None]


@dataclass
class Call:
    """A call as the model knows it; `allowance` is that of the instant at which it counts."""

    number: int
    counts_at: datetime
    cost_nano: int
    allowance_nano: int | None
    voided: bool = False
    voided_in: date | None = None  # the period in which a late void counts


@dataclass
class History:
    """An account, the actions to come by time, and what the model expects."""

    chance: random.Random
    account: Account
    calls: dict[date, list[Call]] = field(default_factory=dict)
    closed: set[date] = field(default_factory=set)
    expected: dict[date, tuple[int, dict[str, int]]] = field(default_factory=dict)  # overage, corrections by period
    pending: list[tuple[datetime, int, Action]] = field(default_factory=list)  # actions to come

    def actions(self) -> list[tuple[datetime, int, Action]]:
        """Changes before calls of the same instant, as they count from it on."""
        moments = list(self._moments())
        changes = [self.subscribe, self.subscribe, self.cancel, self.override, self.override, self.supersede]
        actions: list[tuple[datetime, int, Action]] = [
            (self.chance.choice(moments), 0, self.chance.choice(changes)) for _ in range(14)
        ]
        actions += [(self.chance.choice(moments), 1, self.call(number)) for number in range(40)]
        actions += [(self.chance.choice(moments), 2, self.void) for _ in range(8)]
        period = usage_periods.current_period(self.account, JOINED_AT)
        while period.starts_at < ENDS_AT:
            due = period.ends_at + GRACE + HOUR
            actions.append((due + HOUR * self.chance.randrange(200), 3, self.close(period.start)))
            period = usage_periods.period_from(self.account.schedule, period.end)
        return sorted(actions, key=lambda action: action[:2])

    def _moments(self) -> Iterator[datetime]:
        """Instants at random, and those at which something may change: midnights, the starts of periods, equal ones."""
        span = ENDS_AT - JOINED_AT
        for _ in range(30):
            at = JOINED_AT + span * self.chance.random()
            day = periods.local_day(self.account.schedule, at)
            midnight = periods.first_instant(self.account.schedule, day)
            start = periods.first_instant(
                self.account.schedule, periods.next_period_start(self.account.schedule, self._period(at))
            )
            yield from (at, at, max(midnight, JOINED_AT), min(start, ENDS_AT))

    def _period(self, at: datetime) -> date:
        return periods.period_start(self.account.schedule, periods.local_day(self.account.schedule, at))

    def _allowance(self, at: datetime) -> int | None:
        limits = {limit.key: limit for limit in plans.effective_limits(self._fresh(), at)}
        limit = limits["monthly_cost", Per.PERIOD]
        return None if limit.hard else limit.amount

    def _fresh(self) -> Account:
        self.account.refresh_from_db()
        return self.account

    def subscribe(self, at: datetime) -> None:
        plan = self.chance.choice(("soft0", "soft5", "soft40", "soft100", "basic", "pro"))
        cycle = self.chance.choice(("monthly", "monthly", "yearly"))
        subscriptions.subscribe(self.account, plan=plan, cycle=cycle, actor="", at=at)

    def cancel(self, at: datetime) -> None:
        with suppress(Refused):  # there may be no subscription
            subscriptions.cancel(self.account, actor="", at=at, immediately=self.chance.random() < 0.6)

    def override(self, at: datetime) -> None:
        row = LimitOverride.objects.filter(account=self.account).first()
        if row and self.chance.random() < 0.3:
            overrides.change(self.account, deleted=[row], at=at)
            return
        row = row or LimitOverride(account=self.account, meter=Meter.objects.get(slug="monthly_cost"), reason="test")
        row.amount, row.hard = self._amount(), self.chance.random() < 0.3
        today = periods.local_day(self.account.schedule, at)
        row.expires_on = self.chance.choice((None, today + timedelta(days=self.chance.randrange(-2, 20))))
        overrides.change(self.account, saved=[row], at=at)

    def supersede(self, at: datetime) -> None:
        meter, hard = Meter.objects.get(slug="monthly_cost"), self.chance.random() < 0.3
        limits = [PlanLimit(meter=meter, amount=self._amount(), hard=hard)]
        plans.supersede(plan=Plan(slug="free", name="Free"), limits=limits, at=at)

    def _amount(self) -> int | None:
        usd = self.chance.choice(AMOUNTS)
        return None if usd is None else usd * NANO

    def call(self, number: int) -> Action:
        """A call that is recorded at once, or up to 40 days later; the grace decides when it counts."""

        def begin(at: datetime) -> None:
            cost = self.chance.randrange(30 * NANO)
            sample = Call(number, at, cost, self._allowance(at))
            delay = self.chance.choice((0, 0, 0, 1, 50, 24 * 40)) * HOUR
            self.pending.append((at + delay, -1, lambda received_at: self._record(sample, received_at)))

        return begin

    def _record(self, call: Call, received_at: datetime) -> None:
        occurred_at = call.counts_at
        event = {"event_id": f"e{call.number}", "occurred_at": occurred_at.isoformat()}
        period = usage_periods.current_period(self.account, occurred_at)
        if received_at >= period.ends_at + GRACE:
            call.counts_at, call.allowance_nano = received_at, self._allowance(received_at)
        usd = f"{call.cost_nano // NANO}.{call.cost_nano % NANO:09d}"
        record(self.account, received_at, {**event, "cost_usd": usd})
        self.calls.setdefault(self._period(call.counts_at), []).append(call)

    def void(self, at: datetime) -> None:
        candidates = [(period, call) for period, calls in self.calls.items() for call in calls if not call.voided]
        if not candidates:
            return
        period, call = self.chance.choice(candidates)
        log = UsageLog.objects.get(account=self.account, event_id=f"e{call.number}")
        corrections.void(log, reason="", actor="", at=at)
        call.voided = True
        if period in self.closed:
            call.voided_in = self._period(at)

    def close(self, period: date) -> Action:
        def run(at: datetime) -> None:
            statements.close_due(at)
            self.closed.add(period)
            corrected = {
                earlier: self._overage(earlier, period) - self._overage(earlier, period, before=True)
                for earlier, calls in self.calls.items()
                if any(call.voided_in == period for call in calls)
            }
            corrections_by_name = {f"{earlier:%Y-%m}": nano for earlier, nano in corrected.items()}
            self.expected[period] = (self._overage(period, period), corrections_by_name)

        return run

    def _overage(self, period: date, upto: date, *, before: bool = False) -> int:
        """What the period's calls owe, walking them one by one; with the late voids that count until `upto`."""
        used = owed = 0
        for call in sorted(self.calls.get(period, []), key=lambda call: call.counts_at):
            late = call.voided_in
            is_void_late = late is not None and (late < upto or (late == upto and not before))
            cost = 0 if is_void_late or (call.voided and late is None) else call.cost_nano
            if call.allowance_nano is not None:
                owed += max(0, used + cost - max(call.allowance_nano, used))
            used += cost
        return owed

    def run(self) -> None:
        self.pending = self.actions()
        while self.pending:
            self.pending.sort(key=lambda item: item[:2])
            at, _, action = self.pending.pop(0)
            action(at)


def stated(account: Account) -> dict[date, tuple[int, dict[str, int]]]:
    return {
        statement.period: (
            statement.overage_nano,
            {line["period"]: line["nano"] for line in statement.lines if line["kind"] == "correction"},
        )
        for statement in Statement.objects.filter(account=account)
    }


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_any_history_owes_what_a_walk_over_its_calls_gives(seed: int) -> None:
    chance = random.Random(seed)
    for included in (0, 5, 40, 100):
        create_soft_plan(f"soft{included}", included, monthly_usd=chance.choice((5, 10, 50, 90)))
    account, _ = accounts.create(
        external_id="modelled", at=JOINED_AT, name="", timezone=chance.choice(ZONES), anchor_day=chance.randrange(1, 32)
    )
    history = History(chance, account)

    history.run()

    nothing: tuple[int, dict[str, int]] = (0, {})
    actual = stated(account)
    assert {period: actual.get(period, nothing) for period in history.expected} == history.expected
    assert [difference for part in statement_check.check() for difference in part.differences] == []
