"""The hosts that a regular expression for a provider's URLs names, as patterns of detection rules. Pure."""

from __future__ import annotations

import re

MAX_HOSTS = 20
MAX_LENGTH = 80  # a rule is named after its host, in at most 100 characters
_SCHEME = re.compile(r"\^?(?:\(\?:|\()?https\??:\\?/\\?/\)?\??|\^?\(https\?://\)\?")
_ANY = re.compile(r"(?:\[[^\]]*\]|(?<!\\)\.)[*+]\??")
_GROUP = re.compile(r"\((?:\?:)?([^()]*)\)(\?)?")
_HOST = re.compile(r"[a-z0-9*-]+(?:\.[a-z0-9*-]+)+")


def hosts_of(expression: str) -> tuple[str, ...]:
    r"""Returns the hosts that `https://api\.(?:eu\.)?acme\.(?:ai|com)(?:/|$)` can match, sorted; * is any text.

    Leading wildcards are left out, because the pattern of a rule also matches every subdomain. Returns nothing for an
    expression that is not made of texts, alternatives and wildcards, or without a whole domain (`api\.acme\.`), which
    anybody could complete.
    """
    text = _ANY.sub("*", _SCHEME.sub("", expression.lower(), count=1))
    hosts = {host for option in _expand(text) if (host := _host(option))}
    return tuple(sorted(hosts)) if len(hosts) <= MAX_HOSTS else ()


def _expand(text: str) -> list[str]:
    """Returns the texts of every combination of alternatives; none if there are too many."""
    texts = [text]
    while any(_GROUP.search(option) for option in texts):
        if len(texts) > MAX_HOSTS:
            return []
        texts = [expanded for option in texts for expanded in _expand_first_group(option)]
    return texts


def _expand_first_group(text: str) -> list[str]:
    match = _GROUP.search(text)
    if match is None:
        return [text]
    alternatives = [*match[1].split("|"), *([""] if match[2] else [])]
    return [text[: match.start()] + alternative + text[match.end() :] for alternative in alternatives]


def _host(option: str) -> str:
    """Returns the pattern of a rule for one alternative, "" if it is not a host."""
    host = re.split(r"[/$:]", option.replace("\\", ""), maxsplit=1)[0]
    while host.startswith("*"):
        host = host[1:].lstrip(".")
    is_domain = _HOST.fullmatch(host) and not any("*" in label for label in host.split(".")[-2:])
    return host if is_domain and len(host) <= MAX_LENGTH else ""
