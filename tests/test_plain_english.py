"""The rules for names and docstrings that a program can hold; docs/glossary.md has the words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_house_style import FILES as ALL_FILES
from tests.test_house_style import OURS, ROOT, functions, tree_of

pytestmark = pytest.mark.source

FILES = [path for path in ALL_FILES if "migrations" not in path.parts]

# Nouns avoided and verbs of speech: none of them says what a value is.
BANNED = {"asked", "found", "given", "gone", "kept", "made", "said", "shown", "stands", "told", "wanted"}
BANNED_FUNCTIONS = BANNED | {"give", "of", "one", "page", "put", "read", "tell", "whole", "who"}
BANNED_LOOP_VARIABLES = BANNED | {"each", "one", "every", "other", "whatever"}
BANNED_CONSTANTS = re.compile(
    r"^_?(AGAIN|AHEAD|BEYOND|KEPT|LARGEST|LEAST|LEFT|LONGEST|MOST|NEWEST|OLDEST|SEEN|SHOWN|TOLD|USUAL)(_|$)"
)
SAYS_WHO_CALLS = re.compile(
    r"\b(called|asked) (only )?by\b|\b(read|used|run) by (the )?(admin|api|commands?|jobs?|pages?|views?)\b|\basks\b",
    re.IGNORECASE,
)
# Methods whose names a library prescribes, and what a protocol reads.
PRESCRIBED = {"read", "put"}
UNITS = re.compile(
    r"nano|usd|cent|percent|rate|ratio|second|minute|hour|day|month|_ms\b|milli|micro|byte|token|call|event|log|row|"
    r"count|number|how many|length|size|version|status|code|index|position|rank|order|width|height|offset|quantity|"
    r"amount|id\b|ids\b|slot|page|level|depth|pixel|integer|alert|account|period|delete|erased|bucket|digit|unit",
    re.IGNORECASE,
)


def places(path: Path) -> Iterator[tuple[str, ast.AST]]:
    return ((f"{path}:{getattr(node, 'lineno', 0)}", node) for node in ast.walk(tree_of(path)))


def targets_of(node: ast.AST) -> Iterator[str]:
    """The names that a loop or a comprehension gives to what it takes."""
    if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
        yield from (name.id for name in ast.walk(node.target) if isinstance(name, ast.Name))


def is_banned(variable: str) -> bool:
    return variable.strip("_") in BANNED or bool(BANNED_CONSTANTS.match(variable))


@pytest.mark.parametrize("path", FILES, ids=str)
def test_names_say_what_they_stand_for(path: Path) -> None:
    wrong = []
    for place, node in places(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            bare = node.name.strip("_")
            if bare in BANNED_FUNCTIONS and not (_is_method(path, node) and bare in PRESCRIBED):
                wrong.append(f"{place} def {node.name}")
            parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            wrong += [f"{place} parameter {name}" for name in {part.arg for part in parameters} & (BANNED | {"one"})]
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and is_banned(node.id):
            wrong.append(f"{place} {node.id}")
        wrong += [f"{place} loop variable {name}" for name in set(targets_of(node)) & BANNED_LOOP_VARIABLES]
    assert wrong == []


def _is_method(path: Path, node: ast.AST) -> bool:
    return any(node in parent.body for parent in ast.walk(tree_of(path)) if isinstance(parent, ast.ClassDef))


@pytest.mark.parametrize("path", FILES, ids=str)
def test_no_docstring_says_who_calls(path: Path) -> None:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    wrong = [
        f"{place} {text!r}"
        for place, node in places(path)
        if isinstance(node, documented) and SAYS_WHO_CALLS.search(text := ast.get_docstring(node) or "")
    ]
    assert wrong == []


@pytest.mark.parametrize("path", OURS, ids=str)
def test_public_functions_that_return_a_number_name_its_unit(path: Path) -> None:
    wrong = [
        f"{path}:{node.lineno} {node.name}"
        for node in tree_of(path).body
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and node.returns
        and ast.unparse(node.returns) in ("int", "int | None", "float", "float | None")
        and not UNITS.search(f"{node.name} {ast.get_docstring(node) or ''}")
    ]
    assert wrong == []


def test_every_word_of_the_glossary_stands_in_the_code_or_on_a_page() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text()
    terms = [row.split("|")[1].strip() for row in glossary.splitlines() if row.startswith("| ")][2:]
    sources = [ROOT / path for path in OURS] + [
        *(ROOT / "templates").rglob("*.html"),
        *(ROOT / "docs").glob("[i-t]*.md"),
    ]
    text = _plain(" ".join(path.read_text() for path in sources))
    assert len(terms) > 50
    assert [term for term in terms if not all(_plain(word) in text for word in term.split(", "))] == []


def _plain(text: str) -> str:
    """Letters alone, in lower case: `usage_period`, `UsagePeriod` and "usage period" are one word."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def test_there_is_something_to_look_at() -> None:
    assert sum(1 for path in OURS for _ in functions(path)) > 1_000
