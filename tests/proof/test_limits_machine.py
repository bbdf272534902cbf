"""R4: after any reservations, settlements, calls and changes, each decision equals that of a model in plain Python."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from billing.accounts import accounts
from billing.corrections import corrections
from billing.events import events
from billing.limits import limits, reservations
from billing.limits.decisions import Refusal
from billing.limits.operations import Estimate, Operation
from billing.models import Account, LimitOverride, UsageDay, UsageLog, UsageReservation
from billing.plans import plans
from billing.recording import metering
from lib import ids
from tests.billing.ledger_rows import rollup_differences
from tests.billing.plan_limits import override_limit, set_limits

pytestmark = pytest.mark.django_db

EXAMPLES = int(os.environ.get("PROOF_EXAMPLES", "50"))
START = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
BILLED_FROM = datetime(2026, 11, 1, tzinfo=UTC)
GRACE = timedelta(hours=72)
CENT = 10_000_000
CATEGORIES = ("video", "audio")


@dataclass
class Call:
    """Calls of one category and their total cost in nano-USD."""

    category: str
    count: int
    cost_nano: int
    at: datetime = START
    event_ids: tuple[str, ...] = ()  # of recorded calls


@dataclass
class Hold:
    calls: list[Call]
    granted_at: datetime
    expires_at: datetime
    live: bool = True


@dataclass
class Model:
    """The expected state: recorded calls, reservations, and limits per meter."""

    used: list[Call] = field(default_factory=list)
    holds: dict[str, Hold] = field(default_factory=dict)
    plan: dict[str, int | None] = field(default_factory=dict)
    overrides: dict[str, int | None] = field(default_factory=dict)

    def amount(self, meter: str, calls: list[Call]) -> int:
        if meter == "monthly_cost":
            return sum(call.cost_nano for call in calls)
        return sum(call.count for call in calls if meter == f"{call.category}_calls")

    def used_and_reserved(self, meter: str, at: datetime) -> tuple[int, int]:
        used = [call for call in self.used if (call.at.year, call.at.month) == (at.year, at.month)]
        reserved = [call for hold in self.holds.values() if hold.live and hold.expires_at > at for call in hold.calls]
        return self.amount(meter, used), self.amount(meter, reserved)

    def counts_at(self, occurred_at: datetime, received_at: datetime) -> datetime:
        """An instant of the period in which a call counts that settles no live reservation."""
        next_month = (occurred_at.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0)
        is_open = received_at < next_month + GRACE or occurred_at < BILLED_FROM
        return occurred_at if is_open else received_at

    def allows(self, calls: list[Call], at: datetime) -> bool:
        limit_amounts = self.plan | self.overrides
        requested = {meter: self.amount(meter, calls) for meter in limit_amounts}
        return all(
            not requested[meter] or limit is None or sum(self.used_and_reserved(meter, at)) + requested[meter] <= limit
            for meter, limit in limit_amounts.items()
        )


calls = st.builds(Call, st.sampled_from(CATEGORIES), st.integers(1, 3), st.just(0))
ages = st.sampled_from([0, 0, 1, 4, 30])  # in days
amounts = st.one_of(st.none(), st.integers(0, 8))
meters = st.sampled_from(["video_calls", "audio_calls", "monthly_cost"])


class LimitsMachine(RuleBasedStateMachine):
    """Costs are whole cents, so only an estimate of zero is raised to the minimum of one nano-USD."""

    @initialize()
    def begin(self) -> None:
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.at, self.number, self.model = START, 0, Model()
        account = accounts.build(external_id="acct", at=START)
        account.save(force_insert=True)
        self.source = metering.EventSource(account=account, may_state_cost=True)
        self.set_plan(4, 4, 20)

    def teardown(self) -> None:
        if hasattr(self, "transaction"):
            transaction.set_rollback(True)
            self.transaction.__exit__(None, None, None)

    @property
    def account(self) -> Account:
        return Account.objects.get(external_id="acct")

    @rule(video=amounts, audio=amounts, cents=st.one_of(st.none(), st.integers(0, 30)))
    def set_plan(self, video: int | None, audio: int | None, cents: int | None) -> None:
        cost = None if cents is None else cents * CENT
        self.model.plan = {"video_calls": video, "audio_calls": audio, "monthly_cost": cost}
        set_limits(self.model.plan)

    @rule(meter=meters, amount=amounts)
    def set_override(self, meter: str, amount: int | None) -> None:
        amount = amount if amount is None or meter != "monthly_cost" else amount * CENT
        LimitOverride.objects.filter(account=self.account, meter__slug=meter).delete()
        override_limit(self.account, meter, amount)
        self.model.overrides[meter] = amount

    @rule(
        requested=st.lists(calls, min_size=1, max_size=3),
        cents=st.integers(0, 4),
        ttl=st.sampled_from([60, 3600, 86_400]),
    )
    def reserve(self, requested: list[Call], cents: int, ttl: int) -> None:
        self.number += 1
        requested = [Call(call.category, call.count, max(cents * CENT * call.count, 1), self.at) for call in requested]
        request = reservations.ReservationRequest(
            f"r{self.number}",
            [
                Operation(provider=call.category, category=call.category, count=call.count, estimate=_estimate(cents))
                for call in requested
            ],
            ttl,
        )
        allowed = self.model.allows(requested, self.at)
        try:
            _, created = reservations.reserve(self.account, request, self.at)
        except Refusal:
            assert not allowed
        else:
            assert (allowed, created) == (True, True)
            self.model.holds[request.reservation_id] = Hold(requested, self.at, self.at + timedelta(seconds=ttl))

    @precondition(lambda self: self.model.holds)
    @rule(data=st.data(), used=calls, cents=st.integers(0, 6), days_ago=ages)
    def settle(self, data: st.DataObject, used: Call, cents: int, days_ago: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.holds)))
        hold = self.model.holds[name]
        live = hold.live and hold.expires_at > self.at
        self._record(used, cents, name, days_ago, counts_at=hold.granted_at if live else None)
        hold.live = False

    @precondition(lambda self: self.model.holds)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.holds)))
        reservations.release(UsageReservation.objects.get(reservation_id=name), self.at)
        self.model.holds[name].live = False

    @rule(used=calls, cents=st.integers(0, 6), days_ago=ages)
    def record(self, used: Call, cents: int, days_ago: int) -> None:
        self._record(used, cents, None, days_ago)

    def _record(
        self, used: Call, cents: int, reservation: str | None, days_ago: int, *, counts_at: datetime | None = None
    ) -> None:
        occurred_at = self.at - timedelta(days=days_ago)
        batch = []
        for _ in range(used.count):
            self.number += 1
            event: dict[str, Any] = {
                "event_id": f"e{self.number}",
                "provider": used.category,
                "category": used.category,
                "cost_usd": f"0.0{cents}",
                "reservation_id": reservation,
                "occurred_at": occurred_at.isoformat(),
            }
            batch.append(events.parse(event))
        results = metering.record(batch, source=self.source, at=self.at)
        assert [result.status for result in results] == ["accepted"] * used.count
        event_ids = tuple(result.event_id for result in results)
        counts_at = counts_at or self.model.counts_at(occurred_at, self.at)
        self.model.used.append(Call(used.category, used.count, cents * CENT * used.count, counts_at, event_ids))

    @precondition(lambda self: self.model.used)
    @rule(data=st.data())
    def void(self, data: st.DataObject) -> None:
        voided = self.model.used.pop(data.draw(st.integers(0, len(self.model.used) - 1)))
        for event_id in voided.event_ids:
            log = UsageLog.objects.get(event_key=ids.lookup_key(event_id))
            corrections.void(log, reason="recorded by mistake", actor="proof", at=self.at)

    @rule(seconds=st.sampled_from([1, 60, 3600, 86_400, 3 * 86_400]))
    def pass_time(self, seconds: int) -> None:
        self.at += timedelta(seconds=seconds)

    @rule()
    def sweep(self) -> None:
        reservations.expire(self.at)

    @rule(call=calls)
    def preflight_agrees_with_the_model(self, call: Call) -> None:
        requested = Call(call.category, call.count, 1, self.at)
        operation = Operation(provider=call.category, category=call.category, count=call.count, estimate=_estimate(0))
        decision = limits.preflight(self.account, [operation], self.at)
        assert (decision.refusal is None) == self.model.allows([requested], self.at)

    @invariant()
    def every_meter_agrees_with_the_model(self) -> None:
        if not hasattr(self, "model"):
            return
        for status in limits.statuses(self.account, self.at):
            meter = status.limit.meter.slug
            if meter in self.model.plan:
                assert (status.used, status.reserved) == self.model.used_and_reserved(meter, self.at)
                assert status.limit.amount == (self.model.plan | self.model.overrides)[meter]


def _estimate(cents: int) -> Estimate:
    return Estimate(cost_usd=f"0.0{cents}")


def test_every_decision_equals_that_of_the_model() -> None:
    plans.current()
    run_state_machine_as_test(
        LimitsMachine,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
    assert UsageDay.objects.count() == 0
    assert rollup_differences() == []
