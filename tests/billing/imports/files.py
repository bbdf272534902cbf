"""Files for tests of imports, stored as an upload would store them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.utils import timezone
from pytest_django import Settings

from billing.imports import import_steps, stored_files
from billing.models import UsageImport

clock = timezone.now  # frozen
HEADER = "event_id,account,provider,model,input_tokens,output_tokens,cost_usd,occurred_at"


def csv(*rows: str) -> bytes:
    return "\n".join([HEADER, *rows, ""]).encode()


def calls(numbers: Iterable[int], account: str = "a", day: str = "2026-11-10") -> list[str]:
    """Rows of calls that each cost 1 USD and have 10 + 5 tokens."""
    return [f"e{number},{account},openai,gpt-4o,10,5,1,{day}T12:00:00Z" for number in numbers]


def store(content: bytes, name: str = "usage.csv", **options: Any) -> UsageImport:
    usage_import = stored_files.store(name=name, chunks=[content], actor="operator", at=timezone.now())
    import_steps.set_options(usage_import, options)
    return usage_import


def check(usage_import: UsageImport) -> UsageImport:
    import_steps.start_check(usage_import, usage_import.options)
    import_steps.run(usage_import, seconds=60, clock=clock)
    return usage_import


def import_all(content: bytes, name: str = "usage.csv", **options: Any) -> UsageImport:
    """Stores, checks and imports a file."""
    usage_import = check(store(content, name, **options))
    assert import_steps.start_import(usage_import)
    import_steps.run(usage_import, seconds=60, clock=clock)
    return usage_import


def use_folder(settings: Settings, folder: Path) -> Path:
    settings.IMPORT_DIR = str(folder / "imports")
    return folder / "imports"
