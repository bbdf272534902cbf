"""What several tests of this package share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def genai_prices() -> None:
    """The extra `prices`: `make test` may lack it, but an environment made from requirements-all.lock may not."""
    try:
        import genai_prices  # noqa: F401
    except ModuleNotFoundError:
        if (Path(sys.prefix) / ".all").exists():
            pytest.fail("requirements-all.lock is installed, and genai-prices is not")
        pytest.skip("genai-prices is not installed: it comes with the extra `prices`, as in `make venv-all`")
