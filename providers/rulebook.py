"""The rules in force: read from the tables, held in memory by version, asked by the write path for every event."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from providers.detection import Call, Detection, Rule, RuleSet
from providers.models import DetectionRule, Provider
from providers.versioned_cache import VersionedCache

MEMO = 65_536  # answers kept per book; models and endpoints are the caller's text, so this must have an end


@dataclass(frozen=True, eq=False)
class RuleBook:
    """All rules as they stood at one version; `labels` are the names that pages show, by slug."""

    version: int
    rules: RuleSet
    labels: Mapping[str, str]
    detect: Callable[[Call], Detection] = field(init=False, repr=False, compare=False)  # memoised

    def __post_init__(self) -> None:
        object.__setattr__(self, "detect", lru_cache(maxsize=MEMO)(self.rules.detect))

    def label(self, slug: str) -> str:
        """The shown name; a provider that nobody has reviewed yet is shown by its slug."""
        return self.labels.get(slug, slug)


def _loaded(version: int) -> RuleBook:
    providers = list(Provider.objects.all())
    names = {name: one.slug for one in providers for name in (*one.aliases, one.name)}
    names |= {one.slug: one.slug for one in providers}  # a slug is nobody else's alias
    rules = RuleSet(_rules(), names, [one.slug for one in providers if one.is_gateway])
    return RuleBook(version, rules, {one.slug: one.name for one in providers})


def _rules() -> Iterator[Rule]:
    for row in DetectionRule.objects.filter(active=True).select_related("provider"):
        yield as_rule(row)


def as_rule(row: DetectionRule) -> Rule:
    return Rule(
        slug=row.slug,
        evidence=row.evidence,
        pattern=row.pattern,
        declared=frozenset(row.declared),
        provider=row.provider.slug if row.provider else None,
        ignore_host=row.ignore_host,
        category=row.category,
        order=row.order,
        shipped=row.shipped,
    )


_editions = VersionedCache("rules", _loaded)
current, read_version, changed = _editions.current, _editions.read_version, _editions.changed
