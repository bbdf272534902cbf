"""Rule sets for tests of detection: the shipped one, read from its files, and small ones made by hand."""

from __future__ import annotations

from functools import cache

from providers import shipped
from providers.detection import Call, Detection, Rule, RuleSet


def rule(evidence: str, pattern: str, provider: str | None = None, **changed: object) -> Rule:
    """An operator's own rule, unless told otherwise."""
    fields: dict[str, object] = {
        "slug": f"own-{evidence}-{pattern}",
        "evidence": evidence,
        "pattern": pattern,
        "declared": frozenset(),
        "provider": provider,
        "ignore_host": provider is None,
        "category": "",
        "order": 1000,
        "shipped": False,
    }
    return Rule(**(fields | changed))  # type: ignore[arg-type] # the fields of a rule, by name


def shipped_rules() -> list[Rule]:
    return [
        rule(
            row["evidence"],
            row["pattern"],
            row.get("provider"),
            slug=row["slug"],
            declared=frozenset(row.get("declared", [])),
            ignore_host=row.get("ignore_host", False),
            category=row.get("category", ""),
            order=row.get("order", 1000),
            shipped=True,
        )
        for row in shipped.rows("rules.json")
    ]


def with_own(*rules: Rule) -> RuleSet:
    """The shipped rules, and an operator's own."""
    providers = shipped.rows("providers.json")
    names = {name: one["slug"] for one in providers for name in (one["slug"], one["name"], *one["aliases"])}
    gateways = [one["slug"] for one in providers if one.get("is_gateway")]
    return RuleSet([*shipped_rules(), *rules], names, gateways)


@cache
def as_shipped() -> RuleSet:
    return with_own()


def detect(declared: str, model: str = "", endpoint: str = "", served_by: str = "") -> Detection:
    return as_shipped().detect(Call(declared, model, endpoint, served_by))


def provider(declared: str, model: str = "", endpoint: str = "", served_by: str = "") -> str:
    return detect(declared, model, endpoint, served_by).actual_provider
