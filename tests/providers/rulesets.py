"""Rule sets for detection tests: the shipped rules, read from their files, and rules made by hand."""

from __future__ import annotations

from functools import cache

from providers import shipped
from providers.detection import Call, Detection, Rule, RuleSet


def rule(evidence: str, pattern: str, provider: str | None = None, **changed: object) -> Rule:
    """A rule of an operator, unless `shipped` is passed."""
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
        for row in shipped.read_rows("rules.json")
    ]


def with_own_rules(*rules: Rule) -> RuleSet:
    """The shipped rules plus rules of an operator."""
    providers = shipped.read_rows("providers.json")
    names = {name: row["slug"] for row in providers for name in (row["slug"], row["name"], *row["aliases"])}
    gateways = [row["slug"] for row in providers if row.get("is_gateway")]
    return RuleSet([*shipped_rules(), *rules], names, gateways)


@cache
def shipped_rule_set() -> RuleSet:
    return with_own_rules()


def detect(declared: str, model: str = "", endpoint: str = "", served_by: str = "") -> Detection:
    return shipped_rule_set().detect(Call(declared, model, endpoint, served_by))


def detected_provider(declared: str, model: str = "", endpoint: str = "", served_by: str = "") -> str:
    return detect(declared, model, endpoint, served_by).actual_provider
