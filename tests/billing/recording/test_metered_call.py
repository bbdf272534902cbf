"""`with metered_call(...)` and the decorator: refused before it runs, recorded as it was, settled once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from billing.errors import Refused
from billing.models import Account, UsageLog, UsageReservation
from billing.recording.metered_call import CallRefused, metered_call
from billing.verification import rollup_check
from tests.billing.caps import cap, standing
from tests.billing.faults import ROLLUPS
from tests.billing.usage import record
from tests.frozen_clock import Clock

pytestmark = pytest.mark.django_db

VIDEO: dict[str, Any] = {
    "account": "acct_42",
    "provider": "video",
    "category": "video",
    "model": "wan-2.5",
    "endpoint": "/video-generation/wavespeed",
}
TEXT: dict[str, Any] = {"account": "acct_42", "provider": "openai", "model": "gpt-4o-mini", "category": "text"}
ANSWER = {"usage": {"prompt_tokens": 100, "completion_tokens": 10}}
# account; books, BEGIN, lock, use and holds, reservation, holds, COMMIT; and what recording and settling take
RESERVED, RECORDED = 16 + ROLLUPS, 6 + ROLLUPS


@pytest.fixture(autouse=True)
def _no_limits(account: Account) -> None:
    cap({})


class Provider:
    """A provider that counts how often it was called."""

    def __init__(self, failure: BaseException | None = None) -> None:
        self.calls, self.failure = 0, failure

    def run(self) -> dict[str, Any]:
        self.calls += 1
        if self.failure is not None:
            raise self.failure
        return ANSWER


def rooms() -> list[tuple[str, bool]]:
    return list(UsageReservation.objects.order_by("created_at", "pk").values_list("state", "over"))


def assert_nothing_stored() -> None:
    assert (UsageLog.objects.count(), UsageReservation.objects.count()) == (0, 0)


def test_a_call_is_held_while_it_runs_and_counted_afterwards(account: Account, clock: Clock, now: datetime) -> None:
    cap({"monthly_cost": 1_000_000_000, "openai_calls": 5})
    with metered_call(**TEXT, estimate={"cost_usd": "0.75"}, metadata={"feature": "story"}) as call:
        assert (standing(account, now, "openai_calls"), standing(account, now, "monthly_cost")) == (
            (0, 1),
            (0, 750_000_000),
        )
        clock.shift(5)
        call.response(Provider().run())

    log = UsageLog.objects.get()
    assert (log.event_id, log.provider, log.actual_provider_name, log.status_code) == (
        call.event_id,
        "openai",
        "openai",
        200,
    )
    assert (log.tokens_input, log.tokens_output, log.cost_total) == (100, 10, 100 * 150 + 10 * 600)
    assert (log.timestamp, log.received_at) == (now, now + timedelta(seconds=5))
    assert (log.metadata, log.error_message) == ({"feature": "story"}, "")
    assert (standing(account, now, "openai_calls"), standing(account, now, "monthly_cost")) == ((1, 0), (21_000, 0))
    assert rooms() == [("settled", False)]
    assert call.result is not None
    assert (call.result.status, call.result.id, call.result.cost_nano) == ("accepted", log.pk, 21_000)
    assert [str(one) for part in rollup_check.check() for one in part.differences] == []


def test_the_time_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([1_000_000_000, 1_000_000_000 + 8_120_999_999])
    monkeypatch.setattr("billing.recording.metered_call.time", SimpleNamespace(perf_counter_ns=lambda: next(ticks)))
    with metered_call(**VIDEO):
        pass
    assert UsageLog.objects.get().response_time_ms == 8120


def test_a_call_over_the_limit_is_refused_before_it_runs(account: Account, now: datetime) -> None:
    cap({"video_calls": 2})
    record(account, now, {**VIDEO, "account": None})
    provider = Provider()
    with metered_call(**VIDEO), pytest.raises(CallRefused) as refused, metered_call(**VIDEO):
        provider.run()

    error = refused.value
    assert (error.code, error.meter) == ("limit_exceeded", "video_calls")
    assert (error.limit, error.used, error.reserved, error.requested) == (2, 1, 1, 1)
    assert error.resets_at == datetime(2026, 12, 1, tzinfo=UTC)
    assert str(error) == "Video calls: 1 of 2 used, 1 reserved, 1 more asked for. Resets at 2026-12-01 00:00 UTC."
    assert provider.calls == 0
    assert (UsageLog.objects.count(), rooms()) == (2, [("settled", False)])


def test_a_refusal_of_cost_tells_money(account: Account) -> None:
    cap({"monthly_cost": 25_000_000_000})
    with pytest.raises(CallRefused) as refused, metered_call(**TEXT, estimate={"cost_usd": "25.01"}):
        raise AssertionError("it must not run")
    error = refused.value
    assert (error.meter, error.limit, error.used, error.reserved, error.requested) == (
        "monthly_cost",
        "25",
        "0",
        "0",
        "25.01",
    )
    assert_nothing_stored()


def test_an_inactive_account_is_refused_without_a_limit(account: Account) -> None:
    Account.objects.update(active=False)
    with pytest.raises(CallRefused) as refused, metered_call(**TEXT):
        raise AssertionError("it must not run")
    error = refused.value
    assert (error.code, error.meter, error.limit, error.resets_at) == ("subscription_inactive", None, None, None)
    assert_nothing_stored()


@pytest.mark.parametrize(
    ("change", "attr"),
    [
        ({"provider": "no label!"}, "provider"),
        ({"category": "films"}, "category"),
        ({"account": None}, "account"),
        ({"account": "a/b"}, "account"),
        ({"metadata": {"text": "x" * 5000}}, "metadata"),
        ({"variant": {"size": "big"}}, "variant.size"),
        ({"ttl_seconds": 0}, "ttl_seconds"),
        ({"ttl_seconds": 86_401}, "ttl_seconds"),
        ({"estimate": {"image": 1}}, "estimate.image"),
        ({"estimate": {"input_tokens": -1}}, "estimate.input_tokens"),
    ],
)
def test_arguments_that_cannot_be_taken_are_refused_before_it_runs(change: dict[str, Any], attr: str) -> None:
    provider = Provider()
    with pytest.raises(Refused) as refused, metered_call(**{**TEXT, **change}):
        provider.run()
    assert (refused.value.attr, provider.calls) == (attr, 0)
    assert_nothing_stored()


def test_an_unknown_account_is_made_on_the_default_plan_by_its_first_call() -> None:
    with metered_call(**{**TEXT, "account": "new"}) as call:
        call.response(ANSWER)
    assert UsageLog.objects.get().account.external_id == "new"


@pytest.mark.parametrize("reserve", [True, False])
def test_where_accounts_are_not_made_an_unknown_one_is_refused_before_it_runs(settings: Any, reserve: bool) -> None:
    settings.CREATE_ACCOUNTS = False
    provider = Provider()
    with pytest.raises(Refused, match="no such account"), metered_call(**{**TEXT, "account": "new"}, reserve=reserve):
        provider.run()
    assert (provider.calls, Account.objects.filter(external_id="new").exists()) == (0, False)
    assert_nothing_stored()


def test_without_reserving_it_only_records(account: Account, now: datetime) -> None:
    cap({"video_calls": 0})
    with metered_call(**VIDEO, reserve=False):
        assert standing(account, now, "video_calls") == (0, 0)
    assert (standing(account, now, "video_calls"), rooms()) == ((1, 0), [])


def test_quantities_cost_and_who_served_it_as_the_body_says() -> None:
    with metered_call(account="acct_42", provider="audio", model="whisper", category="audio") as call:
        call.used(seconds=Decimal("5.25"), characters=9)
        call.used(characters=12)
        call.served_by("groq")
        call.model("whisper-large-v3")
        call.cost_usd(Decimal("1.2E-7"))

    log = UsageLog.objects.get()
    assert (log.units, log.cost_total, log.cost_source) == ({"seconds": "5.25", "characters": 12}, 120, "caller")
    assert (log.actual_provider_name, log.confidence, log.model_used) == ("groq", "exact", "whisper-large-v3")


def test_no_secret_of_the_endpoint_is_kept() -> None:
    with metered_call(**{**TEXT, "endpoint": "https://u:p@api.openai.com/v1/chat/completions?key=s3cret"}):
        pass
    assert UsageLog.objects.get().endpoint == "https://api.openai.com/v1/chat/completions"


def test_more_than_was_held_is_recorded_in_full_and_flagged(account: Account, now: datetime) -> None:
    cap({"monthly_cost": 1_000_000_000})
    with metered_call(**TEXT, estimate={"cost_usd": "0.5"}) as call:
        call.cost_usd("1.5")
    assert (standing(account, now, "monthly_cost"), rooms()) == ((1_500_000_000, 0), [("settled", True)])


def test_a_call_that_outlives_its_hold_is_recorded_and_flagged(account: Account, clock: Clock) -> None:
    cap({"video_calls": 1})
    with metered_call(**VIDEO, ttl_seconds=60):
        clock.shift(60)
        with metered_call(**VIDEO):  # the room is free again
            pass
    assert (standing(account, timezone.now(), "video_calls"), rooms()) == (
        (2, 0),
        [("settled", True), ("settled", False)],
    )


class StatusError(Exception):
    def __init__(self, text: str, **told: Any) -> None:
        super().__init__(text)
        vars(self).update(told)


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (StatusError("slow down", status_code=429), 429),
        (StatusError("bad", response=SimpleNamespace(status_code=503)), 503),
        (StatusError("bad", code=404), 404),
        (StatusError("bad", status=HTTPStatus.BAD_GATEWAY), 502),
        (StatusError("bad", status_code=200, code="rate_limit"), 599),
        (TimeoutError("too slow"), 599),
        (KeyboardInterrupt(), 499),
        (SystemExit(1), 499),
    ],
)
def test_a_failed_call_is_recorded_and_its_error_goes_on_unchanged(
    account: Account, now: datetime, failure: BaseException, status: int
) -> None:
    cap({"video_calls": 1})
    provider = Provider(failure)
    with pytest.raises(type(failure)) as raised, metered_call(**VIDEO):
        provider.run()

    assert raised.value is failure
    log = UsageLog.objects.get()
    assert (log.status_code, log.cost_total, log.cost_source, log.is_billable) == (status, 0, "free", False)
    assert (provider.calls, standing(account, now, "video_calls"), rooms()) == (1, (0, 0), [("settled", False)])


def test_a_failed_call_with_usage_costs_what_it_used(account: Account, now: datetime) -> None:
    def cut_off() -> None:
        with metered_call(**TEXT) as call:
            call.response(ANSWER)
            raise ValueError("cut off")

    with pytest.raises(ValueError, match="cut off"):
        cut_off()
    assert (UsageLog.objects.get().cost_total, standing(account, now, "openai_calls")) == (21_000, (1, 0))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("plain", "ValueError: plain"),
        ("first\nprompt: my secret diary", "ValueError: first"),
        ("a\x00b\ud800c\u2028d", "ValueError: a b c d"),
        ("at https://u:p@h.test/v1?key=abc#x now", "ValueError: at https://h.test/v1 now"),
        ("Incorrect API key provided: sk-proj-abc123.", "ValueError: Incorrect API key provided: sk-[...]"),
        ("{'api_key': 'abc', 'n': 1}", "ValueError: {'api_key': [...] 'n': 1}"),
        ("Authorization: Bearer abc.def", "ValueError: Authorization: Bearer [...]"),
        (
            "model claude-3-5-sonnet-20241022, max_tokens: 5",
            "ValueError: model claude-3-5-sonnet-20241022, max_tokens: 5",
        ),
        ("x" * 100_000, "ValueError: " + "x" * 488),
    ],
)
def test_diagnostics_are_one_short_line_without_secrets(text: str, told: str) -> None:
    with pytest.raises(ValueError), metered_call(**TEXT, reserve=False):  # noqa: PT011 - the text is what is tested
        raise ValueError(text)
    assert UsageLog.objects.get().error_message == told


def test_a_stream_that_nobody_reads_on_is_recorded_with_the_usage_so_far() -> None:
    def stream() -> Iterator[str]:
        with metered_call(**TEXT) as call:
            call.response(ANSWER)
            yield "Once"
            yield "upon"

    reader = stream()
    next(reader)
    reader.close()  # type: ignore[attr-defined]  # it is a generator
    log = UsageLog.objects.get()
    assert (log.status_code, log.cost_total) == (499, 21_000)


def test_a_function_is_metered_call_by_call() -> None:
    def length(user: str, prompt: str) -> dict[str, Any]:
        return {"input_tokens": len(prompt)}

    @metered_call(
        account=lambda user, **_: user, provider="openai", model="gpt-4o-mini", estimate=length, metadata=length
    )
    def answer(user: str, prompt: str) -> dict[str, Any]:
        """Answers."""
        return ANSWER

    assert (answer.__name__, answer.__doc__) == ("answer", "Answers.")
    assert [answer("acct_42", prompt="hello"), answer("b", prompt="hi")] == [ANSWER, ANSWER]
    stored = UsageLog.objects.order_by("id").values_list("account__external_id", "metadata", "cost_total")
    assert list(stored) == [("acct_42", {"input_tokens": 5}, 21_000), ("b", {"input_tokens": 2}, 21_000)]
    assert rooms() == [("settled", False)] * 2


def test_a_function_that_is_refused_does_not_run(account: Account) -> None:
    cap({"openai_calls": 0})
    provider = Provider()
    with pytest.raises(CallRefused, match="the limit is 0"):
        metered_call(**TEXT)(provider.run)()
    assert provider.calls == 0
    assert_nothing_stored()


def test_a_generator_cannot_be_decorated() -> None:
    def stream() -> Iterator[str]:
        yield "Once"

    with pytest.raises(TypeError, match="with"):
        metered_call(**TEXT)(stream)


def test_one_metered_call_is_one_call() -> None:
    once = metered_call(**TEXT)
    with once:
        pass
    provider = Provider()
    with pytest.raises(RuntimeError, match="one call"), once:
        provider.run()
    assert (provider.calls, UsageLog.objects.count()) == (0, 1)


def test_an_id_that_is_stored_is_refused_before_it_runs() -> None:
    with metered_call(**TEXT, event_id="e1"):
        pass
    provider = Provider()
    with pytest.raises(Refused, match="stored already") as refused, metered_call(**TEXT, event_id="e1"):
        provider.run()
    assert (refused.value.code, provider.calls, UsageLog.objects.count()) == ("event_conflict", 0, 1)
    with metered_call(**{**TEXT, "account": "b"}, event_id="e1"):  # another account's own
        pass
    assert UsageLog.objects.count() == 2


@pytest.mark.parametrize(("reserve", "queries"), [(True, RESERVED), (False, RECORDED)])
def test_a_call_takes_a_fixed_number_of_queries(
    account: Account, now: datetime, django_assert_num_queries: DjangoAssertNumQueries, reserve: bool, queries: int
) -> None:
    for _ in range(2):
        with metered_call(**TEXT, reserve=reserve):
            pass
    with django_assert_num_queries(queries), metered_call(**TEXT, reserve=reserve) as call:
        call.response(ANSWER)
