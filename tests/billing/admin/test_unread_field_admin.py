"""Unread fields in the admin: the list, a field's page, the preview of a decision, and the decision."""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Group, User
from django.test import Client

from billing.corrections import batch_progress
from billing.models import CorrectionBatch, UnreadField, UsageAdjustment, UsageLog
from tests.billing.ledger_rows import NOON, assert_ledger_consistent
from tests.billing.unread_calls import RATIO, THINKING, gather, send, set_rates, state_of
from tests.conftest import Api

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOON)]
LIST = "/admin/billing/unreadfield/"
MAPPED = ("complete", False, 8_200_000, 1620)


@pytest.fixture(autouse=True)
def calls(service: Api) -> None:
    set_rates()
    send(service, thinking_units=120)
    send(service, "e2", thinking_units=120, load_factor=0.25)
    gather()


def page_of(path: str) -> str:
    return f"{LIST}{UnreadField.objects.get(path=path).pk}/"


def text_of(answer: Any) -> str:
    return unescape(answer.content.decode())


def log_in_staff(group: str) -> Client:
    user, client = User.objects.create_user(group, is_staff=True), Client()
    user.groups.add(Group.objects.get(name=group))
    client.force_login(user)
    return client


def stored() -> Any:
    counts = (CorrectionBatch.objects.count(), UsageAdjustment.objects.count())
    return list(UnreadField.objects.order_by("pk").values()), list(UsageLog.objects.order_by("pk").values()), counts


def test_fields_are_listed_with_their_figures(admin_client: Client) -> None:
    page = text_of(admin_client.get(LIST))
    for text in (THINKING, RATIO, "openai_chat", "120", "0.25", "new-1", "2026-11-22 12:00", "2 unread fields"):
        assert text in page, text
    assert THINKING not in text_of(admin_client.get(LIST, {"q": "factor"}))


def test_the_preview_tells_what_changes_and_changes_nothing(admin_client: Client) -> None:
    before = stored()
    page = text_of(admin_client.get(f"{page_of(THINKING)}decide/", {"decision": "output_tokens"}))
    assert "1 past call will be complete. The cost changes from $0.007 to $0.0082, by $0.0012." in page
    assert "1 skipped: another of its fields is not decided, or the number is not stored" in page
    assert "not added to these" not in page
    part = text_of(admin_client.get(f"{page_of(THINKING)}decide/", {"decision": "reasoning_tokens"}))
    assert "The cost stays $0.007." in part
    assert "a part of the output tokens that are already read, and not added to these" in part
    assert stored() == before


def test_a_decision_completes_past_calls(admin_client: Client) -> None:
    page = page_of(THINKING)
    answer = admin_client.post(f"{page}decide/?decision=output_tokens", follow=True)
    batch = CorrectionBatch.objects.get()
    assert answer.redirect_chain == [(f"{page}change/", 302)]
    assert f'1 calls completed, difference $0.0012. <a href="/admin/billing/correctionbatch/{batch.pk}' in text_of(
        answer
    )
    assert "counts as output tokens" in text_of(answer)
    field = UnreadField.objects.get(path=THINKING)
    assert (field.state, field.unit, field.decided_by, field.decided_at) == ("mapped", "output_tokens", "admin", NOON)
    assert (state_of(), state_of("e2")[0]) == (MAPPED, "incomplete")
    entry = LogEntry.objects.get_for_object(field).get(action=LogEntry.Action.UPDATE)
    assert (entry.actor.get_username(), entry.changes["state"]) == ("admin", ["open", "mapped"])

    admin_client.post(f"{page_of(RATIO)}decide/?decision=dismiss")
    assert state_of("e2") == MAPPED
    assert_ledger_consistent()
    answer = admin_client.post(f"{page_of(RATIO)}decide/?decision=reopen", follow=True)
    assert "The field is open again." in text_of(answer)
    assert (UnreadField.objects.get(path=RATIO).state, state_of("e2")) == ("open", MAPPED)


def test_a_decision_is_undone_by_the_revert_of_its_batch(admin_client: Client) -> None:
    admin_client.post(f"{page_of(THINKING)}decide/?decision=output_tokens")
    batch = CorrectionBatch.objects.get()
    page = f"/admin/billing/correctionbatch/{batch.pk}/"
    assert "reader openai_chat, field usage.thinking_units" in text_of(admin_client.get(f"{page}change/"))
    admin_client.post(f"{page}revert/", {"confirm": "on"})
    assert state_of() == ("incomplete", True, 7_000_000, 1500)
    assert_ledger_consistent()


def test_a_long_batch_is_continued_from_its_page(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_progress, "MAX_SECONDS", -1)
    monkeypatch.setattr(batch_progress, "BATCH_SIZE", 1)
    admin_client.post(f"{page_of(RATIO)}decide/?decision=dismiss")
    answer = admin_client.post(f"{page_of(THINKING)}decide/?decision=output_tokens", follow=True)
    assert "The rest follows within minutes." in text_of(answer)
    batch = CorrectionBatch.objects.get(choice__field=THINKING)
    assert (batch.logs, batch.finished_at) == (1, None)
    for _ in range(2):
        admin_client.post(f"/admin/billing/correctionbatch/{batch.pk}/continue/")
    batch.refresh_from_db()
    assert (batch.logs, batch.finished_at, state_of(), state_of("e2")) == (2, NOON, MAPPED, MAPPED)


@pytest.mark.parametrize("query", ["", "?decision=parsecs", "?decision=requests"])
def test_a_decision_that_does_not_exist_changes_nothing(admin_client: Client, query: str) -> None:
    before = stored()
    assert admin_client.post(f"{page_of(THINKING)}decide/{query}").status_code == 302
    assert stored() == before
    assert admin_client.get(f"{LIST}999/decide/?decision=dismiss").status_code == 404


def test_viewers_see_fields_and_operators_decide() -> None:
    viewer, operator, before = log_in_staff("Viewer"), log_in_staff("Operator"), stored()
    page = page_of(THINKING)
    assert THINKING in text_of(viewer.get(LIST))
    assert "Preview decision" not in text_of(viewer.get(f"{page}change/"))
    assert viewer.get(f"{page}decide/?decision=dismiss").status_code == 403
    assert viewer.post(f"{page}decide/?decision=dismiss").status_code == 403
    assert stored() == before
    assert "Preview decision" in text_of(operator.get(f"{page}change/"))
    assert operator.post(f"{page}decide/?decision=output_tokens").status_code == 302
    assert state_of() == MAPPED


def test_the_dashboard_lists_open_fields(admin_client: Client) -> None:
    page = text_of(admin_client.get("/admin/"))
    assert f"{THINKING}</a> of openai_chat, 2 calls estimated until you decide" in page
    UnreadField.objects.update(state=UnreadField.State.DISMISSED)
    assert "responses is read." in text_of(admin_client.get("/admin/"))
