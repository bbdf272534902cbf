"""What several tests of this package share."""

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
    """The extra `prices`: `make test` may lack it, but an environment made from requirements-all.lock may not."""
    try:
        import genai_prices  # noqa: F401
    except ModuleNotFoundError:
        if (Path(sys.prefix) / ".all").exists():
            pytest.fail("requirements-all.lock is installed, and genai-prices is not")
        pytest.skip("genai-prices is not installed: it comes with the extra `prices`, as in `make venv-all`")


@pytest.fixture
def propose() -> Callable[..., list[PriceProposal]]:
    """Runs a source today; the open proposals."""

    def run(*statements: Any, **options: Any) -> list[PriceProposal]:
        sync(*statements, at=timezone.now(), **options)
        return proposals()

    return run
