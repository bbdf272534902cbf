"""Re-pricing in the admin: the preview changes nothing, Apply works in slices, batches are listed, continued and reverted."""

from __future__ import annotations

from datetime import UTC, date, datetime
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client

from billing.accounts import accounts
from billing.admin import repricing as pages
from billing.corrections import batch_progress, corrections, repricing
from billing.corrections.repricing import Choice
from billing.models import Account, CorrectionBatch, UsageAdjustment, UsageLog
from providers import price_edits
from providers.models import Price, PriceRate, Provider
from tests.billing.usage import record
from tests.providers.test_prices_admin import price as price_form
from tests.providers.test_prices_admin import rates

pytestmark = pytest.mark.django_db
BATCHES = "/admin/billing/correctionbatch/"
REPRICE = f"{BATCHES}reprice/"
NEW = {"provider": "openai", "model": "gpt-99", "unpriced": "on"}


def price(pattern: str, usd: int) -> Price:
    """USD for a million input tokens, from the start of 2026 on."""
    openai = Provider.objects.get(slug="openai")
    one = Price(provider=openai, pattern=pattern, valid_from=date(2026, 1, 1), source="test", aliases=[])
    return price_edits.record(price=one, rates=[PriceRate(unit="input_tokens", nano_per_million=usd * 10**9)])


@pytest.fixture
def other(db: None, now: datetime) -> Account:
    account = accounts.new(external_id="other", at=now)
    account.save(force_insert=True)
    return account


@pytest.fixture
def calls(account: Account, other: Account, now: datetime) -> None:
    """Three calls of gpt-99 in two accounts, one that no input tokens rate, one of gpt-4o; then gpt-99 gets a price."""
    record(
        account,
        now,
        {"event_id": "a", "model": "gpt-99", "usage": {"input_tokens": 1_000_000}},
        {"event_id": "b", "model": "GPT-99", "usage": {"input_tokens": 500_000}},
        {"event_id": "c", "model": "gpt-99", "usage": {"images": 1}},
        {"event_id": "d", "model": "gpt-4o", "usage": {"input_tokens": 1_000_000}},
    )
    record(other, now, {"event_id": "e", "model": "gpt-99", "usage": {"input_tokens": 1}})
    price("gpt-99", 3)


def worth() -> dict[str, tuple[int, bool]]:
    return {log.event_id: (log.effective_nano, log.is_priced) for log in UsageLog.objects.all()}


UNPRICED = dict.fromkeys("abce", (0, False)) | {"d": (2_500_000_000, True)}
PRICED = UNPRICED | {"a": (3_000_000_000, True), "b": (1_500_000_000, True), "e": (3_000, True)}


def applied(client: Client, **changed: str) -> Any:
    return client.post(REPRICE, {**NEW, "reason": "a price was found", "confirm": "on", **changed})


def finished(client: Client) -> CorrectionBatch:
    applied(client)
    return CorrectionBatch.objects.get()


def operator(client: Client, group: str) -> Client:
    user = User.objects.create_user("staff", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client.force_login(user)
    return client


def test_the_preview_tells_each_account_and_the_total_and_changes_nothing(admin_client: Client, calls: None) -> None:
    page: Any = admin_client.get(REPRICE, NEW)
    outlook = page.context["outlook"]

    assert [
        (one.account, one.calls, one.old_nano, one.new_nano, one.priced, one.unpriced) for one in outlook.lines
    ] == [
        ("acct_42", 2, 0, 4_500_000_000, 2, 1),
        ("other", 1, 0, 3_000, 1, 0),
    ]
    assert (outlook.total.calls, outlook.total.delta_nano, outlook.total.unpriced) == (3, 4_500_003_000, 1)
    text = " ".join(page.content.decode().split())
    assert "3 unpriced calls of gpt-99 can be re-priced now" in text
    assert "1 stays without a price" in text
    assert '<span title="$4.500003">$4.50</span>' in text
    assert worth() == UNPRICED
    assert not CorrectionBatch.objects.exists()


def test_calls_that_have_a_price_can_be_chosen_by_provider_account_and_day(
    admin_client: Client, calls: None, other: Account
) -> None:
    price("gpt-4o", 1)
    chosen = {"provider": " OpenAI ", "account": "acct_42", "since": "2026-11-22", "until": "2026-11-22"}
    page: Any = admin_client.get(REPRICE, chosen)

    choice = page.context["choice"]
    assert (choice.since, choice.until) == (datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))
    assert (page.context["outlook"].total.calls, page.context["outlook"].total.old_nano) == (3, 2_500_000_000)
    assert "3 calls would cost otherwise" in page.content.decode()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"account": "nobody"}, "There is no account with this id."),
        ({"since": "2026-11-02", "until": "2026-11-01"}, "The last day is before the first."),
        ({"since": "soon"}, "Enter a valid date."),
        ({"model": ""}, "Say which calls"),
        ({"model": "x" * 201}, "at most 200 characters"),
        ({"model": "a\0b"}, "Null characters are not allowed."),
    ],
)
def test_a_choice_that_cannot_be_is_told(admin_client: Client, calls: None, asked: dict[str, str], told: str) -> None:
    page: Any = admin_client.get(REPRICE, asked)
    assert told in page.content.decode()
    assert "outlook" not in page.context
    answer = admin_client.post(REPRICE, {**asked, "reason": "x", "confirm": "on"})
    assert told in answer.content.decode()
    assert worth() == UNPRICED


def test_apply_reprices_and_leads_to_the_batch(admin_client: Client, calls: None) -> None:
    answer = applied(admin_client)
    batch = CorrectionBatch.objects.get()

    assert answer.url == f"{BATCHES}{batch.pk}/change/"
    assert worth() == PRICED
    assert (batch.kind, batch.reason, batch.actor) == ("reprice", "a price was found", "admin")
    assert (batch.logs, batch.delta_nano, batch_progress.state(batch)) == (3, 4_500_003_000, "finished")
    page = admin_client.get(answer.url).content.decode()
    assert "Done." in page
    assert "unpriced calls, provider openai, model gpt-99" in page
    call_command("verify_ledger", stdout=StringIO())


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ({"reason": ""}, "This field is required."),
        ({"confirm": ""}, "This field is required."),
        ({"reason": "x" * 501}, "at most 500"),
    ],
)
def test_without_a_reason_and_a_confirmation_nothing_changes(
    admin_client: Client, calls: None, missing: dict[str, str], told: str
) -> None:
    answer = applied(admin_client, **missing)
    assert told in answer.content.decode()
    assert worth() == UNPRICED
    assert not CorrectionBatch.objects.exists()


def test_a_long_run_is_done_in_parts_and_continued_from_its_page(
    admin_client: Client, calls: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_progress, "SECONDS", 0)
    monkeypatch.setattr(batch_progress, "SIZE", 1)
    page = admin_client.get(applied(admin_client).url).content.decode()
    batch = CorrectionBatch.objects.get()

    assert (batch.logs, batch_progress.state(batch)) == (1, "running")
    assert "Not done yet" in page
    assert f'action="{BATCHES}{batch.pk}/continue/"' in page
    for _ in range(4):
        admin_client.post(f"{BATCHES}{batch.pk}/continue/")
    batch.refresh_from_db()
    assert (batch.logs, batch.delta_nano, batch_progress.state(batch)) == (3, 4_500_003_000, "finished")
    assert worth() == PRICED
    call_command("verify_ledger", stdout=StringIO())


def test_revert_takes_back_all_of_a_batch(admin_client: Client, calls: None) -> None:
    batch = finished(admin_client)
    answer: Any = admin_client.post(f"{BATCHES}{batch.pk}/revert/", {"confirm": "on"})
    batch.refresh_from_db()
    undo = CorrectionBatch.objects.exclude(pk=batch.pk).get()

    assert answer.url == f"{BATCHES}{batch.pk}/change/"
    assert worth() == UNPRICED
    assert (batch_progress.state(batch), undo.kind, undo.actor, undo.logs, undo.delta_nano) == (
        "reverted",
        "revert",
        "admin",
        3,
        -4_500_003_000,
    )
    page = admin_client.get(answer.url).content.decode()
    assert f'<a href="{BATCHES}{undo.pk}/change/">by admin</a>' in page
    assert "Yes, undo" not in page
    page = admin_client.get(f"{BATCHES}{undo.pk}/change/").content.decode()
    assert f'<a href="{BATCHES}{batch.pk}/change/">a price was found</a>' in page
    assert "Yes, undo" not in page
    call_command("verify_ledger", stdout=StringIO())


def test_a_revert_is_done_in_parts_from_either_page(
    admin_client: Client, calls: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = finished(admin_client)
    monkeypatch.setattr(batch_progress, "SECONDS", 0)
    monkeypatch.setattr(batch_progress, "SIZE", 1)
    admin_client.post(f"{BATCHES}{batch.pk}/revert/", {"confirm": "on"})
    undo = CorrectionBatch.objects.exclude(pk=batch.pk).get()
    assert (undo.logs, batch_progress.state(undo)) == (1, "running")
    assert "Continue the revert" in admin_client.get(f"{BATCHES}{batch.pk}/change/").content.decode()

    admin_client.post(f"{BATCHES}{undo.pk}/continue/")
    admin_client.post(f"{BATCHES}{batch.pk}/revert/", {"confirm": "on"})
    admin_client.post(f"{BATCHES}{undo.pk}/continue/")
    batch.refresh_from_db()
    undo.refresh_from_db()
    assert (batch_progress.state(batch), batch_progress.state(undo), undo.logs) == ("reverted", "finished", 3)
    assert worth() == UNPRICED


def test_a_revert_needs_its_confirmation_and_cannot_be_reverted(admin_client: Client, calls: None) -> None:
    batch = finished(admin_client)
    admin_client.post(f"{BATCHES}{batch.pk}/revert/")
    assert worth() == PRICED

    admin_client.post(f"{BATCHES}{batch.pk}/revert/", {"confirm": "on"})
    undo = CorrectionBatch.objects.exclude(pk=batch.pk).get()
    answer: Any = admin_client.post(f"{BATCHES}{undo.pk}/revert/", {"confirm": "on"}, follow=True)
    assert "A revert is not reverted" in answer.content.decode()
    assert worth() == UNPRICED
    assert CorrectionBatch.objects.count() == 2


def test_a_void_is_listed_reverted_and_never_continued(admin_client: Client, calls: None, now: datetime) -> None:
    log = UsageLog.objects.get(event_id="d")
    corrections.void(log, reason="made twice", actor="admin", at=now)
    batch = CorrectionBatch.objects.get()
    page: Any = admin_client.post(f"{BATCHES}{batch.pk}/continue/", follow=True)
    assert "Nothing of this batch is left for a page to do." in page.content.decode()
    assert f"log {log.pk}" in page.content.decode()
    assert worth() == UNPRICED | {"d": (0, True)}

    admin_client.post(f"{BATCHES}{batch.pk}/revert/", {"confirm": "on"})
    assert worth() == UNPRICED


def test_more_calls_than_a_page_looks_at_are_left_to_the_command(
    admin_client: Client, calls: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MOST_LOOKED", 1)
    monkeypatch.setattr(repricing, "LOOKED", 1)
    page = admin_client.get(REPRICE, {"unpriced": "on", "since": "2026-11-22"}).content.decode()

    assert "More calls than a page looks at" in page
    assert (
        "<code>manage.py reprice --unpriced --since 2026-11-22T00:00Z --reason &#x27;why it is done&#x27;</code>"
        in page
    )
    assert 'id="apply"' not in page


def test_the_command_names_all_of_a_choice(account: Account) -> None:
    since, until = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
    choice = Choice(False, "openai", "it's", account, since, until)
    assert batch_progress.command(choice, "new price") == (
        "manage.py reprice --provider openai --model 'it'\"'\"'s' --account acct_42"
        " --since 2026-11-01T00:00Z --until 2026-12-01T00:00Z --reason 'new price'"
    )


def test_the_list_tells_each_batch_in_a_fixed_number_of_queries(
    admin_client: Client, calls: None, django_assert_num_queries: Any
) -> None:
    batch = finished(admin_client)
    admin_client.post(f"{BATCHES}{batch.pk}/revert/", {"confirm": "on"})
    # Session, user, bounded count, rows.
    with django_assert_num_queries(4):
        page = admin_client.get(BATCHES).content.decode()
    assert '<span class="badge unknown">reverted</span>' in page
    assert '<span class="num" title="$4.500003">$4.50</span>' in page
    assert '<span class="num" title="$-4.500003">-$4.50</span>' in page
    assert f'href="{REPRICE}"' in page


def test_a_viewer_looks_and_changes_nothing(client: Client, calls: None) -> None:
    batch = repricing.start(Choice(unpriced=True), reason="begun", actor="admin", at=datetime.now(UTC))
    operator(client, "Viewer")

    preview: Any = client.get(REPRICE, NEW)
    assert preview.context["outlook"].total.calls == 3
    assert 'id="apply"' not in preview.content.decode()
    page = client.get(f"{BATCHES}{batch.pk}/change/").content.decode()
    assert "Not finished" in page
    assert '<button class="button">' not in page
    assert applied(client).status_code == 403
    for action in ("continue", "revert"):
        assert client.post(f"{BATCHES}{batch.pk}/{action}/", {"confirm": "on"}).status_code == 403
    assert worth() == UNPRICED
    assert not UsageAdjustment.objects.exists()
    assert client.post(f"{BATCHES}{batch.pk}/delete/", {"post": "yes"}).status_code == 403


def test_an_operator_may_correct(client: Client, calls: None) -> None:
    operator(client, "Operator")
    assert 'id="apply"' in client.get(REPRICE, NEW).content.decode()
    assert applied(client).status_code == 302
    assert worth() == PRICED
    assert CorrectionBatch.objects.get().actor == "staff"


def test_staff_without_a_permission_see_nothing(client: Client, calls: None) -> None:
    client.force_login(User.objects.create_user("new", is_staff=True))
    for address in (BATCHES, REPRICE):
        assert client.get(address).status_code == 403
    assert applied(client).status_code == 403
    assert worth() == UNPRICED


def test_a_batch_is_worked_on_by_post_only(admin_client: Client, calls: None) -> None:
    batch = finished(admin_client)
    for action in ("continue", "revert"):
        assert admin_client.get(f"{BATCHES}{batch.pk}/{action}/").status_code == 405
        nobody = f"{BATCHES}00000000-0000-0000-0000-000000000000/{action}/"
        assert admin_client.post(nobody, {"confirm": "on"}).status_code == 404
    assert worth() == PRICED


def test_from_an_unpriced_model_through_its_price_to_the_preview(
    admin_client: Client, account: Account, now: datetime
) -> None:
    record(account, now, {"model": "gpt-98", "usage": {"input_tokens": 1_000_000}})
    form: Any = admin_client.get("/admin/billing/unpriced/price/?provider=openai&model=gpt-98")
    openai = Provider.objects.get(slug="openai").pk
    filled = price_form(provider=openai, pattern="gpt-98", valid_from="2026-11-22", _save="Save")
    filled |= rates({"unit": "input_tokens", "usd_per_million": "2"})
    page: Any = admin_client.post(form.url, filled, follow=True)

    assert page.redirect_chain == [(f"{REPRICE}?unpriced=on&provider=openai&model=gpt-98", 302)]
    text = " ".join(page.content.decode().split())
    assert "1 unpriced call of gpt-98 can be re-priced now" in text
    assert page.context["outlook"].total.new_nano == 2_000_000_000
