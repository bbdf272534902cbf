"""The house style, as far as a program can see it: sizes, names, and no floats near money."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("billing", "config", "lib", "monitoring", "providers", "bench", "tests")
FILES = sorted(
    path.relative_to(ROOT)
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if "_frozen_" not in path.name  # a copy is kept as it was
)
OURS = [path for path in FILES if path.parts[0] not in ("tests", "bench")]
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 400, 40
NAMES_OF_NOTHING = {"utils", "helpers", "services", "common", "misc"}
# Floats that measure time, or that are looked for in what comes in.
NOT_MONEY = {
    "billing/api/throttling.py",
    "billing/events/event_files.py",
    "billing/events/legacy_rows.py",
    "billing/reports/provider_health.py",
    "lib/histogram.py",
    "lib/rate_limit.py",
    "lib/strict_json.py",
}


def tree_of(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_there_is_something_to_look_at() -> None:
    assert {path.parts[0] for path in FILES} >= {"billing", "config", "lib", "monitoring", "providers", "tests"}


@pytest.mark.parametrize("path", OURS, ids=str)
def test_files_and_functions_are_short(path: Path) -> None:
    assert len((ROOT / path).read_text().splitlines()) <= MOST_LINES
    long = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions(path)}
    assert {name: lines for name, lines in long.items() if lines > MOST_LINES_OF_A_FUNCTION} == {}


def test_no_test_file_is_longer_either() -> None:
    lines = {str(path): len((ROOT / path).read_text().splitlines()) for path in FILES}
    assert {path: count for path, count in lines.items() if count > MOST_LINES} == {}


def test_modules_are_named_after_a_word_of_the_domain() -> None:
    assert [str(path) for path in FILES if {path.stem, *path.parts[:-1]} & NAMES_OF_NOTHING] == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path)
        for path in OURS
        if (ROOT / path).read_text().strip()
        and path.name != "apps.py"
        and "migrations" not in path.parts
        and not ast.get_docstring(tree_of(path))
    ]
    assert silent == []


@pytest.mark.parametrize("path", [path for path in OURS if path.parts[0] in ("billing", "lib", "providers")], ids=str)
def test_no_float_comes_near_money(path: Path) -> None:
    names = {node.id for node in ast.walk(tree_of(path)) if isinstance(node, ast.Name)}
    attributes = {node.attr for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute)}
    if str(path) not in NOT_MONEY:
        assert (names | attributes) & {"float", "FloatField"} == set()
