"""Archived periods on pages: lists of calls mention them, and the admin shows each archive and its problem."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db.models import F
from django.test import Client
from django.urls import reverse

from billing.archive import archived
from billing.models import Account, Archive, UsageDay
from tests.billing import archived_periods, members
from tests.billing.archived_periods import DUE_AT, HOUR
from tests.billing.ledger_rows import run

pytestmark = pytest.mark.django_db

ARCHIVED_NOTE = "The calls of 2026-10 are archived and not listed here. Totals and statements still include them."


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.KEEP_LOGS_DAYS, settings.ARCHIVE_DIR = 60, str(tmp_path)
    return tmp_path


def get_account(name: str = "a") -> Account:
    return Account.objects.get(external_id=name)


def get_page(client: Client, url: str, **query: str) -> str:
    response = client.get(url, query)
    assert response.status_code == 200
    return response.content.decode()


def test_lists_of_calls_mention_archived_periods(viewer: Client) -> None:
    archived_periods.record_october()
    member, changelist_url = members.logged_in_client(get_account()), reverse("admin:billing_usagelog_changelist")
    archived_periods.run_job(DUE_AT)
    assert ARCHIVED_NOTE not in get_page(member, "/usage/logs/") + get_page(viewer, changelist_url, account="a")

    archived_periods.run_job(DUE_AT + HOUR)
    assert ARCHIVED_NOTE in get_page(member, "/usage/logs/")
    assert ARCHIVED_NOTE in get_page(viewer, changelist_url, account="a")
    assert ARCHIVED_NOTE not in get_page(viewer, changelist_url)


def test_several_archived_periods_are_summarized(folder: Path) -> None:
    archived_periods.record_october()
    assert archived.note(get_account()) == ""
    archived_periods.export_and_delete()
    for month in (8, 9):
        Archive.objects.create(account=get_account(), period=f"2026-0{month}-01", begun_at=DUE_AT, deleted=1)
    assert archived.note(get_account()) == ARCHIVED_NOTE.replace("2026-10", "3 periods (2026-08 to 2026-10)")


def test_the_admin_lists_archives(viewer: Client) -> None:
    url = reverse("admin:billing_archive_changelist")
    assert "No archives yet." in get_page(viewer, url)
    archived_periods.record_october()
    archived_periods.export_and_delete()
    assert get_page(viewer, url).count(">deleted<") == 2
    assert ">deleted<" not in get_page(viewer, url, state="trouble")
    assert get_page(viewer, url, account="b").count(">deleted<") == 1

    archive = Archive.objects.get(account=get_account())
    html = get_page(viewer, reverse("admin:billing_archive_change", args=[archive.pk]))
    assert archive.sha256 in html
    assert f"account-{archive.account_id}/2026-10-01.csv.gz" in html


def test_the_admin_shows_why_an_archive_failed(viewer: Client) -> None:
    archived_periods.record_october()
    UsageDay.objects.filter(account=get_account()).update(calls=F("calls") + 1)
    archived_periods.run_job(DUE_AT)
    html = get_page(viewer, reverse("admin:billing_archive_changelist"), state="trouble")
    assert ("do not add up to the totals" in html, html.count('class="badge critical"')) == (True, 1)
    assert ">pending<" not in html


def test_an_archive_cannot_be_changed_in_the_admin(operator: Client) -> None:
    archived_periods.record_october()
    archived_periods.export_and_delete()
    archive = Archive.objects.first()
    assert archive is not None
    before = Archive.objects.values().get(pk=archive.pk)
    for action in ("change", "delete"):
        assert operator.post(reverse(f"admin:billing_archive_{action}", args=[archive.pk])).status_code == 403
    assert operator.get(reverse("admin:billing_archive_add")).status_code == 403
    assert Archive.objects.values().get(pk=archive.pk) == before


def test_explain_charge_names_the_archive_file(folder: Path) -> None:
    archived_periods.record_october()
    archived_periods.export_and_delete()
    result = run("explain_charge", "a", "e0")
    path = archived_periods.account_folder(folder) / "2026-10-01.csv.gz"
    assert (result.status, result.err) == (2, f"This call is archived and no longer in the log: see {path}.")
    assert run("explain_charge", "a", "never").err == "Log 'a never' does not exist."
