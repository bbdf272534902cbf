"""The rules of the house style that a program can check: sizes, names, and no floats near money."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.source

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("billing", "config", "lib", "monitoring", "providers", "bench", "tests")
FILES = sorted(
    path.relative_to(ROOT)
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if not path.name.startswith("_frozen_")  # a frozen copy stays unchanged
)
OURS = [path for path in FILES if path.parts[0] not in ("tests", "bench")]
MAX_LINES, MAX_FUNCTION_LINES = 400, 40
MEANINGLESS_NAMES = {"utils", "helpers", "services", "common", "misc"}
# Modules with floats that measure time or that are detected in input.
FLOAT_MODULES = {
    "billing/api/throttling.py",
    "billing/events/usage_files/row_events.py",
    "billing/events/legacy_rows.py",
    "billing/ledger/row_checksum.py",
    "billing/reports/provider_health.py",
    "lib/histogram.py",
    "lib/rate_limit.py",
    "lib/strict_json.py",
}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_only_frozen_copies_are_left_out() -> None:
    every = {path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert every - set(FILES) == {Path("billing/migrations/_frozen_detection.py")}


def test_files_of_every_package_are_checked() -> None:
    assert {path.parts[0] for path in FILES} >= {"billing", "config", "lib", "monitoring", "providers", "tests"}


@pytest.mark.parametrize("path", OURS, ids=str)
def test_files_and_functions_are_short(path: Path) -> None:
    assert len((ROOT / path).read_text().splitlines()) <= MAX_LINES
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions(path)}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES} == {}


def test_no_test_or_bench_file_is_too_long() -> None:
    lines = {str(path): len((ROOT / path).read_text().splitlines()) for path in FILES}
    assert {path: count for path, count in lines.items() if count > MAX_LINES} == {}


def test_no_module_imports_the_user_model() -> None:
    """AUTH_USER_MODEL may name another. For annotations, `if TYPE_CHECKING:` imports it."""
    offenders = [
        str(path)
        for path in FILES
        if path.parts[0] != "tests"
        for node in ast.walk(tree_of(path))
        if not (isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING")
        for child in ast.iter_child_nodes(node)
        if isinstance(child, ast.ImportFrom) and child.module == "django.contrib.auth.models"
        if "User" in {name.name for name in child.names}
    ]
    assert offenders == []


def test_no_module_has_a_meaningless_name() -> None:
    assert [str(path) for path in FILES if {path.stem, *path.parts[:-1]} & MEANINGLESS_NAMES] == []


def test_every_module_has_a_docstring() -> None:
    undocumented = [
        str(path)
        for path in OURS
        if (ROOT / path).read_text().strip()
        and path.name != "apps.py"
        and "migrations" not in path.parts
        and not ast.get_docstring(tree_of(path))
    ]
    assert undocumented == []


@pytest.mark.parametrize("path", [path for path in OURS if path.parts[0] in ("billing", "lib", "providers")], ids=str)
def test_no_module_near_money_uses_floats(path: Path) -> None:
    names = {node.id for node in ast.walk(tree_of(path)) if isinstance(node, ast.Name)}
    attributes = {node.attr for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute)}
    if str(path) not in FLOAT_MODULES:
        assert (names | attributes) & {"float", "FloatField"} == set()
