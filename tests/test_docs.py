"""What the documents name exists: files of the code tour, commands, make targets; decision records stay short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.management import get_commands

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
PATH = re.compile(r"`((?:billing|config|docs|lib|monitoring|providers|static|templates|tests)/[\w./*-]*)`")


@pytest.mark.parametrize("path", sorted(set(PATH.findall(README))))
def test_every_path_of_the_readme_exists(path: str) -> None:
    assert (ROOT / path.rstrip("/*")).exists()


def test_every_command_of_the_readme_exists() -> None:
    named = set(re.findall(r"manage\.py (\w+)", README))
    assert named
    assert named <= set(get_commands())


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"make ([\w-]+)", README))
    assert named <= targets


@pytest.mark.parametrize("record", sorted((ROOT / "docs" / "adr").glob("*.md")), ids=lambda record: record.name)
def test_a_decision_record_tells_context_decision_and_what_was_rejected_in_300_words(record: Path) -> None:
    text = record.read_text()
    assert len(text.split()) < 300
    assert "**Rejected.**" in text
