"""The import pages: permissions, upload limits, the walk from upload to void, and what each page shows."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from billing.admin import imports as imports_admin
from billing.events.usage_files import file_text
from billing.imports import import_job, import_steps, imported_logs
from billing.models import CorrectionBatch, UsageImport, UsageLog
from lib import money, rate_limit
from tests.billing.imports import files
from tests.billing.ledger_rows import NOON, assert_ledger_consistent, record

pytestmark = [pytest.mark.django_db, pytest.mark.frozen_at(NOON.isoformat())]
IMPORTS = "/admin/billing/usageimport/"
UPLOAD = f"{IMPORTS}upload/"
State = UsageImport.State
ROWS = files.csv(*files.calls([1, 2]), "x1,a,openai,unheard-of-1,7,0,,2026-11-10T12:00:00Z", "bad,a,openai,m,x,0,,")


def upload(client: Client, content: bytes = ROWS, name: str = "usage.csv", **options: str) -> Any:
    return client.post(UPLOAD, {**options, "file": SimpleUploadedFile(name, content)})


def page_of(client: Client, usage_import: UsageImport | None = None) -> Any:
    return client.get(f"{IMPORTS}{(usage_import or UsageImport.objects.get()).pk}/change/")


def act(client: Client, action: str, **data: str) -> Any:
    return client.post(f"{IMPORTS}{UsageImport.objects.get().pk}/{action}/", data)


def text_of(page: Any) -> str:
    return " ".join(page.content.decode().split())


def staff(*permissions: str) -> Client:
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def test_the_walk_from_upload_to_void(admin_client: Client, folder: Path) -> None:
    assert upload(admin_client).status_code == 302
    page = text_of(page_of(admin_client))
    assert "unheard-of-1" in page
    assert "usage.input_tokens" in page
    assert not UsageLog.objects.exists()

    act(admin_client, "check")
    page = text_of(page_of(admin_client))
    assert "What would be imported" in page
    assert "Import 3 calls" in page
    assert '<div><dt>Cost</dt><dd><span title="$2">$2.00</span>' in page
    assert not UsageLog.objects.exists()

    act(admin_client, "import")
    page = text_of(page_of(admin_client))
    assert "What was imported" in page
    assert UsageLog.objects.count() == 3
    assert list(folder.iterdir()) == []
    logs = text_of(admin_client.get(f"{IMPORTS}{UsageImport.objects.get().pk}/logs/"))
    assert [event in logs for event in ("e1", "e2", "x1", "bad")] == [True, True, True, False]

    confirmation = text_of(admin_client.get(f"{IMPORTS}{UsageImport.objects.get().pk}/void/"))
    assert "This voids 3 usage logs (3 calls, 1 of them unpriced) that cost $2.00 today" in confirmation
    act(admin_client, "void", reason="wrong file", confirm="on")
    batch = CorrectionBatch.objects.get()
    assert (batch.logs, batch.delta_nano, batch.reason) == (3, -2 * money.NANO, "wrong file")
    assert "Void import" not in text_of(page_of(admin_client))
    assert_ledger_consistent()

    changes = [entry.changes for entry in LogEntry.objects.get_for_model(UsageImport).order_by("timestamp", "id")]
    assert changes == [
        {"state": ["uploaded", "uploaded"]},
        {"state": ["uploaded", "checking"]},
        {"state": ["checked", "importing"]},
        {"void_batch": ["None", str(batch.pk)]},
    ]
    assert {entry.actor.get_username() for entry in LogEntry.objects.get_for_model(UsageImport)} == {"admin"}


def test_an_unconfirmed_void_changes_nothing(admin_client: Client) -> None:
    files.import_all(ROWS)
    act(admin_client, "void", reason="wrong file")
    act(admin_client, "void", confirm="on")
    assert not CorrectionBatch.objects.exists()


def test_options_are_applied_to_the_preview(admin_client: Client) -> None:
    content = b"In,Name\n7,gpt-4o\n"
    upload(admin_client, content)
    assert "No column has the provider" in text_of(page_of(admin_client))

    options = {"maps": "In=input_tokens\r\nName=model\r\n", "constants": "provider=openai", "account": "acct <9>"}
    assert act(admin_client, "options", **options).status_code == 302
    page = text_of(page_of(admin_client))
    assert "acct &lt;9&gt;" in page
    assert "usage.csv:2" in page
    assert UsageImport.objects.get().options == {
        "maps": ["In=input_tokens", "Name=model"],
        "constants": ["provider=openai"],
        "account": "acct <9>",
    }


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"maps": "nonsense"}, "nonsense"),
        ({"constants": "colour=red"}, "colour=red"),
        ({"timezone": "Mars/Base"}, "is not an IANA time zone"),
        ({"maps": "\n".join(f"c{number}=model" for number in range(201))}, "Write at most 200 lines."),
        ({"account": "a\0b"}, "Null characters are not allowed."),
    ],
)
def test_invalid_options_are_refused(admin_client: Client, options: dict[str, str], error: str) -> None:
    upload(admin_client)
    before = UsageImport.objects.values().get()
    assert error in text_of(act(admin_client, "options", **options))
    assert error in text_of(upload(admin_client, ROWS, **options))
    assert UsageImport.objects.values().get() == before


def test_an_unfinished_file_is_stopped_continued_and_discarded(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(import_steps, "BATCH_SIZE", 2)
    monkeypatch.setattr(import_steps, "REQUEST_SECONDS", 0)
    upload(admin_client, files.csv(*files.calls(range(5))))
    act(admin_client, "check")
    page = page_of(admin_client)
    assert "2 rows checked so far." in text_of(page)
    assert "data-live=" in text_of(page)
    act(admin_client, "continue")
    assert UsageImport.objects.get().position == 4
    import_job.run(NOON, files.clock)
    act(admin_client, "import")
    assert '<progress class="bar" max="5" value="2"' in text_of(
        admin_client.get(f"{IMPORTS}{UsageImport.objects.get().pk}/progress/")
    )

    act(admin_client, "stop")
    assert "Stopped after 2 rows." in text_of(page_of(admin_client))
    act(admin_client, "continue")
    assert UsageImport.objects.get().position == 4
    act(admin_client, "stop")
    act(admin_client, "discard")
    assert list(folder.iterdir()) == []
    page = text_of(page_of(admin_client))
    assert "the rows imported until then stay" in page
    assert "Void import" in page
    assert UsageLog.objects.count() == 4


def test_an_action_in_another_state_changes_nothing(admin_client: Client) -> None:
    upload(admin_client)
    before = UsageImport.objects.values().get()
    for action in ("import", "stop", "continue"):
        response = admin_client.post(f"{IMPORTS}{before['id']}/{action}/", follow=True)
        assert "Nothing was changed: the import is in another state by now." in text_of(response)
    assert UsageImport.objects.values().get() == before


PATHS = ("", "upload/", "{pk}/change/", "{pk}/progress/", "{pk}/refusals/", "{pk}/logs/", "{pk}/void/")
ACTIONS = ("options", "check", "import", "stop", "continue", "discard", "void")


def test_staff_without_the_permission_get_403_and_change_nothing() -> None:
    usage_import = files.store(ROWS)
    before = UsageImport.objects.values().get()
    client = staff("view_usagelog", "add_usageadjustment", "view_correctionbatch")
    for path in PATHS:
        assert client.get(IMPORTS + path.format(pk=usage_import.pk)).status_code == 403, path
    for action in ACTIONS:
        assert act(client, action, reason="r", confirm="on").status_code == 403, action
    assert upload(client).status_code == 403
    assert UsageImport.objects.values().get() == before


def test_customers_and_visitors_are_sent_to_the_login(client: Client) -> None:
    usage_import = files.store(ROWS)
    customer = User.objects.create_user("customer")
    for user in (None, customer):
        if user:
            client.force_login(user)
        for path in PATHS:
            response = client.get(IMPORTS + path.format(pk=usage_import.pk))
            assert (response.status_code, response.headers["Location"].split("?")[0]) == (302, "/admin/login/")
        assert upload(client).status_code == 302
    assert UsageImport.objects.count() == 1


def test_the_permission_alone_imports_but_neither_voids_nor_lists_calls() -> None:
    client = staff("import_usage")
    upload(client)
    act(client, "check")
    act(client, "import")
    assert UsageLog.objects.count() == 3
    assert "Void import" not in text_of(page_of(client))
    assert act(client, "void", reason="r", confirm="on").status_code == 403
    assert client.get(f"{IMPORTS}{UsageImport.objects.get().pk}/logs/").status_code == 403
    assert not CorrectionBatch.objects.exists()


def test_a_file_above_the_maximum_is_dropped_with_413(admin_client: Client, settings: Settings, folder: Path) -> None:
    settings.IMPORT_MAX_MIB = 1
    response = upload(admin_client, b"x" * (1024 * 1024 + 1))
    assert response.status_code == 413
    assert "The file is larger than 1 MiB." in text_of(response)
    assert not UsageImport.objects.exists()
    assert not folder.exists()
    assert upload(admin_client, ROWS).status_code == 302


def test_a_file_sent_to_any_other_page_is_dropped(admin_client: Client, client: Client) -> None:
    for sender, path in ((admin_client, "/admin/login/"), (client, UPLOAD), (admin_client, "/admin/auth/user/add/")):
        response: Any = sender.post(path, {"file": SimpleUploadedFile("usage.csv", ROWS)})
        assert not response.wsgi_request.FILES
    assert not UsageImport.objects.exists()


def test_uploads_are_limited_per_operator(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports_admin, "UPLOAD_RATE", "1/hour")
    monkeypatch.setattr(rate_limit, "_counts", {})
    assert upload(admin_client).status_code == 302
    assert upload(admin_client).status_code == 429
    assert UsageImport.objects.count() == 1


def test_a_hostile_name_is_shown_escaped_and_never_a_path(admin_client: Client, folder: Path) -> None:
    upload(admin_client, name="<script>alert(1)<script>.csv")
    usage_import = UsageImport.objects.get()
    assert usage_import.name == "<script>alert(1)<script>.csv"
    for page in (page_of(admin_client), admin_client.get(IMPORTS)):
        assert b"<script>alert" not in page.content
    assert [path.name for path in folder.iterdir()] == [usage_import.stored_name]


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("usage.csv", b"PK\x03\x04 zipped", "The file is a zip archive or an Excel workbook"),
        ("usage.csv", b"<html></html>", "The file is HTML or XML"),
        ("usage.csv.gz", b"\x1f\x8b not really", "The file is damaged or cut off"),
        ("usage.json", b'{"data": [', "Is it cut off?"),
        ("usage.csv", b"a,b\n1,2\n", "No column has the provider"),
    ],
)
def test_a_file_that_cannot_be_read_says_why_and_can_be_discarded(
    admin_client: Client, folder: Path, name: str, content: bytes, error: str
) -> None:
    upload(admin_client, content, name)
    assert error in text_of(page_of(admin_client))
    act(admin_client, "check")
    usage_import = UsageImport.objects.get()
    assert (usage_import.state, usage_import.checked) == (State.UPLOADED, None)
    assert error in usage_import.trouble
    act(admin_client, "discard")
    assert list(folder.iterdir()) == []


def test_a_compression_bomb_is_refused_with_a_sentence(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_text, "FREE_EXPANSION", 1024)
    upload(admin_client, gzip.compress(ROWS + b"x" * 900_000 + b"\n" + b"y" * 900_000), "usage.csv.gz")
    act(admin_client, "check")
    page = text_of(page_of(admin_client))
    assert "expands to more than 200 times its size" in page
    assert not UsageLog.objects.exists()


def test_refusals_download_as_csv(admin_client: Client) -> None:
    usage_import = files.check(files.store(files.csv("bad,a,openai,m,x,0,,", "old,a,openai,m,1,0,,1999-01-01")))
    response: Any = admin_client.get(f"{IMPORTS}{usage_import.pk}/refusals/")
    lines = b"".join(response.streaming_content).decode().splitlines()
    assert lines[0] == "line,column,code,detail"
    assert [line.split(",")[:2] for line in lines[1:]] == [["2", "usage.input_tokens"], ["3", "occurred_at"]]


def test_imported_calls_are_paged_and_only_those_of_the_import(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imported_logs, "PAGE_SIZE", 2)
    monkeypatch.setattr(import_steps, "BATCH_SIZE", 2)
    record({"event_id": "before"})
    files.import_all(files.csv(*files.calls(range(3))))
    record({"event_id": "after"})
    url: str | None = f"{IMPORTS}{UsageImport.objects.get().pk}/logs/"
    pages = []
    while url:
        page: Any = admin_client.get(url)
        pages.append([log.event_id for log in page.context["logs"]])
        url = f"?after={page.context['next']}" if page.context["next"] else None
        url = url and f"{IMPORTS}{UsageImport.objects.get().pk}/logs/{url}"
    assert pages == [["e0", "e1"], ["e2"]]
    assert admin_client.get(f"{IMPORTS}{UsageImport.objects.get().pk}/logs/?after=x").status_code == 200


def test_the_list_shows_each_import(admin_client: Client) -> None:
    assert "No imports yet." in text_of(admin_client.get(IMPORTS))
    files.import_all(ROWS)
    page = text_of(admin_client.get(IMPORTS))
    for part in ("usage.csv", "operator", "2026-11-22 12:00", '<span class="badge ok">finished</span>', ">$2.00<"):
        assert part in page
    assert '<a href="/admin/billing/usageimport/">Imports</a>' in text_of(admin_client.get("/admin/"))
