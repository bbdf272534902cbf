"""`with metered_call(...)` and the decorator: a call is refused before it runs, or recorded and settled once."""

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
from tests.billing.faults import ROLLUP_QUERIES
from tests.billing.ledger_rows import rollup_differences
from tests.billing.plan_limits import set_limits, used_and_reserved
from tests.billing.usage import record
from tests.frozen_clock import Clock

pytestmark = pytest.mark.django_db

VIDEO_CALL: dict[str, Any] = {
    "account": "acct_42",
    "provider": "video",
    "category": "video",
    "model": "wan-2.5",
    "endpoint": "/video-generation/wavespeed",
}
TEXT_CALL: dict[str, Any] = {"account": "acct_42", "provider": "openai", "model": "gpt-4o-mini", "category": "text"}
RESPONSE = {"usage": {"prompt_tokens": 100, "completion_tokens": 10}}
# Queries. Account; snapshot, BEGIN, lock, usage and holds, reservation, holds, COMMIT; and those of recording and settling.
WITH_RESERVATION, WITHOUT_RESERVATION = 16 + ROLLUP_QUERIES, 6 + ROLLUP_QUERIES


@pytest.fixture(autouse=True)
def _no_limits(account: Account) -> None:
    set_limits({})


class Provider:
    """A provider that counts how often it was called."""

    def __init__(self, failure: BaseException | None = None) -> None:
        self.calls, self.failure = 0, failure

    def run(self) -> dict[str, Any]:
        self.calls += 1
        if self.failure is not None:
            raise self.failure
        return RESPONSE


def reservations() -> list[tuple[str, bool]]:
    """State, and whether the usage exceeded the hold."""
    return list(UsageReservation.objects.order_by("created_at", "pk").values_list("state", "over"))


def assert_nothing_stored() -> None:
    assert (UsageLog.objects.count(), UsageReservation.objects.count()) == (0, 0)


def test_a_call_is_reserved_while_it_runs_and_counted_afterwards(account: Account, clock: Clock, now: datetime) -> None:
    set_limits({"monthly_cost": 1_000_000_000, "openai_calls": 5})
    with metered_call(**TEXT_CALL, estimate={"cost_usd": "0.75"}, metadata={"feature": "story"}) as call:
        assert (used_and_reserved(account, now, "openai_calls"), used_and_reserved(account, now, "monthly_cost")) == (
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
    assert (used_and_reserved(account, now, "openai_calls"), used_and_reserved(account, now, "monthly_cost")) == (
        (1, 0),
        (21_000, 0),
    )
    assert reservations() == [("settled", False)]
    assert call.result is not None
    assert (call.result.status, call.result.id, call.result.cost_nano) == ("accepted", log.pk, 21_000)
    assert rollup_differences() == []


def test_the_response_time_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([1_000_000_000, 1_000_000_000 + 8_120_999_999])
    monkeypatch.setattr("billing.recording.metered_call.time", SimpleNamespace(perf_counter_ns=lambda: next(ticks)))
    with metered_call(**VIDEO_CALL):
        pass
    assert UsageLog.objects.get().response_time_ms == 8120


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_a_call_over_the_limit_is_refused_before_it_runs(account: Account, now: datetime) -> None:
    set_limits({"video_calls": 2})
    record(account, now, {**VIDEO_CALL, "account": None})
    provider = Provider()
    with metered_call(**VIDEO_CALL), pytest.raises(CallRefused) as refused, metered_call(**VIDEO_CALL):
        provider.run()

    error = refused.value
    assert (error.code, error.meter) == ("limit_exceeded", "video_calls")
    assert (error.limit, error.used, error.reserved, error.requested) == (2, 1, 1, 1)
    assert error.resets_at == datetime(2026, 12, 1, tzinfo=UTC)
    assert str(error) == "Video calls: 1 of 2 used, 1 reserved, 1 requested. Resets at 2026-12-01 00:00 UTC."
    assert provider.calls == 0
    assert (UsageLog.objects.count(), reservations()) == (2, [("settled", False)])


def test_a_refusal_by_a_cost_limit_has_usd_amounts(account: Account) -> None:
    set_limits({"monthly_cost": 25_000_000_000})
    with pytest.raises(CallRefused) as refused, metered_call(**TEXT_CALL, estimate={"cost_usd": "25.01"}):
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
    with pytest.raises(CallRefused) as refused, metered_call(**TEXT_CALL):
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
def test_invalid_arguments_are_refused_before_the_call_runs(change: dict[str, Any], attr: str) -> None:
    provider = Provider()
    with pytest.raises(Refused) as refused, metered_call(**{**TEXT_CALL, **change}):
        provider.run()
    assert (refused.value.attr, provider.calls) == (attr, 0)
    assert_nothing_stored()


def test_an_unknown_account_is_created_by_its_first_call() -> None:
    with metered_call(**{**TEXT_CALL, "account": "new"}) as call:
        call.response(RESPONSE)
    assert UsageLog.objects.get().account.external_id == "new"


@pytest.mark.parametrize("reserve", [True, False])
def test_with_create_accounts_off_an_unknown_account_is_refused_before_the_call_runs(
    settings: Any, reserve: bool
) -> None:
    settings.CREATE_ACCOUNTS = False
    provider = Provider()
    with (
        pytest.raises(Refused, match="no such account"),
        metered_call(**{**TEXT_CALL, "account": "new"}, reserve=reserve),
    ):
        provider.run()
    assert (provider.calls, Account.objects.filter(external_id="new").exists()) == (0, False)
    assert_nothing_stored()


def test_without_reserving_a_call_is_only_recorded(account: Account, now: datetime) -> None:
    set_limits({"video_calls": 0})
    with metered_call(**VIDEO_CALL, reserve=False):
        assert used_and_reserved(account, now, "video_calls") == (0, 0)
    assert (used_and_reserved(account, now, "video_calls"), reservations()) == ((1, 0), [])


def test_the_block_sets_quantities_cost_model_and_provider() -> None:
    with metered_call(account="acct_42", provider="audio", model="whisper", category="audio") as call:
        call.used(seconds=Decimal("5.25"), characters=9)
        call.used(characters=12)
        call.served_by("groq")
        call.model("whisper-large-v3")
        call.cost_usd(Decimal("1.2E-7"))

    log = UsageLog.objects.get()
    assert (log.units, log.cost_total, log.cost_source) == ({"seconds": "5.25", "characters": 12}, 120, "caller")
    assert (log.actual_provider_name, log.confidence, log.model_used) == ("groq", "exact", "whisper-large-v3")


def test_secrets_in_the_endpoint_are_not_stored() -> None:
    with metered_call(**{**TEXT_CALL, "endpoint": "https://u:p@api.openai.com/v1/chat/completions?key=s3cret"}):
        pass
    assert UsageLog.objects.get().endpoint == "https://api.openai.com/v1/chat/completions"


def test_usage_above_the_hold_is_recorded_in_full_and_flagged(account: Account, now: datetime) -> None:
    set_limits({"monthly_cost": 1_000_000_000})
    with metered_call(**TEXT_CALL, estimate={"cost_usd": "0.5"}) as call:
        call.cost_usd("1.5")
    assert (used_and_reserved(account, now, "monthly_cost"), reservations()) == (
        (1_500_000_000, 0),
        [("settled", True)],
    )


@pytest.mark.frozen_at("2026-11-22T12:00")
def test_a_call_that_outlives_its_hold_is_recorded_and_flagged(account: Account, clock: Clock) -> None:
    set_limits({"video_calls": 1})
    with metered_call(**VIDEO_CALL, ttl_seconds=60):
        clock.shift(60)
        with metered_call(**VIDEO_CALL):  # the expired hold is free again
            pass
    assert (used_and_reserved(account, timezone.now(), "video_calls"), reservations()) == (
        (2, 0),
        [("settled", True), ("settled", False)],
    )


class StatusError(Exception):
    def __init__(self, text: str, **attributes: Any) -> None:
        super().__init__(text)
        vars(self).update(attributes)


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
def test_a_failed_call_is_recorded_and_its_exception_raised_unchanged(
    account: Account, now: datetime, failure: BaseException, status: int
) -> None:
    set_limits({"video_calls": 1})
    provider = Provider(failure)
    with pytest.raises(type(failure)) as raised, metered_call(**VIDEO_CALL):
        provider.run()

    assert raised.value is failure
    log = UsageLog.objects.get()
    assert (log.status_code, log.cost_total, log.cost_source, log.is_billable) == (status, 0, "free", False)
    assert (provider.calls, used_and_reserved(account, now, "video_calls"), reservations()) == (
        1,
        (0, 0),
        [("settled", False)],
    )


def test_a_failed_call_with_usage_costs_what_it_used(account: Account, now: datetime) -> None:
    def cut_off() -> None:
        with metered_call(**TEXT_CALL) as call:
            call.response(RESPONSE)
            raise ValueError("cut off")

    with pytest.raises(ValueError, match="cut off"):
        cut_off()
    assert (UsageLog.objects.get().cost_total, used_and_reserved(account, now, "openai_calls")) == (21_000, (1, 0))


@pytest.mark.parametrize(
    ("text", "message"),
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
def test_an_error_message_is_one_short_line_without_secrets(text: str, message: str) -> None:
    with pytest.raises(ValueError), metered_call(**TEXT_CALL, reserve=False):  # noqa: PT011 - the stored text is tested
        raise ValueError(text)
    assert UsageLog.objects.get().error_message == message


def test_an_abandoned_stream_is_recorded_with_the_usage_so_far() -> None:
    def stream() -> Iterator[str]:
        with metered_call(**TEXT_CALL) as call:
            call.response(RESPONSE)
            yield "Once"
            yield "upon"

    generator = stream()
    next(generator)
    generator.close()  # type: ignore[attr-defined]  # Iterator has no close
    log = UsageLog.objects.get()
    assert (log.status_code, log.cost_total) == (499, 21_000)


def test_each_call_of_a_decorated_function_is_metered() -> None:
    def prompt_length(user: str, prompt: str) -> dict[str, Any]:
        return {"input_tokens": len(prompt)}

    @metered_call(
        account=lambda user, **_: user,
        provider="openai",
        model="gpt-4o-mini",
        estimate=prompt_length,
        metadata=prompt_length,
    )
    def answer(user: str, prompt: str) -> dict[str, Any]:
        """Answers."""
        return RESPONSE

    assert (answer.__name__, answer.__doc__) == ("answer", "Answers.")
    assert [answer("acct_42", prompt="hello"), answer("b", prompt="hi")] == [RESPONSE, RESPONSE]
    stored = UsageLog.objects.order_by("id").values_list("account__external_id", "metadata", "cost_total")
    assert list(stored) == [("acct_42", {"input_tokens": 5}, 21_000), ("b", {"input_tokens": 2}, 21_000)]
    assert reservations() == [("settled", False)] * 2


def test_a_refused_function_does_not_run(account: Account) -> None:
    set_limits({"openai_calls": 0})
    provider = Provider()
    with pytest.raises(CallRefused, match="the limit is 0"):
        metered_call(**TEXT_CALL)(provider.run)()
    assert provider.calls == 0
    assert_nothing_stored()


def test_a_generator_cannot_be_decorated() -> None:
    def stream() -> Iterator[str]:
        yield "Once"

    with pytest.raises(TypeError, match="with"):
        metered_call(**TEXT_CALL)(stream)


def test_a_metered_call_cannot_be_entered_twice() -> None:
    metered = metered_call(**TEXT_CALL)
    with metered:
        pass
    provider = Provider()
    with pytest.raises(RuntimeError, match="one call"), metered:
        provider.run()
    assert (provider.calls, UsageLog.objects.count()) == (0, 1)


def test_a_stored_event_id_is_refused_before_the_call_runs() -> None:
    with metered_call(**TEXT_CALL, event_id="e1"):
        pass
    provider = Provider()
    with pytest.raises(Refused, match="stored already") as refused, metered_call(**TEXT_CALL, event_id="e1"):
        provider.run()
    assert (refused.value.code, provider.calls, UsageLog.objects.count()) == ("event_conflict", 0, 1)
    with metered_call(**{**TEXT_CALL, "account": "b"}, event_id="e1"):  # the id is free in another account
        pass
    assert UsageLog.objects.count() == 2


@pytest.mark.parametrize(("reserve", "queries"), [(True, WITH_RESERVATION), (False, WITHOUT_RESERVATION)])
def test_a_call_takes_a_fixed_number_of_queries(
    account: Account, now: datetime, django_assert_num_queries: DjangoAssertNumQueries, reserve: bool, queries: int
) -> None:
    for _ in range(2):
        with metered_call(**TEXT_CALL, reserve=reserve):
            pass
    with django_assert_num_queries(queries), metered_call(**TEXT_CALL, reserve=reserve) as call:
        call.response(RESPONSE)
