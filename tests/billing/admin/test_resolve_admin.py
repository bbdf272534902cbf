"""The admin page that gives a call its real usage, its response or its cost: a preview first, then once."""

from __future__ import annotations

import json
from html import unescape
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Group, User
from django.test import Client

from billing.corrections import corrections
from billing.models import CorrectionBatch, UsageAdjustment, UsageLog
from tests.billing import archived_periods
from tests.billing.archived_periods import IN_OCTOBER
from tests.billing.estimates import record_with_state
from tests.billing.ledger_rows import NOON, assert_ledger_consistent, record, rollups, set_price
from tests.conftest import Api

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOON)]
LOGS = "/admin/billing/usagelog/"
MODEL = "new-1"
CALL: dict[str, Any] = {"model": MODEL, "cost_usd": None, "usage": {"input_tokens": 1000}}
USAGE = {"kind": "usage", "input_tokens": "1000", "output_tokens": "500", "reason": "from the vendor's log"}


@pytest.fixture
def log() -> UsageLog:
    """A call of incomplete usage, estimated at $0.002."""
    return record_incomplete()


def record_incomplete(at: Any = NOON) -> UsageLog:
    set_price(MODEL, input_tokens="2", output_tokens="10")
    record_with_state(CALL, state="incomplete", at=at)
    return UsageLog.objects.get()


def path_of(log: UsageLog) -> str:
    return f"{LOGS}{log.pk}/resolve/"


def text_of(answer: Any) -> str:
    return " ".join(unescape(answer.content.decode()).split())


def confirm(client: Client, log: UsageLog, content: dict[str, str]) -> Any:
    """Previews the content, then confirms what was previewed."""
    preview = client.post(path_of(log), content)
    return client.post(path_of(log), {**content, "previewed": preview.context["previewed"]}, follow=True)


def stored() -> Any:
    return list(UsageLog.objects.values()), rollups(), UsageAdjustment.objects.count(), CorrectionBatch.objects.count()


def charge(log: UsageLog) -> tuple[str, int, int]:
    log.refresh_from_db()
    return log.usage_state, log.effective_nano, log.resolved["tokens"][2] if log.resolved else log.tokens_total


def test_the_form_starts_with_what_is_recorded(operator: Client, log: UsageLog) -> None:
    assert f'<a href="{path_of(log)}">Resolve call</a>' in text_of(operator.get(f"{LOGS}{log.pk}/change/"))
    page = text_of(operator.get(path_of(log)))
    assert 'name="input_tokens" value="1000"' in page
    assert "Current charge</dt><dd>$0.002 <span" in page


def test_a_preview_tells_the_difference_and_changes_nothing(operator: Client, log: UsageLog) -> None:
    before = stored()
    page = text_of(operator.post(path_of(log), USAGE))
    assert "The charge changes from $0.002 to $0.007: a difference of $0.005." in page
    assert "is closed" not in page
    assert stored() == before


def test_the_usage_is_stored_when_it_is_confirmed(operator: Client, log: UsageLog) -> None:
    answer = confirm(operator, log, USAGE)
    assert answer.redirect_chain == [(f"{LOGS}{log.pk}/change/", 302)]
    assert [str(message) for message in answer.context["messages"]] == [
        "Call e0: usage stated later, from $0.002 to $0.007."
    ]
    assert charge(log) == ("complete", 7_000_000, 1500)
    correction = UsageAdjustment.objects.values_list("kind", "delta_nano", "reason", "actor").get()
    assert correction == ("resolve", 5_000_000, USAGE["reason"], "operator")
    entry = LogEntry.objects.get(object_pk=str(log.pk))
    assert (entry.actor.get_username(), entry.changes["charge"]) == ("operator", ["$0.002", "$0.007"])
    assert "Resolve call" not in text_of(answer)
    assert_ledger_consistent()


RESPONSE = {"id": "c1", "object": "chat.completion", "usage": {"prompt_tokens": 1000, "completion_tokens": 500}}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"kind": "response", "response": json.dumps(RESPONSE)}, ("complete", 7_000_000, 1500)),
        ({"kind": "response", "response": json.dumps([RESPONSE])}, ("complete", 7_000_000, 1500)),
        ({"kind": "cost", "cost_usd": "0.05"}, ("complete", 50_000_000, 1000)),
    ],
)
def test_a_response_or_a_cost_is_stored(
    operator: Client, log: UsageLog, content: dict[str, str], expected: tuple[Any, ...]
) -> None:
    confirm(operator, log, {"reason": "x", **content})
    assert charge(log) == expected
    assert_ledger_consistent()


def test_content_that_was_not_previewed_is_previewed_first(operator: Client, log: UsageLog) -> None:
    before = stored()
    previewed = operator.post(path_of(log), USAGE).context["previewed"]
    changed = {**USAGE, "output_tokens": "501", "previewed": previewed}
    answer = operator.post(path_of(log), changed)
    assert "to $0.00701: a difference of $0.00501." in text_of(answer)
    set_price(MODEL, input_tokens="3", output_tokens="10")  # the price changed since the preview
    answer = operator.post(path_of(log), {**USAGE, "previewed": previewed})
    assert "to $0.008: a difference of $0.006." in text_of(answer)
    assert stored() == before


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({"reason": ""}, "This field is required."),
        ({"kind": "magic"}, "Select a valid choice."),
        ({"input_tokens": "-1"}, "greater than or equal to 0"),
        ({"input_tokens": "1.5"}, "Enter a whole number."),
        ({"seconds": "1e9"}, "usage.seconds: "),
        ({"reasoning_tokens": "501"}, "More reasoning_tokens than output_tokens"),
        ({"kind": "response", "response": "{"}, "The response is not valid JSON"),
        ({"kind": "response", "response": "7"}, "response: "),
        ({"kind": "response", "response": '{"usage": {"new_units": 3}}'}, "response: The response does not give"),
        ({"kind": "cost", "cost_usd": "1,5"}, "cost_usd: "),
        ({"kind": "cost", "cost_usd": ""}, "cost_usd: "),
    ],
)
def test_bad_content_is_refused_and_changes_nothing(
    operator: Client, log: UsageLog, content: dict[str, str], error: str
) -> None:
    before = stored()
    answer = operator.post(path_of(log), {**USAGE, **content})
    assert answer.status_code == 200
    assert error in text_of(answer)
    assert stored() == before


def test_a_closed_period_is_named(operator: Client) -> None:
    log = record_incomplete(IN_OCTOBER)
    archived_periods.close_periods()
    page = text_of(operator.post(path_of(log), USAGE))
    assert "The period 2026-10 is closed: the difference is a line of the next statement." in page
    confirm(operator, log, USAGE)
    assert str(UsageAdjustment.objects.get().period) == "2026-11-01"
    assert_ledger_consistent()


def test_an_unpriced_call_of_known_usage_gets_a_cost(operator: Client, service: Api) -> None:
    record({"model": "nobody-knows", "cost_usd": None, "usage": {"input_tokens": 1000}})
    log = UsageLog.objects.get()
    assert (log.is_priced, log.usage_state) == (False, "complete")
    confirm(operator, log, {"kind": "cost", "cost_usd": "0.5", "reason": "invoice"})
    log.refresh_from_db()
    assert (log.is_priced, log.effective_nano, log.unpriced_reason) == (True, 500_000_000, None)
    assert service.get("usage/summary/", account="a").json()["unpriced_calls"] == 0
    assert_ledger_consistent()


def test_a_complete_a_voided_or_a_resolved_call_is_refused(operator: Client, log: UsageLog) -> None:
    record({"event_id": "whole"})
    whole = UsageLog.objects.get(event_id="whole")
    confirm(operator, log, USAGE)
    before = stored()
    for refused in (whole, log):
        assert "Resolve call" not in text_of(operator.get(f"{LOGS}{refused.pk}/change/"))
        answer = operator.post(path_of(refused), USAGE, follow=True)
        assert "Nothing was resolved." in text_of(answer)
    assert stored() == before


def test_a_voided_call_is_refused(operator: Client, log: UsageLog) -> None:
    corrections.void(log, reason="x", actor="ann", at=NOON)
    before = stored()
    assert operator.post(path_of(log), USAGE).status_code == 302
    assert stored() == before


def test_viewers_are_refused(log: UsageLog) -> None:
    user, viewer = User.objects.create_user("viewer", is_staff=True), Client()
    user.groups.add(Group.objects.get(name="Viewer"))
    viewer.force_login(user)
    before = stored()
    assert "Resolve call" not in text_of(viewer.get(f"{LOGS}{log.pk}/change/"))
    assert viewer.get(path_of(log)).status_code == 403
    assert viewer.post(path_of(log), USAGE).status_code == 403
    assert stored() == before
