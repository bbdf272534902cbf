"""Whose address a request came from; X-Forwarded-For counts from configured proxies only. Asked by the log and axes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def of_request(request: HttpRequest, *_ignored: object) -> str | None:
    """The client's address in its plain form, or None where nobody trustworthy tells one.

    That is REMOTE_ADDR, or, when that is in TRUSTED_PROXIES, the right-most hop of X-Forwarded-For that is not: what
    stands left of it was written by the client. (axes hands over more arguments than the request.)
    """
    peer = request.META.get("REMOTE_ADDR", "")
    trusted = settings.TRUSTED_PROXIES
    forwarded = request.headers.get("x-forwarded-for") if trusted else None
    return _client(peer, forwarded, tuple(trusted)) if forwarded else _plain(peer)


def networks(words: Iterable[str]) -> tuple[Network, ...]:
    """TRUSTED_PROXIES as networks; an address is a network of one. Raises ValueError for what is neither."""
    return tuple(ip_network(word, strict=False) for word in words)


@lru_cache(maxsize=1024)
def _client(peer: str, forwarded: str, trusted: tuple[str, ...]) -> str | None:
    proxies = networks(trusted)
    nearest = _address(peer)
    for hop in reversed(forwarded.split(",")):
        if nearest is None or not any(nearest in network for network in proxies):
            break
        nearest = _address(hop.strip())
    return str(nearest) if nearest else None


@lru_cache(maxsize=1024)
def _plain(peer: str) -> str | None:
    address = _address(peer)
    return str(address) if address else None


def _address(text: str) -> Address | None:
    """An address without zone or port: databases take no zone, and some proxies add the client's port."""
    host = text[1:].partition("]")[0] if text.startswith("[") else text
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
