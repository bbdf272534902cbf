"""The API's description is valid OpenAPI, without a warning."""

from __future__ import annotations

from pathlib import Path

from django.core.management import call_command


def test_the_description_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "schema.yml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(path))
    text = path.read_text()
    assert text.startswith("openapi: 3.1.0\n")
    assert "nullable" not in text  # OpenAPI 3.0 only; 3.1 has the type null
