"""Every test stores its files in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings

from tests.billing.imports import files


@pytest.fixture(autouse=True)
def folder(settings: Settings, tmp_path: Path) -> Path:
    return files.use_folder(settings, tmp_path)
