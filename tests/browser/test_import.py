"""The walk of an import in a real browser: upload, preview, check, import, void; no page has accessibility problems."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings

from billing.models import CorrectionBatch, UsageLog
from lib.money import NANO
from tests.billing.imports import files
from tests.browser.conftest import Visitor
from tests.browser.test_accessibility import page_problems

pytestmark = pytest.mark.browser

ROWS = files.csv(*files.calls([1, 2]), "x1,a,openai,unheard-of-1,7,0,,2026-11-10T12:00:00Z", "bad,a,openai,m,x,0,,")


def test_a_file_is_uploaded_previewed_checked_imported_and_voided(
    operator: Visitor, settings: Settings, tmp_path: Path
) -> None:
    files.use_folder(settings, tmp_path)
    (tmp_path / "usage.csv").write_bytes(ROWS)
    _upload(operator, tmp_path / "usage.csv")
    _check_and_import(operator)
    _void(operator)
    assert operator.console_errors == []


def _upload(operator: Visitor, file: Path) -> None:
    page = operator.page
    assert operator.open("/admin/billing/usageimport/") == 200
    page.get_by_role("link", name="Import file").click()
    page.get_by_label("File").set_input_files(file)
    assert page_problems(page) == []
    _press(operator, "Upload file")
    assert page.locator("table.data tbody tr").count() == 4
    assert page_problems(page) == []


def _check_and_import(operator: Visitor) -> None:
    page = operator.page
    _press(operator, "Check file")
    assert page.locator("table.data tfoot").inner_text().split() == ["Total", "3", "37", "$2.00", "1", "0", "1"]
    assert not UsageLog.objects.exists()
    assert page_problems(page) == []

    _press(operator, "Import 3 calls")
    assert UsageLog.objects.count() == 3
    assert page_problems(page) == []
    page.get_by_role("link", name="Show imported calls").click()
    page.wait_for_load_state("networkidle")
    assert page.locator("table.data tbody tr").count() == 3
    assert page_problems(page) == []
    page.go_back()


def _void(operator: Visitor) -> None:
    page = operator.page
    page.get_by_role("link", name="Void import").click()
    page.wait_for_load_state("networkidle")
    assert (
        "This voids 3 usage logs (3 calls, 1 of them unpriced) that cost $2.00 today"
        in page.locator(".card").inner_text()
    )
    assert page_problems(page) == []
    page.get_by_label("Reason").fill("Wrong file")
    page.get_by_label("Yes, void these calls").check()
    _press(operator, "Void import")
    assert page.locator(".messagelist").inner_text() == "3 usage logs voided."
    assert CorrectionBatch.objects.get().delta_nano == -2 * NANO
    assert page_problems(page) == []


def _press(operator: Visitor, button: str) -> None:
    operator.page.get_by_role("button", name=button, exact=True).click()
    operator.page.wait_for_load_state("networkidle")
