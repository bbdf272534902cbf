"""Fixtures of the tests of prices and proposals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from providers.models import PriceProposal
from tests.providers.offers import proposals, sync


@pytest.fixture
def propose() -> Callable[..., list[PriceProposal]]:
    """A function that syncs the given statements today and returns the open proposals."""

    def run(*statements: Any, **options: Any) -> list[PriceProposal]:
        sync(*statements, at=timezone.now(), **options)
        return proposals()

    return run
