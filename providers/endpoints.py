"""Parses the endpoint of a call, a URL or a path, and tells private hosts from public ones. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

NO_HOST = "?"  # for an authority that is not a valid host, such as `exa mple`: it belongs to no provider
_SCHEME = re.compile(r"(?:https?|wss?|grpcs?):/{0,2}|[a-z][a-z0-9+.-]*://|//(?=[^/]*\.)", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:([a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?|\[([0-9a-f:.]+)[^\]]*\])(?::[0-9]{0,5})?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]+")  # http://134744072/ is an address to browsers; here it is not
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


class Endpoint(NamedTuple):
    """A parsed endpoint. `host` is empty for a relative one; `path` is in lower case and starts with a slash."""

    host: str
    path: str


def parse_endpoint(endpoint: str) -> Endpoint:
    """Parses an endpoint (URL or path), ignoring query and fragment. Never raises."""
    text = endpoint.partition("?")[0].partition("#")[0].strip()
    scheme = _SCHEME.match(text)
    if scheme:
        authority, _, path = text[scheme.end() :].partition("/")
        return Endpoint(_parse_host(authority) or NO_HOST, "/" + path.lower())
    authority, slash, path = text.partition("/")
    host = _parse_host(authority) if "." in authority or ":" in authority else ""
    if host and _is_bare_host(host, followed=bool(slash) or ":" in authority):
        return Endpoint(host, "/" + path.lower())
    return Endpoint("", "/" + text.lower().lstrip("/"))


def _parse_host(authority: str) -> str:
    if not authority.isascii() or "\\" in authority:  # clients disagree on the host here
        return ""
    match = _AUTHORITY.fullmatch(authority.rpartition("@")[2].lower())
    return (match[1] or match[2]) if match else ""


def _is_bare_host(host: str, *, followed: bool) -> bool:
    """Tells whether text without a scheme is a host: `api.openai.com/v1` is, `chat.completions` and `v1.0/chat` are not."""
    top = host.rpartition(".")[2]
    if top in _TOP_LEVELS or _parse_ip(host):
        return True
    return len(top) == 2 and top.isalpha() and (followed or host.count(".") > 1)


def _parse_ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def is_private(host: str) -> bool:
    """Tells whether it is a private address, or a single-label name that only a private network resolves."""
    address = _parse_ip(host) if host[-1].isdigit() or ":" in host else None
    if address is None:
        return "." not in host and host != NO_HOST and not _NUMBER.fullmatch(host)
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in _PRIVATE)
