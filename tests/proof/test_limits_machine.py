"""R4: whatever is reserved, settled, released, recorded and changed, every decision is that of a model in plain Python."""

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
from billing.verification import rollup_check
from lib import ids
from tests.billing.caps import cap, override

pytestmark = pytest.mark.django_db

EXAMPLES = int(os.environ.get("PROOF_EXAMPLES", "50"))
START = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
CENT = 10_000_000
CATEGORIES = ("video", "audio")


@dataclass
class Call:
    """Calls of one category, and what they cost together in nano-USD."""

    category: str
    count: int
    cost: int
    at: datetime = START
    events: tuple[str, ...] = ()  # of those that were recorded


@dataclass
class Room:
    calls: list[Call]
    expires: datetime
    live: bool = True


@dataclass
class Model:
    """What should be: all that was used, all that is held, and the caps."""

    used: list[Call] = field(default_factory=list)
    rooms: dict[str, Room] = field(default_factory=dict)
    plan: dict[str, int | None] = field(default_factory=dict)
    overrides: dict[str, int | None] = field(default_factory=dict)

    def amount(self, meter: str, calls: list[Call]) -> int:
        if meter == "monthly_cost":
            return sum(call.cost for call in calls)
        return sum(call.count for call in calls if meter == f"{call.category}_calls")

    def taken(self, meter: str, at: datetime) -> tuple[int, int]:
        this_month = [call for call in self.used if (call.at.year, call.at.month) == (at.year, at.month)]
        held = [call for room in self.rooms.values() if room.live and room.expires > at for call in room.calls]
        return self.amount(meter, this_month), self.amount(meter, held)

    def allows(self, asked: list[Call], at: datetime) -> bool:
        caps = self.plan | self.overrides
        wanted = {meter: self.amount(meter, asked) for meter in caps}
        return all(
            not wanted[meter] or cap is None or sum(self.taken(meter, at)) + wanted[meter] <= cap
            for meter, cap in caps.items()
        )


calls = st.builds(Call, st.sampled_from(CATEGORIES), st.integers(1, 3), st.just(0))
caps = st.one_of(st.none(), st.integers(0, 8))
meters = st.sampled_from(["video_calls", "audio_calls", "monthly_cost"])


class Limits(RuleBasedStateMachine):
    """Money comes in cents, so that an estimate of zero is the only one that the floor of one nano-dollar raises."""

    @initialize()
    def begin(self) -> None:
        self.block = transaction.atomic()
        self.block.__enter__()
        self.at, self.number, self.model = START, 0, Model()
        account = accounts.new(external_id="acct", at=START)
        account.save(force_insert=True)
        self.source = metering.Source(account=account, may_state_cost=True)
        self.set_plan(4, 4, 20)

    def teardown(self) -> None:
        if hasattr(self, "block"):
            transaction.set_rollback(True)
            self.block.__exit__(None, None, None)

    @property
    def account(self) -> Account:
        return Account.objects.get(external_id="acct")

    @rule(video=caps, audio=caps, cents=st.one_of(st.none(), st.integers(0, 30)))
    def set_plan(self, video: int | None, audio: int | None, cents: int | None) -> None:
        cost = None if cents is None else cents * CENT
        self.model.plan = {"video_calls": video, "audio_calls": audio, "monthly_cost": cost}
        cap(self.model.plan)

    @rule(meter=meters, amount=caps)
    def set_override(self, meter: str, amount: int | None) -> None:
        amount = amount if amount is None or meter != "monthly_cost" else amount * CENT
        LimitOverride.objects.filter(account=self.account, meter__slug=meter).delete()
        override(self.account, meter, amount)
        self.model.overrides[meter] = amount

    @rule(
        asked=st.lists(calls, min_size=1, max_size=3), cents=st.integers(0, 4), ttl=st.sampled_from([60, 3600, 86_400])
    )
    def reserve(self, asked: list[Call], cents: int, ttl: int) -> None:
        self.number += 1
        asked = [Call(call.category, call.count, max(cents * CENT * call.count, 1), self.at) for call in asked]
        wanted = reservations.Wanted(
            f"r{self.number}",
            [
                Operation(provider=call.category, category=call.category, count=call.count, estimate=_costs(cents))
                for call in asked
            ],
            ttl,
        )
        allowed = self.model.allows(asked, self.at)
        try:
            _, made = reservations.reserve(self.account, wanted, self.at)
        except Refusal:
            assert not allowed
        else:
            assert (allowed, made) == (True, True)
            self.model.rooms[wanted.reservation_id] = Room(asked, self.at + timedelta(seconds=ttl))

    @precondition(lambda self: self.model.rooms)
    @rule(data=st.data(), used=calls, cents=st.integers(0, 6))
    def settle(self, data: st.DataObject, used: Call, cents: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.rooms)))
        self._record(used, cents, name)
        self.model.rooms[name].live = False

    @precondition(lambda self: self.model.rooms)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.rooms)))
        reservations.release(UsageReservation.objects.get(reservation_id=name), self.at)
        self.model.rooms[name].live = False

    @rule(used=calls, cents=st.integers(0, 6))
    def record(self, used: Call, cents: int) -> None:
        self._record(used, cents, None)

    def _record(self, used: Call, cents: int, reservation: str | None) -> None:
        batch = []
        for _ in range(used.count):
            self.number += 1
            event: dict[str, Any] = {
                "event_id": f"e{self.number}",
                "provider": used.category,
                "category": used.category,
                "cost_usd": f"0.0{cents}",
                "reservation_id": reservation,
            }
            batch.append(events.parse(event))
        results = metering.record(batch, source=self.source, at=self.at)
        assert [result.status for result in results] == ["accepted"] * used.count
        ids = tuple(result.event_id for result in results)
        self.model.used.append(Call(used.category, used.count, cents * CENT * used.count, self.at, ids))

    @precondition(lambda self: self.model.used)
    @rule(data=st.data())
    def void(self, data: st.DataObject) -> None:
        voided = self.model.used.pop(data.draw(st.integers(0, len(self.model.used) - 1)))
        for event_id in voided.events:
            log = UsageLog.objects.get(event_key=ids.key_of(event_id))
            corrections.void(log, reason="thought better of", actor="proof", at=self.at)

    @rule(seconds=st.sampled_from([1, 60, 3600, 86_400, 3 * 86_400]))
    def pass_time(self, seconds: int) -> None:
        self.at += timedelta(seconds=seconds)

    @rule()
    def sweep(self) -> None:
        reservations.expire(self.at)

    @rule(call=calls)
    def preflight_agrees(self, call: Call) -> None:
        asked = Call(call.category, call.count, 1, self.at)
        operation = Operation(provider=call.category, category=call.category, count=call.count, estimate=_costs(0))
        decision = limits.preflight(self.account, [operation], self.at)
        assert (decision.refusal is None) == self.model.allows([asked], self.at)

    @invariant()
    def every_meter_stands_where_it_should(self) -> None:
        if not hasattr(self, "model"):
            return
        for one in limits.standing(self.account, self.at):
            if one.limit.meter.slug in self.model.plan:
                assert (one.used, one.reserved) == self.model.taken(one.limit.meter.slug, self.at)
                expected = (self.model.plan | self.model.overrides)[one.limit.meter.slug]
                assert one.limit.amount == expected


def _costs(cents: int) -> Estimate:
    return Estimate(cost_usd=f"0.0{cents}")


def test_every_decision_is_that_of_the_model() -> None:
    plans.current()
    run_state_machine_as_test(
        Limits,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
    assert UsageDay.objects.count() == 0
    assert [str(one) for part in rollup_check.check() for one in part.differences] == []
