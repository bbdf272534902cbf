"""FROZEN COPY of providers/detection.py as of migration 0003, which is its only caller. Never edited: migrations stay.

Who really served a call: one provider for what is known of it, with the rule, the evidence and how sure that is.

Pure, and without imports of ours: rulebook.py brings the rules, and a frozen copy stands beside billing's backfill.
Evidence, strongest first: the caller's own statement, endpoint host, path of a relative endpoint, model namespace,
model family, declared label. Patterns match whole labels, tokens and segments or are globs, and never substrings.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

EVIDENCE = HOST, PATH, NAMESPACE, FAMILY, DECLARED = "host", "path", "namespace", "family", "declared"
UNKNOWN, LOCAL = "unknown", "local"
CONFIDENCE = {HOST: "exact", PATH: "strong", NAMESPACE: "strong", FAMILY: "weak", DECLARED: "fallback"}
CATEGORIES = ("text", "embedding", "image", "image_edit", "video", "audio", "search", "crawl", "other")
LONGEST_EVIDENCE = 200

_NO_HOST = "?"  # an authority that names no host, such as `exa mple`: an address all the same, and nobody's
_SCHEME = re.compile(r"(?:https?|wss?|grpcs?):/{0,2}|[a-z][a-z0-9+.-]*://|//(?=[^/]*\.)", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:([a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?|\[([0-9a-f:.]+)[^\]]*\])(?::[0-9]{0,5})?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]+")  # browsers take http://134744072/ for an address, and we take it for none
_TOP_LEVELS = frozenset(
    {"com", "net", "org", "dev", "app", "cloud", "xyz", "example", "internal", "local", "localhost"}
)
_PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10"),
        *("0.0.0.0/32", "::1/128", "::/128", "fc00::/7", "fe80::/10"),
    )
)


class Call(NamedTuple):
    """What is known of a call; the key of every memo, so that it holds text only."""

    declared: str
    model: str
    endpoint: str
    served_by: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of evidence. Without a provider it only tells a category, or takes a host or path out of the evidence."""

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


class Place(NamedTuple):
    """Where an endpoint points: `host` is empty for a relative one; `path` starts with a slash, in lower case."""

    host: str
    path: str


class _Found(NamedTuple):
    provider: str
    confidence: str
    rule: str
    evidence: str
    category: str = ""


class _Label(NamedTuple):
    """What a declared label stands for, and the rules that are for it."""

    matchers: _Matchers
    rule: Rule | None
    provider: str
    category: str
    is_modality: bool
    is_gateway: bool


@lru_cache(maxsize=4096)
def label_key(text: str) -> str:
    """The label without case, blanks and punctuation: `Hugging Face` and `hugging_face` are one."""
    return re.sub(r"[\W_]+", "", text.lower())


def slugify(text: str) -> str:
    """A provider slug for a name that nobody knows yet; empty when no letter or digit of ASCII is in it."""
    return re.sub(r"[^a-z0-9_]+", "-", text.lower())[:50].strip("-_")


def place(endpoint: str) -> Place:
    """Split an endpoint, whole URL or path, without query and fragment. Never raises."""
    text = endpoint.partition("?")[0].partition("#")[0].strip()
    scheme = _SCHEME.match(text)
    if scheme:
        authority, _, path = text[scheme.end() :].partition("/")
        return Place(_host(authority) or _NO_HOST, "/" + path.lower())
    authority, slash, path = text.partition("/")
    host = _host(authority) if "." in authority or ":" in authority else ""
    if host and _is_bare_host(host, followed=bool(slash) or ":" in authority):
        return Place(host, "/" + path.lower())
    return Place("", "/" + text.lower().lstrip("/"))


def _host(authority: str) -> str:
    if not authority.isascii() or "\\" in authority:  # clients disagree on what such a host is
        return ""
    found = _AUTHORITY.fullmatch(authority.rpartition("@")[2].lower())
    return (found[1] or found[2]) if found else ""


def _is_bare_host(host: str, *, followed: bool) -> bool:
    """Whether text without a scheme is a host: `api.openai.com/v1`, and neither `chat.completions` nor `v1.0/chat`."""
    top = host.rpartition(".")[2]
    if top in _TOP_LEVELS or _address(host):
        return True
    return len(top) == 2 and top.isalpha() and (followed or host.count(".") > 1)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_private(host: str) -> bool:
    """A private address, or a name of one label, which only a private network resolves."""
    address = _address(host) if host[-1].isdigit() or ":" in host else None
    if address is None:
        return "." not in host and host != _NO_HOST and not _NUMBER.fullmatch(host)
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in _PRIVATE)


def _glob(pattern: str, any_text: str) -> str:
    """A glob as a regular expression that matches in linear time: each middle part is taken where it first stands."""
    first, *rest = (re.escape(part) for part in pattern.split("*"))
    if not rest:
        return first
    middle = "".join(f"(?>{any_text}*?{part})" for part in rest[:-1] if part)
    return f"{first}{middle}{any_text}*{rest[-1]}"


class _Hit(NamedTuple):
    rank: tuple[bool, int, int]
    rule: Rule
    end: int


class _Search:
    """Rules as few regular expressions: the rule with the best rank wins, then the leftmost match.

    `frame` begins with the character that stands before a match, so that a search skips all else at the speed of C.
    """

    def __init__(self, rules: Iterable[Rule], form: Callable[[str], str], frame: str) -> None:
        ranks: dict[tuple[bool, int], list[tuple[str, Rule]]] = {}
        for rule in rules:
            if expression := form(rule.pattern):  # one without letter or digit would fit everything
                ranks.setdefault((rule.shipped, rule.order), []).append((expression, rule))
        # The empty group behind each alternative tells which one matched; in front it would cost ten times as much.
        self._ranks = [
            (
                rank,
                re.compile(frame % "|".join(f"{form}()" for form, _ in pairs), re.DOTALL),
                [rule for _, rule in pairs],
            )
            for rank, pairs in sorted(ranks.items(), key=lambda item: item[0])
        ]

    def find(self, text: str, start: int = 0) -> _Hit | None:
        for rank, expression, rules in self._ranks:
            found = expression.search(text, start)
            if found and found.lastindex:
                return _Hit((*rank, found.start()), rules[found.lastindex - 1], found.end())
        return None


def _tokens(pattern: str) -> str:
    return r"(?:[^\w/]|_)".join(_glob(token, r"[^\W_]") for token in re.findall(r"(?:[^\W_]|\*)+", pattern))


class _Paths:
    """Path rules: tokens inside one segment, or, with a slash in the pattern, whole segments."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        rules = list(rules)
        whole = [rule for rule in rules if "/" in rule.pattern]
        single = [rule for rule in rules if "/" not in rule.pattern]
        self._segments = _Search(whole, lambda pattern: _glob(pattern.strip("/"), "[^/]"), r"/(?:%s)(?![^/])")
        self._tokens = _Search(single, _tokens, r"[\W_](?:%s)(?![^\W_])")

    def hit(self, path: str, start: int = 0) -> _Hit | None:
        segment, token = self._segments.find(path, start), self._tokens.find(path, start)
        return min(segment, token, key=lambda hit: hit.rank) if segment and token else segment or token

    def first(self, path: str) -> Rule | None:
        """The best rule that isn't there to be ignored: `/openai/v1` is a dialect that many speak, and names nobody."""
        hit = self.hit(path)
        while hit and not (hit.rule.provider or hit.rule.category):
            hit = self.hit(path, hit.end)
        return hit.rule if hit else None


class _Models:
    """Globs over the whole model. Those that begin with a star are read from the end, where they have a letter."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        rules = list(rules)
        back = [rule for rule in rules if rule.pattern[:1] == "*" and rule.pattern[-1:] != "*"]
        frame = r"\A(?:%s)\Z"
        self._forwards = _Search((rule for rule in rules if rule not in back), lambda text: _glob(text, "."), frame)
        self._backwards = _Search(back, lambda text: _glob(text[::-1], "."), frame)

    def best(self, model: str) -> Rule | None:
        forth, back = self._forwards.find(model), self._backwards.find(model[::-1])
        hit = min(forth, back, key=lambda hit: _rank(hit.rule)) if forth and back else forth or back
        return hit.rule if hit else None


class _Matchers:
    """The rules that are for one label, ready to be asked."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        rules = sorted(rules, key=_rank)
        of = {kind: [rule for rule in rules if rule.evidence == kind] for kind in EVIDENCE}
        self._hosts = _Search(of[HOST], lambda pattern: _glob(pattern.removeprefix("*."), "[^.]"), r"\.(?:%s)\Z")
        self._paths = _Paths(rule for rule in of[PATH] if rule.provider or not rule.category)
        self._namespaces = _Models(rule for rule in of[NAMESPACE] if rule.provider)
        self._families = _Models(rule for rule in of[FAMILY] if rule.provider)
        self._path_kinds = _Paths(rule for rule in of[PATH] if rule.category)
        self._model_kinds = _Models(rule for rule in of[FAMILY] if rule.category)
        # Hosts and models repeat even where whole calls don't, so a new call seldom pays for all of them.
        self.path = self._paths.first
        self.host = lru_cache(maxsize=1024)(self._host)
        self.model = lru_cache(maxsize=4096)(self._model)
        self._kind_of_model = lru_cache(maxsize=4096)(self._model_kind)

    def _host(self, host: str) -> Rule | None:
        hit = self._hosts.find("." + host)
        return hit.rule if hit else None

    def _model(self, model: str) -> Rule | None:
        return self._namespaces.best(model) or self._families.best(model)

    def _model_kind(self, model: str) -> Rule | None:
        name = model.rpartition("/")[2]
        return self._model_kinds.best(model) or self._model_kinds.best(name) or self._path_kinds.first("/" + model)

    def category(self, path: str, model: str) -> str:
        """What path and model say of the kind of call; a chat path says least, as chat models also draw and speak."""
        kind = self._path_kinds.first(path)
        if kind is None or kind.category == "text":
            kind = self._kind_of_model(model) or kind
        return kind.category if kind else ""

    def fits(self, host: str, path: str, model: str) -> bool:
        """Whether any rule fits, also one that is there to be ignored."""
        by_place = (host and self._host(host)) or self._paths.hit(path) or self._path_kinds.hit(path)
        return bool(by_place or self._model(model) or self._model_kind(model))


def _rank(rule: Rule) -> tuple[bool, int, int, str]:
    """An operator's own rules come first, then the lower order, then the longer pattern."""
    return rule.shipped, rule.order, -len(rule.pattern), rule.slug


class RuleSet:
    """All rules and names, ready to answer; built once for a version of the rule book.

    `names` maps every slug, alias and shown name of a provider to its slug. `gateways` are the slugs that serve other
    companies' models: under such a label, a model's name says who made it, and nothing about who served it.
    """

    def __init__(self, rules: Iterable[Rule], names: Mapping[str, str], gateways: Collection[str] = ()) -> None:
        self._rules = sorted(rules, key=_rank)
        self._names = {label_key(name): slug for name, slug in names.items()}
        self._gateways = frozenset(gateways)
        self._declared = [rule for rule in self._rules if rule.evidence == DECLARED]
        self._restricted = {label_key(label) for rule in self._rules for label in rule.declared}
        self._matchers = lru_cache(maxsize=len(self._restricted) + 1)(self._build)
        self._label = lru_cache(maxsize=1024)(self._read_label)

    def detect(self, call: Call) -> Detection:
        label, (host, path) = self._label(call.declared), place(call.endpoint)
        model = call.model.strip().lower()
        found = (
            self._by_statement(call.served_by)
            or self._by_endpoint(label, host, path)
            or self._by_model(label, model)
            or self._by_label(label, call.declared)
        )
        confidence = "fallback" if found.provider == UNKNOWN else found.confidence
        category = label.category if label.is_modality else label.matchers.category(path, model)
        category = category or found.category or label.category or "other"
        return Detection(found.provider, confidence, category, found.rule, found.evidence[:LONGEST_EVIDENCE])

    def considered(self, call: Call) -> list[tuple[Rule, bool]]:
        """Every rule that is for this label, in the order in which they are asked, and whether it fits the call."""
        label, (host, path) = self._label(call.declared), place(call.endpoint)
        model = call.model.strip().lower()
        rules = [rule for rule in self._rules if _is_for(rule, label_key(call.declared))]
        rules.sort(key=lambda rule: (EVIDENCE.index(rule.evidence), _rank(rule)))
        return [(rule, rule is label.rule or _Matchers([rule]).fits(host, path, model)) for rule in rules]

    def _build(self, key: str) -> _Matchers:
        return _Matchers(rule for rule in self._rules if _is_for(rule, key))

    def _read_label(self, declared: str) -> _Label:
        key = label_key(declared)
        slug = self._names.get(key, "")
        rule = self._declared_rule(key) or (self._declared_rule(label_key(slug)) if slug else None)
        provider = (rule.provider or "") if rule else slug
        return _Label(
            matchers=self._matchers(key if key in self._restricted else ""),
            rule=rule,
            provider=provider,
            category=rule.category if rule else "",
            is_modality=rule is not None and rule.provider is None and bool(rule.category),
            is_gateway=provider in self._gateways,
        )

    def _declared_rule(self, key: str) -> Rule | None:
        return next((rule for rule in self._declared if label_key(rule.pattern) == key), None)

    def _by_statement(self, served_by: str) -> _Found | None:
        key = label_key(served_by)
        if not key or key == UNKNOWN:
            return None
        known = self._names.get(key)
        slug = known or slugify(served_by)
        rule = "served_by" if known else "served_by-unreviewed"
        category = next((r.category for r in self._declared if r.pattern == slug), "")
        return _Found(slug, "exact", rule, f"caller's statement {served_by.strip()}", category) if slug else None

    def _by_endpoint(self, label: _Label, host: str, path: str) -> _Found | None:
        if host:
            rule = label.matchers.host(host)
            if rule is None and _is_private(host):
                return _Found(LOCAL, "exact", "private-host", f"host {host}")
            if rule is None:
                return _Found(UNKNOWN, "fallback", "unknown-host", f"host {host}")
            if rule.provider and not rule.ignore_host:
                return _Found(rule.provider, "exact", rule.slug, f"host {host}", rule.category)
        rule = label.matchers.path(path)
        if rule is None or rule.provider is None:
            return None
        return _Found(rule.provider, "strong", rule.slug, f"path {rule.pattern}", rule.category)

    def _by_model(self, label: _Label, model: str) -> _Found | None:
        if not model or label.is_gateway:
            return None
        rule = label.matchers.model(model)
        if rule is None or rule.provider is None:
            return None
        return _Found(rule.provider, CONFIDENCE[rule.evidence], rule.slug, f"model {model}", rule.category)

    def _by_label(self, label: _Label, declared: str) -> _Found:
        if not label.provider:
            return _Found(UNKNOWN, "fallback", "no-evidence", f"label {declared.strip()} alone")
        slug = label.rule.slug if label.rule else "declared-label"
        return _Found(label.provider, "fallback", slug, f"label {declared.strip()}")


def _is_for(rule: Rule, key: str) -> bool:
    return not rule.declared or any(label_key(label) == key for label in rule.declared)
