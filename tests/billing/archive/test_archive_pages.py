"""Where calls are missing because they are archived, pages say so; the admin shows each archive and what holds it up."""

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
from tests.billing.archived_periods import DUE, HOUR
from tests.billing.ledger_rows import run

pytestmark = pytest.mark.django_db

NOTE = "Calls of 2026-10 are archived: totals and statements stay, single calls are listed no more."


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.KEEP_LOGS_DAYS, settings.ARCHIVE_DIR = 60, str(tmp_path)
    return tmp_path


def account(name: str = "a") -> Account:
    return Account.objects.get(external_id=name)


def page(client: Client, address: str, **query: str) -> str:
    answer = client.get(address, query)
    assert answer.status_code == 200
    return answer.content.decode()


def test_lists_of_calls_say_which_are_archived(viewer: Client) -> None:
    archived_periods.october()
    member, list_ = members.client(account()), reverse("admin:billing_usagelog_changelist")
    archived_periods.run(DUE)
    assert NOTE not in page(member, "/usage/logs/") + page(viewer, list_, account="a")

    archived_periods.run(DUE + HOUR)
    assert NOTE in page(member, "/usage/logs/")
    assert NOTE in page(viewer, list_, account="a")
    assert NOTE not in page(viewer, list_)


def test_several_periods_are_told_by_their_number(folder: Path) -> None:
    archived_periods.october()
    assert archived.told(account()) == ""
    archived_periods.archive()
    for month in (8, 9):
        Archive.objects.create(account=account(), period=f"2026-0{month}-01", begun_at=DUE, deleted=1)
    assert archived.told(account()) == NOTE.replace("2026-10", "3 periods, 2026-08 to 2026-10,")


def test_the_admin_lists_archives(viewer: Client) -> None:
    address = reverse("admin:billing_archive_changelist")
    assert "No usage log is archived." in page(viewer, address)
    archived_periods.october()
    archived_periods.archive()
    assert page(viewer, address).count(">archived<") == 2
    assert ">archived<" not in page(viewer, address, state="trouble")
    assert page(viewer, address, account="b").count(">archived<") == 1

    one = Archive.objects.get(account=account())
    shown = page(viewer, reverse("admin:billing_archive_change", args=[one.pk]))
    assert one.sha256 in shown
    assert f"account-{one.account_id}/2026-10-01.csv.gz" in shown


def test_the_admin_tells_what_holds_one_up(viewer: Client) -> None:
    archived_periods.october()
    UsageDay.objects.filter(account=account()).update(calls=F("calls") + 1)
    archived_periods.run(DUE)
    held_up = page(viewer, reverse("admin:billing_archive_changelist"), state="trouble")
    assert ("do not add up to its totals" in held_up, held_up.count('class="badge critical"')) == (True, 1)
    assert "to be written" not in held_up


def test_nobody_changes_an_archive(operator: Client) -> None:
    archived_periods.october()
    archived_periods.archive()
    one = Archive.objects.first()
    assert one is not None
    before = Archive.objects.values().get(pk=one.pk)
    for action in ("change", "delete"):
        assert operator.post(reverse(f"admin:billing_archive_{action}", args=[one.pk])).status_code == 403
    assert operator.get(reverse("admin:billing_archive_add")).status_code == 403
    assert Archive.objects.values().get(pk=one.pk) == before


def test_explain_charge_names_the_file(folder: Path) -> None:
    archived_periods.october()
    archived_periods.archive()
    end = run("explain_charge", "a", "e0")
    path = folder / f"account-{account().pk}" / "2026-10-01.csv.gz"
    assert (end.status, end.err) == (2, f"This call is archived, and no more in the log: see {path}.")
    assert run("explain_charge", "a", "never").err == "There is no log 'a never'."
