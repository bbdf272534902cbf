"""Detects the provider that really served a call, with the rule, the evidence and the confidence. Pure.

Evidence, strongest first: `served_by` as stated by the caller, endpoint host, path of a relative endpoint, model
namespace, model family, declared label. Patterns are globs or match whole labels, tokens and segments, never substrings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from providers.endpoints import NO_HOST, is_private, parse_endpoint

EVIDENCE = HOST, PATH, NAMESPACE, FAMILY, DECLARED = "host", "path", "namespace", "family", "declared"
UNKNOWN, LOCAL = "unknown", "local"
CONFIDENCE = {HOST: "exact", PATH: "strong", NAMESPACE: "strong", FAMILY: "weak", DECLARED: "fallback"}
CATEGORIES = ("text", "embedding", "image", "image_edit", "video", "audio", "search", "crawl", "other")
MAX_EVIDENCE_LENGTH = 200

_NEUTRAL_LABEL = "text"  # says nothing of a vendor, so that a model's name is read as it stands


class Call(NamedTuple):
    """What a caller reports about a call. Text only, because it is the key of the caches."""

    declared: str
    model: str
    endpoint: str
    served_by: str = ""
    default_category: str = "other"  # if nothing else says one


@dataclass(frozen=True, slots=True)
class Rule:
    """Maps evidence to a provider. Without a provider it only sets a category, or excludes a host or path."""

    slug: str
    evidence: str
    pattern: str
    declared: frozenset[str]
    provider: str | None
    ignore_host: bool
    category: str
    order: int
    shipped: bool


@dataclass(frozen=True, slots=True)
class Detection:
    actual_provider: str
    confidence: str
    category: str
    rule: str
    evidence: str


class NamedVendors(NamedTuple):
    """Whom a call to a private host names: the label's vendor ("" if none), and the rules that the model id matches.

    For `azure/gpt-4o`, `by_model` is the rule for Azure, and `by_name` that for the maker of `gpt-4o`.
    """

    declared: str
    is_gateway: bool
    by_model: Rule | None
    by_name: Rule | None


class _Attribution(NamedTuple):
    provider: str
    confidence: str
    rule: str
    evidence: str
    category: str = ""


class _LabelInfo(NamedTuple):
    """What a declared label means, and the rules that apply to it."""

    matchers: _Matchers
    rule: Rule | None
    provider: str
    category: str
    is_modality: bool
    is_gateway: bool


@lru_cache(maxsize=4096)
def label_key(text: str) -> str:
    """Returns the label without case, spaces and punctuation: `Hugging Face` and `hugging_face` are equal."""
    return re.sub(r"[\W_]+", "", text.lower())


def slugify(text: str) -> str:
    """Makes a provider slug from an unknown name; empty if the name has no ASCII letter or digit."""
    return re.sub(r"[^a-z0-9_]+", "-", text.lower())[:50].strip("-_")


def _glob_pattern(pattern: str, any_text: str) -> str:
    """Converts a glob to a regular expression that runs in linear time: each middle part takes its first match."""
    first, *rest = (re.escape(part) for part in pattern.split("*"))
    if not rest:
        return first
    middle = "".join(f"(?>{any_text}*?{part})" for part in rest[:-1] if part)
    return f"{first}{middle}{any_text}*{rest[-1]}"


class _RuleMatch(NamedTuple):
    rank: tuple[bool, int, int]
    rule: Rule
    end: int


class _RuleSearch:
    """Rules compiled into a few regular expressions: the rule with the best rank wins, then the leftmost match.

    `frame` begins with the character before a match, so that the regex engine skips everything else fast.
    """

    def __init__(self, rules: Iterable[Rule], to_regex: Callable[[str], str], frame: str) -> None:
        ranks: dict[tuple[bool, int], list[tuple[str, Rule]]] = {}
        for rule in rules:
            if expression := to_regex(rule.pattern):  # a pattern without letter or digit would match everything
                ranks.setdefault((rule.shipped, rule.order), []).append((expression, rule))
        # The empty group after each alternative identifies the match; before it, it would cost ten times as much.
        self._ranks = [
            (
                rank,
                re.compile(frame % "|".join(f"{expression}()" for expression, _ in pairs), re.DOTALL),
                [rule for _, rule in pairs],
            )
            for rank, pairs in sorted(ranks.items(), key=lambda item: item[0])
        ]

    def find(self, text: str, start: int = 0) -> _RuleMatch | None:
        for rank, expression, rules in self._ranks:
            match = expression.search(text, start)
            if match and match.lastindex:
                return _RuleMatch((*rank, match.start()), rules[match.lastindex - 1], match.end())
        return None


def _token_pattern(pattern: str) -> str:
    return r"(?:[^\w/]|_)".join(_glob_pattern(token, r"[^\W_]") for token in re.findall(r"(?:[^\W_]|\*)+", pattern))


class _PathRules:
    """Path rules. They match tokens inside a segment, or whole segments if the pattern has a slash."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        rules = list(rules)
        segment_rules = [rule for rule in rules if "/" in rule.pattern]
        token_rules = [rule for rule in rules if "/" not in rule.pattern]
        self._segments = _RuleSearch(
            segment_rules, lambda pattern: _glob_pattern(pattern.strip("/"), "[^/]"), r"/(?:%s)(?![^/])"
        )
        self._tokens = _RuleSearch(token_rules, _token_pattern, r"[\W_](?:%s)(?![^\W_])")

    def match(self, path: str, start: int = 0) -> _RuleMatch | None:
        segment, token = self._segments.find(path, start), self._tokens.find(path, start)
        return min(segment, token, key=lambda match: match.rank) if segment and token else segment or token

    def first(self, path: str) -> Rule | None:
        """Returns the best rule, skipping exclusions: `/openai/v1` is a protocol of many servers, not a provider."""
        match = self.match(path)
        while match and not (match.rule.provider or match.rule.category):
            match = self.match(path, match.end)
        return match.rule if match else None


class _ModelRules:
    """Globs on the whole model id. Globs that begin with a star are matched from the end, where they have text."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        rules = list(rules)
        suffix_rules = [rule for rule in rules if rule.pattern[:1] == "*" and rule.pattern[-1:] != "*"]
        frame = r"\A(?:%s)\Z"
        other_rules = (rule for rule in rules if rule not in suffix_rules)
        self._forwards = _RuleSearch(other_rules, lambda text: _glob_pattern(text, "."), frame)
        self._backwards = _RuleSearch(suffix_rules, lambda text: _glob_pattern(text[::-1], "."), frame)

    def best(self, model: str) -> Rule | None:
        forward, backward = self._forwards.find(model), self._backwards.find(model[::-1])
        matches = [match for match in (forward, backward) if match]
        return min((match.rule for match in matches), key=_rank, default=None)


class _Matchers:
    """The rules that apply to one label, compiled."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        rules = sorted(rules, key=_rank)
        by_evidence = {name: [rule for rule in rules if rule.evidence == name] for name in EVIDENCE}
        self._hosts = _RuleSearch(
            by_evidence[HOST], lambda pattern: _glob_pattern(pattern.removeprefix("*."), "[^.]"), r"\.(?:%s)\Z"
        )
        self._paths = _PathRules(rule for rule in by_evidence[PATH] if rule.provider or not rule.category)
        self._namespaces = _ModelRules(rule for rule in by_evidence[NAMESPACE] if rule.provider)
        self._families = _ModelRules(rule for rule in by_evidence[FAMILY] if rule.provider)
        self._path_categories = _PathRules(rule for rule in by_evidence[PATH] if rule.category)
        self._model_categories = _ModelRules(rule for rule in by_evidence[FAMILY] if rule.category)
        # Hosts and models repeat even if whole calls do not, so a new call seldom runs all searches.
        self.path = self._paths.first
        self.host = lru_cache(maxsize=1024)(self._host)
        self.model = lru_cache(maxsize=4096)(self._model)
        self._category_of_model = lru_cache(maxsize=4096)(self._model_category)

    def _host(self, host: str) -> Rule | None:
        match = self._hosts.find("." + host)
        return match.rule if match else None

    def _model(self, model: str) -> Rule | None:
        return self._namespaces.best(model) or self._families.best(model)

    def _model_category(self, model: str) -> Rule | None:
        name = model.rpartition("/")[2]
        by_model = self._model_categories.best(model) or self._model_categories.best(name)
        return by_model or self._path_categories.first("/" + model)

    def category(self, path: str, model: str) -> str:
        """Returns the category from path and model. A chat path is weak evidence: chat models also draw and speak."""
        rule = self._path_categories.first(path)
        if rule is None or rule.category == "text":
            rule = self._category_of_model(model) or rule
        return rule.category if rule else ""

    def fits(self, host: str, path: str, model: str) -> bool:
        """Tells whether any rule matches, including exclusions."""
        by_endpoint = (host and self._host(host)) or self._paths.match(path) or self._path_categories.match(path)
        return bool(by_endpoint or self._model(model) or self._model_category(model))


def _rank(rule: Rule) -> tuple[bool, int, int, str]:
    """Sorts an operator's own rules first, then by order, then longer patterns first."""
    return rule.shipped, rule.order, -len(rule.pattern), rule.slug


class RuleSet:
    """All rules and provider names, compiled once per version of the rule book.

    `names` maps every slug, alias and display name of a provider to its slug. `gateways` are the slugs of providers that
    serve other companies' models: under such a label, a model's name says who made it, not who served it.
    """

    def __init__(self, rules: Iterable[Rule], names: Mapping[str, str], gateways: Collection[str] = ()) -> None:
        self._rules = sorted(rules, key=_rank)
        self._names = {label_key(name): slug for name, slug in names.items()}
        self._gateways = frozenset(gateways)
        self._with_hosts = {UNKNOWN, *(rule.provider for rule in self._rules if rule.evidence == HOST)}
        self._declared = [rule for rule in self._rules if rule.evidence == DECLARED]
        self._restricted = {label_key(label) for rule in self._rules for label in rule.declared}
        self._matchers = lru_cache(maxsize=len(self._restricted) + 1)(self._build)
        self._label = lru_cache(maxsize=1024)(self._resolve_label)

    def detect(self, call: Call) -> Detection:
        label, (host, path) = self._label(call.declared), parse_endpoint(call.endpoint)
        model = call.model.strip().lower()
        attribution = (
            self._by_served_by(call.served_by)
            or self._by_endpoint(label, call.declared, host, path)
            or self._by_model(label, model)
            or self._by_label(label, call.declared)
        )
        provider, rule, evidence = attribution.provider, attribution.rule, attribution.evidence
        confidence = "fallback" if provider == UNKNOWN else attribution.confidence
        category = label.category if label.is_modality else label.matchers.category(path, model)
        category = category or attribution.category or label.category or call.default_category
        return Detection(provider, confidence, category, rule, evidence[:MAX_EVIDENCE_LENGTH])

    def behind_private_host(self, call: Call) -> NamedVendors | None:
        """Returns whom a call to a private host names, or None if something else decides: a rule, or the caller."""
        label, host = self._label(call.declared), parse_endpoint(call.endpoint).host
        rule = label.matchers.host(host) if host else None
        private = (rule.shipped and rule.provider == LOCAL) if rule else (host != "" and is_private(host))
        if not private or self._by_served_by(call.served_by):
            return None
        model, matchers = call.model.strip().lower(), self._label(_NEUTRAL_LABEL).matchers
        by_name = matchers.model(model.rpartition("/")[2])
        return NamedVendors(label.provider, label.is_gateway, matchers.model(model), by_name)

    def has_host(self, host: str) -> bool:
        """Tells whether a rule for all labels matches the host, if only to ignore it."""
        return self._label(_NEUTRAL_LABEL).matchers.host(host) is not None

    def considered(self, call: Call) -> list[tuple[Rule, bool]]:
        """Returns every rule that applies to the label, in order of precedence, and whether it matches the call."""
        label, (host, path) = self._label(call.declared), parse_endpoint(call.endpoint)
        model = call.model.strip().lower()
        rules = [rule for rule in self._rules if _applies_to(rule, label_key(call.declared))]
        rules.sort(key=lambda rule: (EVIDENCE.index(rule.evidence), _rank(rule)))
        return [(rule, rule is label.rule or _Matchers([rule]).fits(host, path, model)) for rule in rules]

    def _build(self, key: str) -> _Matchers:
        return _Matchers(rule for rule in self._rules if _applies_to(rule, key))

    def _resolve_label(self, declared: str) -> _LabelInfo:
        key = label_key(declared)
        slug = self._names.get(key, "")
        rule = self._declared_rule(key) or (self._declared_rule(label_key(slug)) if slug else None)
        provider = (rule.provider or "") if rule else slug
        return _LabelInfo(
            matchers=self._matchers(key if key in self._restricted else ""),
            rule=rule,
            provider=provider,
            category=rule.category if rule else "",
            is_modality=rule is not None and rule.provider is None and bool(rule.category),
            is_gateway=provider in self._gateways,
        )

    def _declared_rule(self, key: str) -> Rule | None:
        return next((rule for rule in self._declared if label_key(rule.pattern) == key), None)

    def _by_served_by(self, served_by: str) -> _Attribution | None:
        key = label_key(served_by)
        if not key or key == UNKNOWN:
            return None
        known = self._names.get(key)
        slug = known or slugify(served_by)
        rule = "served_by" if known else "served_by-unreviewed"
        category = next((declared.category for declared in self._declared if declared.pattern == slug), "")
        return _Attribution(slug, "exact", rule, f"caller's statement {served_by.strip()}", category) if slug else None

    def _by_endpoint(self, label: _LabelInfo, declared: str, host: str, path: str) -> _Attribution | None:
        if host:
            rule = label.matchers.host(host)
            if rule is None and is_private(host):
                return _Attribution(LOCAL, "exact", "private-host", f"host {host}")
            if rule is None:
                return self._by_unknown_host(label, declared, host)
            if rule.provider and not rule.ignore_host:
                return _Attribution(rule.provider, "exact", rule.slug, f"host {host}", rule.category)
        rule = label.matchers.path(path)
        if rule is None or rule.provider is None:
            return None
        return _Attribution(rule.provider, "strong", rule.slug, f"path {rule.pattern}", rule.category)

    def _by_unknown_host(self, label: _LabelInfo, declared: str, host: str) -> _Attribution:
        """Takes the label's provider if none of its hosts is known; a provider with known hosts has no other ones."""
        if not label.provider or label.provider in self._with_hosts or host == NO_HOST:
            return _Attribution(UNKNOWN, "fallback", "unknown-host", f"host {host}")
        by_label = self._by_label(label, declared)
        return by_label._replace(evidence=f"{by_label.evidence}; no rule for host {host}")

    def _by_model(self, label: _LabelInfo, model: str) -> _Attribution | None:
        if not model or label.is_gateway:
            return None
        rule = label.matchers.model(model)
        if rule is None or rule.provider is None:
            return None
        return _Attribution(rule.provider, CONFIDENCE[rule.evidence], rule.slug, f"model {model}", rule.category)

    def _by_label(self, label: _LabelInfo, declared: str) -> _Attribution:
        if not label.provider:
            return _Attribution(UNKNOWN, "fallback", "no-evidence", f"label {declared.strip()} alone")
        slug = label.rule.slug if label.rule else "declared-label"
        return _Attribution(label.provider, "fallback", slug, f"label {declared.strip()}")


def _applies_to(rule: Rule, key: str) -> bool:
    return not rule.declared or any(label_key(label) == key for label in rule.declared)
