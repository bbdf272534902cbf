"""The packages of billing: their public modules, and the modules whose docstrings say "Pure" (docs/adr/0016)."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.source

ROOT = Path(__file__).resolve().parent.parent
APPS = ("billing", "bench", "config", "lib", "monitoring", "providers")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
LAYERS = next(contract["layers"] for contract in CONTRACTS if contract.get("containers") == ["billing"])
PACKAGES = [layer for layer in LAYERS if ":" not in layer]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for app in APPS
    for path in (ROOT / app).rglob("*.py")
    if "migrations" not in path.parts
}


def imports_of(path: Path) -> Iterator[str]:
    """Dotted names that a file imports; `from a import b` gives a.b, which may be a module or a name in one."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def public_modules(package: str) -> set[str]:
    """The modules of a package that code outside of it imports."""
    prefix = f"billing.{package}."
    imported = {
        name.removeprefix(prefix).split(".")[0]
        for module, path in MODULES.items()
        if not module.startswith(prefix)
        for name in imports_of(path)
        if name.startswith(prefix)
    }
    return {name for name in imported if f"{prefix}{name}" in MODULES}


def test_there_are_packages_and_modules() -> None:
    assert len(PACKAGES) == 15
    assert len(MODULES) > 200


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_lists_exactly_the_modules_that_others_import(package: str) -> None:
    tree = ast.parse((ROOT / "billing" / package / "__init__.py").read_text())
    exports = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    ]
    assert ast.get_docstring(tree)
    assert exports == [sorted(public_modules(package))]


def test_billing_has_no_other_module_outside_its_packages() -> None:
    top_level = {path.stem for path in (ROOT / "billing").glob("*.py")}
    assert top_level == {"__init__", "apps", "checks", "errors", "jobs"}


def test_the_contract_lists_exactly_the_modules_whose_docstrings_say_pure() -> None:
    contract = next(contract for contract in CONTRACTS if contract["name"].startswith("Pure modules"))
    pure = {
        module
        for module, path in MODULES.items()
        if re.search(r"\bPure\b", ast.get_docstring(ast.parse(path.read_text())) or "")
    }
    assert pure == set(contract["source_modules"])
    assert "django" in contract["forbidden_modules"]


def test_tests_of_a_package_are_in_a_folder_of_its_name() -> None:
    folders = {path.name for path in (ROOT / "tests" / "billing").iterdir() if path.is_dir() and path.name[0] != "_"}
    outer_ring = {"admin", "api", "management", "pages"}
    assert folders - outer_ring <= set(PACKAGES)
