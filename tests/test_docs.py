"""Paths, commands and make targets in the documents exist; decision records are short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.management import get_commands

pytestmark = pytest.mark.source

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PATH = re.compile(
    r"`((?:bench|billing|config|docs|lib|monitoring|providers|static|templates|tests)/[\w./*-]*?)(?:: \w+)?`"
)
MODULE = re.compile(r"`((?:billing|lib|monitoring|providers)\.[a-z_.]+)(?:\.[A-Z]\w+)?`")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_path_and_module_in_a_document_exists(document: Path) -> None:
    text = document.read_text()
    paths = {path.rstrip("/*") for path in PATH.findall(text)} | {
        name.replace(".", "/") for name in MODULE.findall(text)
    }
    assert [path for path in sorted(paths) if not _exists(path)] == []


def _exists(path: str) -> bool:
    """True for a file, a folder, a module or a function of a module."""
    candidates = (ROOT / path, ROOT / f"{path}.py", (ROOT / path).parent.with_suffix(".py"))
    return any(candidate.exists() for candidate in candidates)


def test_every_file_of_the_code_tour_is_in_its_package() -> None:
    rows = re.findall(r"^\| `(billing/\w+/)` \| (.*?) \|", README, re.MULTILINE)
    files = [ROOT / folder / name for folder, names in rows for name in re.findall(r"`(\w+\.py)`", names)]
    assert len(rows) == 15
    assert [str(file) for file in files if not file.exists()] == []


def test_every_command_of_the_readme_exists() -> None:
    commands = set(re.findall(r"manage\.py (\w+)", README))
    assert commands
    assert commands <= set(get_commands())


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = set(re.findall(r"make ([\w-]+)", README))
    assert used <= targets


@pytest.mark.parametrize("record", sorted((ROOT / "docs" / "adr").glob("*.md")), ids=lambda record: record.name)
def test_a_decision_record_has_under_300_words_and_states_what_was_rejected(record: Path) -> None:
    text = record.read_text()
    assert len(text.split()) < 300
    assert "**Rejected.**" in text
