"""Fixtures of the tests of prices and proposals."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from providers.models import PriceProposal
from tests.providers.offers import proposals, sync


@pytest.fixture(scope="session")
def genai_prices() -> None:
    """Skips the test if the extra `prices` is missing, and fails it in a full environment (`make venv-all`)."""
    try:
        import genai_prices  # noqa: F401
    except ModuleNotFoundError:
        if (Path(sys.prefix) / ".all").exists():
            pytest.fail("requirements-all.lock is installed, but genai-prices is missing")
        pytest.skip("genai-prices is not installed: run `make venv-all` or install the extra `prices`")


@pytest.fixture
def propose() -> Callable[..., list[PriceProposal]]:
    """A function that syncs the given statements today and returns the open proposals."""

    def run(*statements: Any, **options: Any) -> list[PriceProposal]:
        sync(*statements, at=timezone.now(), **options)
        return proposals()

    return run
