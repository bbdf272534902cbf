"""The detection rules and providers in force, loaded from the tables and cached by version."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from providers.detection import Call, Detection, Rule, RuleSet
from providers.models import DetectionRule, Provider
from providers.versioned_cache import VersionedCache

DETECTION_CACHE_SIZE = 65_536  # bounded, because models and endpoints are free text from callers


@dataclass(frozen=True, eq=False)
class RuleBook:
    """All rules at one version; `labels` maps a provider's slug to its display name."""

    version: int
    rules: RuleSet
    labels: Mapping[str, str]
    detect: Callable[[Call], Detection] = field(init=False, repr=False, compare=False)  # memoised

    def __post_init__(self) -> None:
        object.__setattr__(self, "detect", lru_cache(maxsize=DETECTION_CACHE_SIZE)(self.rules.detect))


def provider_label(slug: str, labels: Mapping[str, str]) -> str:
    """Returns a provider's display name; the slug for a provider without a row (not reviewed yet)."""
    return labels.get(slug, slug)


def _load(version: int) -> RuleBook:
    providers = list(Provider.objects.all())
    names = {name: provider.slug for provider in providers for name in (*provider.aliases, provider.name)}
    names |= {provider.slug: provider.slug for provider in providers}  # a slug wins over another provider's alias
    rules = RuleSet(_load_rules(), names, [provider.slug for provider in providers if provider.is_gateway])
    return RuleBook(version, rules, {provider.slug: provider.name for provider in providers})


def _load_rules() -> Iterator[Rule]:
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


_cache = VersionedCache("rules", _load)
current, read_version, invalidate = _cache.current, _cache.read_version, _cache.invalidate
