"""Re-pricing in the admin: a preview changes nothing, applying works in slices, batches are listed, continued and reverted."""

from __future__ import annotations

from datetime import UTC, date, datetime
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client

from billing.accounts import accounts
from billing.admin import repricing as repricing_admin
from billing.corrections import batch_progress, corrections, repricing
from billing.corrections.repricing import RepricingChoice
from billing.models import Account, CorrectionBatch, UsageAdjustment, UsageLog
from providers import price_edits
from providers.models import Price, PriceRate, Provider
from tests.billing.usage import record
from tests.providers.test_prices_admin import price_form, rate_forms

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at("2026-11-22T12:00")]
BATCHES = "/admin/billing/correctionbatch/"
REPRICE = f"{BATCHES}reprice/"
UNPRICED_CHOICE = {"provider": "openai", "model": "gpt-99", "unpriced": "on"}


def create_price(pattern: str, usd: int) -> Price:
    """Adds a price for OpenAI in USD per million input tokens, valid from 2026-01-01."""
    openai = Provider.objects.get(slug="openai")
    price = Price(provider=openai, pattern=pattern, valid_from=date(2026, 1, 1), source="test", aliases=[])
    return price_edits.add_revision(price=price, rates=[PriceRate(unit="input_tokens", nano_per_million=usd * 10**9)])


@pytest.fixture
def other_account(db: None, now: datetime) -> Account:
    account = accounts.build(external_id="other", at=now)
    account.save(force_insert=True)
    return account


@pytest.fixture
def calls(account: Account, other_account: Account, now: datetime) -> None:
    """Four gpt-99 calls in two accounts, one of them without input tokens, and one gpt-4o call; then gpt-99 gets a price."""
    record(
        account,
        now,
        {"event_id": "a", "model": "gpt-99", "usage": {"input_tokens": 1_000_000}},
        {"event_id": "b", "model": "GPT-99", "usage": {"input_tokens": 500_000}},
        {"event_id": "c", "model": "gpt-99", "usage": {"images": 1}},
        {"event_id": "d", "model": "gpt-4o", "usage": {"input_tokens": 1_000_000}},
    )
    record(other_account, now, {"event_id": "e", "model": "gpt-99", "usage": {"input_tokens": 1}})
    create_price("gpt-99", 3)


def log_values() -> dict[str, tuple[int, bool]]:
    return {log.event_id: (log.effective_nano, log.is_priced) for log in UsageLog.objects.all()}


VALUES_BEFORE = dict.fromkeys("abce", (0, False)) | {"d": (2_500_000_000, True)}
VALUES_AFTER = VALUES_BEFORE | {"a": (3_000_000_000, True), "b": (1_500_000_000, True), "e": (3_000, True)}


def apply(client: Client, **changes: str) -> Any:
    return client.post(REPRICE, {**UNPRICED_CHOICE, "reason": "a price was found", "confirm": "on", **changes})


def create_finished_batch(client: Client) -> CorrectionBatch:
    apply(client)
    return CorrectionBatch.objects.get()


def log_in_staff(client: Client, group: str) -> Client:
    user = User.objects.create_user("staff", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client.force_login(user)
    return client


def test_the_preview_shows_each_account_and_the_total_and_changes_nothing(admin_client: Client, calls: None) -> None:
    page: Any = admin_client.get(REPRICE, UNPRICED_CHOICE)
    summary = page.context["summary"]

    assert [
        (change.account, change.calls, change.old_nano, change.new_nano, change.priced, change.unpriced)
        for change in summary.changes
    ] == [
        ("acct_42", 2, 0, 4_500_000_000, 2, 1),
        ("other", 1, 0, 3_000, 1, 0),
    ]
    assert (summary.total.calls, summary.total.delta_nano, summary.total.unpriced) == (3, 4_500_003_000, 1)
    text = " ".join(page.content.decode().split())
    assert "3 unpriced calls of gpt-99 can be re-priced now" in text
    assert "1 remains unpriced" in text
    assert '<span title="$4.500003">$4.50</span>' in text
    assert log_values() == VALUES_BEFORE
    assert not CorrectionBatch.objects.exists()


def test_priced_calls_can_be_selected_by_provider_account_and_day(
    admin_client: Client, calls: None, other_account: Account
) -> None:
    create_price("gpt-4o", 1)
    filters = {"provider": " OpenAI ", "account": "acct_42", "since": "2026-11-22", "until": "2026-11-22"}
    page: Any = admin_client.get(REPRICE, filters)

    choice = page.context["choice"]
    assert (choice.since, choice.until) == (datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))
    assert (page.context["summary"].total.calls, page.context["summary"].total.old_nano) == (3, 2_500_000_000)
    assert "3 calls would change in cost" in page.content.decode()


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"account": "nobody"}, "No account has this external id. Check the id."),
        ({"since": "2026-11-02", "until": "2026-11-01"}, "The last day is before the first day."),
        ({"since": "soon"}, "Enter a valid date."),
        ({"model": ""}, "Select calls: tick this box or fill in another field."),
        ({"model": "x" * 201}, "at most 200 characters"),
        ({"model": "a\0b"}, "Null characters are not allowed."),
    ],
)
def test_an_invalid_choice_shows_an_error(admin_client: Client, calls: None, query: dict[str, str], error: str) -> None:
    page: Any = admin_client.get(REPRICE, query)
    assert error in page.content.decode()
    assert "summary" not in page.context
    response = admin_client.post(REPRICE, {**query, "reason": "x", "confirm": "on"})
    assert error in response.content.decode()
    assert log_values() == VALUES_BEFORE


def test_apply_reprices_the_calls_and_redirects_to_the_batch(admin_client: Client, calls: None) -> None:
    response = apply(admin_client)
    batch = CorrectionBatch.objects.get()

    assert response.url == f"{BATCHES}{batch.pk}/change/"
    assert log_values() == VALUES_AFTER
    assert (batch.kind, batch.reason, batch.actor) == ("reprice", "a price was found", "admin")
    assert (batch.logs, batch.delta_nano, batch_progress.state(batch)) == (3, 4_500_003_000, "finished")
    page = admin_client.get(response.url).content.decode()
    assert "Done." in page
    assert "unpriced calls, provider openai, model gpt-99" in page
    call_command("verify_ledger", stdout=StringIO())


@pytest.mark.parametrize(
    ("invalid", "error"),
    [
        ({"reason": ""}, "This field is required."),
        ({"confirm": ""}, "This field is required."),
        ({"reason": "x" * 501}, "at most 500"),
    ],
)
def test_apply_without_a_reason_or_a_confirmation_changes_nothing(
    admin_client: Client, calls: None, invalid: dict[str, str], error: str
) -> None:
    response = apply(admin_client, **invalid)
    assert error in response.content.decode()
    assert log_values() == VALUES_BEFORE
    assert not CorrectionBatch.objects.exists()


def test_a_long_batch_runs_in_slices_and_is_continued_from_its_page(
    admin_client: Client, calls: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_progress, "MAX_SECONDS", 0)
    monkeypatch.setattr(batch_progress, "BATCH_SIZE", 1)
    page = admin_client.get(apply(admin_client).url).content.decode()
    batch = CorrectionBatch.objects.get()

    assert (batch.logs, batch_progress.state(batch)) == (1, "running")
    assert "Not finished yet" in page
    assert f'action="{BATCHES}{batch.pk}/continue/"' in page
    for _ in range(4):
        admin_client.post(f"{BATCHES}{batch.pk}/continue/")
    batch.refresh_from_db()
    assert (batch.logs, batch.delta_nano, batch_progress.state(batch)) == (3, 4_500_003_000, "finished")
    assert log_values() == VALUES_AFTER
    call_command("verify_ledger", stdout=StringIO())


def test_revert_undoes_a_whole_batch(admin_client: Client, calls: None) -> None:
    batch = create_finished_batch(admin_client)
    response: Any = admin_client.post(f"{BATCHES}{batch.pk}/revert/", {"confirm": "on"})
    batch.refresh_from_db()
    revert = CorrectionBatch.objects.exclude(pk=batch.pk).get()

    assert response.url == f"{BATCHES}{batch.pk}/change/"
    assert log_values() == VALUES_BEFORE
    assert (batch_progress.state(batch), revert.kind, revert.actor, revert.logs, revert.delta_nano) == (
        "reverted",
        "revert",
        "admin",
        3,
        -4_500_003_000,
    )
    page = admin_client.get(response.url).content.decode()
    assert f'<a href="{BATCHES}{revert.pk}/change/">by admin</a>' in page
    assert "Yes, revert" not in page
    page = admin_client.get(f"{BATCHES}{revert.pk}/change/").content.decode()
    assert f'<a href="{BATCHES}{batch.pk}/change/">a price was found</a>' in page
    assert "Yes, revert" not in page
    call_command("verify_ledger", stdout=StringIO())


def test_a_revert_runs_in_slices_and_is_continued_from_either_page(
    admin_client: Client, calls: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = create_finished_batch(admin_client)
    monkeypatch.setattr(batch_progress, "MAX_SECONDS", 0)
    monkeypatch.setattr(batch_progress, "BATCH_SIZE", 1)
    admin_client.post(f"{BATCHES}{batch.pk}/revert/", {"confirm": "on"})
    revert = CorrectionBatch.objects.exclude(pk=batch.pk).get()
    assert (revert.logs, batch_progress.state(revert)) == (1, "running")
    assert "Continue revert" in admin_client.get(f"{BATCHES}{batch.pk}/change/").content.decode()

    admin_client.post(f"{BATCHES}{revert.pk}/continue/")
    admin_client.post(f"{BATCHES}{batch.pk}/revert/", {"confirm": "on"})
    admin_client.post(f"{BATCHES}{revert.pk}/continue/")
    batch.refresh_from_db()
    revert.refresh_from_db()
    assert (batch_progress.state(batch), batch_progress.state(revert), revert.logs) == ("reverted", "finished", 3)
    assert log_values() == VALUES_BEFORE


def test_a_revert_needs_a_confirmation_and_cannot_be_reverted(admin_client: Client, calls: None) -> None:
    batch = create_finished_batch(admin_client)
    admin_client.post(f"{BATCHES}{batch.pk}/revert/")
    assert log_values() == VALUES_AFTER

    admin_client.post(f"{BATCHES}{batch.pk}/revert/", {"confirm": "on"})
    revert = CorrectionBatch.objects.exclude(pk=batch.pk).get()
    response: Any = admin_client.post(f"{BATCHES}{revert.pk}/revert/", {"confirm": "on"}, follow=True)
    assert "A revert cannot be reverted; correct the calls again instead." in response.content.decode()
    assert log_values() == VALUES_BEFORE
    assert CorrectionBatch.objects.count() == 2


def test_a_void_can_be_reverted_but_not_continued(admin_client: Client, calls: None, now: datetime) -> None:
    log = UsageLog.objects.get(event_id="d")
    corrections.void(log, reason="made twice", actor="admin", at=now)
    batch = CorrectionBatch.objects.get()
    page: Any = admin_client.post(f"{BATCHES}{batch.pk}/continue/", follow=True)
    assert "This batch cannot be continued here: only unfinished re-pricings and reverts can." in page.content.decode()
    assert f"log {log.pk}" in page.content.decode()
    assert log_values() == VALUES_BEFORE | {"d": (0, True)}

    admin_client.post(f"{BATCHES}{batch.pk}/revert/", {"confirm": "on"})
    assert log_values() == VALUES_BEFORE


def test_too_many_calls_for_the_page_are_left_to_the_command(
    admin_client: Client, calls: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repricing_admin, "MAX_PREVIEW_LOGS", 1)
    monkeypatch.setattr(repricing, "PREVIEW_PAGE_SIZE", 1)
    page = admin_client.get(REPRICE, {"unpriced": "on", "since": "2026-11-22"}).content.decode()

    assert "Too many calls for this page" in page
    assert "<code>manage.py reprice --unpriced --since 2026-11-22T00:00Z --reason reason</code>" in page
    assert 'id="apply"' not in page


def test_the_command_has_every_option_of_a_choice(account: Account) -> None:
    since, until = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
    choice = RepricingChoice(False, "openai", "it's", account, since, until)
    assert batch_progress.reprice_command(choice, "new price") == (
        "manage.py reprice --provider openai --model 'it'\"'\"'s' --account acct_42"
        " --since 2026-11-01T00:00Z --until 2026-12-01T00:00Z --reason 'new price'"
    )


def test_the_list_shows_each_batch_in_a_fixed_number_of_queries(
    admin_client: Client, calls: None, django_assert_num_queries: Any
) -> None:
    batch = create_finished_batch(admin_client)
    admin_client.post(f"{BATCHES}{batch.pk}/revert/", {"confirm": "on"})
    # Session, user, bounded count, rows.
    with django_assert_num_queries(4):
        page = admin_client.get(BATCHES).content.decode()
    assert '<span class="badge unknown">reverted</span>' in page
    assert '<span class="num" title="$4.500003">$4.50</span>' in page
    assert '<span class="num" title="$-4.500003">-$4.50</span>' in page
    assert f'href="{REPRICE}"' in page


def test_a_viewer_can_preview_but_changes_nothing(client: Client, calls: None) -> None:
    batch = repricing.start(RepricingChoice(unpriced=True), reason="begun", actor="admin", at=datetime.now(UTC))
    log_in_staff(client, "Viewer")

    preview: Any = client.get(REPRICE, UNPRICED_CHOICE)
    assert preview.context["summary"].total.calls == 3
    assert 'id="apply"' not in preview.content.decode()
    page = client.get(f"{BATCHES}{batch.pk}/change/").content.decode()
    assert "Not finished" in page
    assert '<button class="button">' not in page
    assert apply(client).status_code == 403
    for action in ("continue", "revert"):
        assert client.post(f"{BATCHES}{batch.pk}/{action}/", {"confirm": "on"}).status_code == 403
    assert log_values() == VALUES_BEFORE
    assert not UsageAdjustment.objects.exists()
    assert client.post(f"{BATCHES}{batch.pk}/delete/", {"post": "yes"}).status_code == 403


def test_an_operator_can_reprice_calls(client: Client, calls: None) -> None:
    log_in_staff(client, "Operator")
    assert 'id="apply"' in client.get(REPRICE, UNPRICED_CHOICE).content.decode()
    assert apply(client).status_code == 302
    assert log_values() == VALUES_AFTER
    assert CorrectionBatch.objects.get().actor == "staff"


def test_staff_without_the_permission_are_refused(client: Client, calls: None) -> None:
    client.force_login(User.objects.create_user("new", is_staff=True))
    for address in (BATCHES, REPRICE):
        assert client.get(address).status_code == 403
    assert apply(client).status_code == 403
    assert log_values() == VALUES_BEFORE


def test_continue_and_revert_need_a_post_to_an_existing_batch(admin_client: Client, calls: None) -> None:
    batch = create_finished_batch(admin_client)
    for action in ("continue", "revert"):
        assert admin_client.get(f"{BATCHES}{batch.pk}/{action}/").status_code == 405
        unknown_batch = f"{BATCHES}00000000-0000-0000-0000-000000000000/{action}/"
        assert admin_client.post(unknown_batch, {"confirm": "on"}).status_code == 404
    assert log_values() == VALUES_AFTER


def test_pricing_an_unpriced_model_leads_to_the_preview(admin_client: Client, account: Account, now: datetime) -> None:
    record(account, now, {"model": "gpt-98", "usage": {"input_tokens": 1_000_000}})
    add_page: Any = admin_client.get("/admin/billing/unpriced/price/?provider=openai&model=gpt-98")
    openai = Provider.objects.get(slug="openai").pk
    price_data = price_form(provider=openai, pattern="gpt-98", valid_from="2026-11-22", _save="Save")
    price_data |= rate_forms({"unit": "input_tokens", "usd_per_million": "2"})
    page: Any = admin_client.post(add_page.url, price_data, follow=True)

    assert page.redirect_chain == [(f"{REPRICE}?unpriced=on&provider=openai&model=gpt-98", 302)]
    text = " ".join(page.content.decode().split())
    assert "1 unpriced call of gpt-98 can be re-priced now" in text
    assert page.context["summary"].total.new_nano == 2_000_000_000
