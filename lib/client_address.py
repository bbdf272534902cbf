"""The client address of a request. X-Forwarded-For counts only when it comes from a configured proxy."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def from_request(request: HttpRequest, *_ignored: object) -> str | None:
    """The client's address in its canonical form, or None where no trusted source gives a valid one.

    That is REMOTE_ADDR, or, when REMOTE_ADDR is in TRUSTED_PROXIES, the right-most hop of X-Forwarded-For that is not:
    the client wrote everything left of it. (django-axes passes more arguments than the request.)
    """
    peer = request.META.get("REMOTE_ADDR", "")
    proxies = settings.TRUSTED_PROXIES
    forwarded = request.headers.get("x-forwarded-for") if proxies else None
    return _client_behind_proxies(peer, forwarded, tuple(proxies)) if forwarded else _normalize(peer)


def network_of(request: HttpRequest) -> str:
    """The client as rate limits count it: its IPv4 address or its IPv6 /64, as one customer of a network has a whole /64.

    "unknown" where no trusted source gives an address.
    """
    address = from_request(request)
    if address is None or ":" not in address:
        return address or "unknown"
    return str(ip_network(f"{address}/64", strict=False))


def parse_networks(addresses: Iterable[str]) -> tuple[Network, ...]:
    """Parse addresses and networks; an address becomes a network of one. Raises ValueError for anything else."""
    return tuple(ip_network(address, strict=False) for address in addresses)


@lru_cache(maxsize=1024)
def _client_behind_proxies(peer: str, forwarded: str, proxies: tuple[str, ...]) -> str | None:
    trusted = parse_networks(proxies)
    address = _parse_address(peer)
    for hop in reversed(forwarded.split(",")):
        if address is None or not any(address in network for network in trusted):
            break
        address = _parse_address(hop.strip())
    return str(address) if address else None


@lru_cache(maxsize=1024)
def _normalize(peer: str) -> str | None:
    address = _parse_address(peer)
    return str(address) if address else None


def _parse_address(text: str) -> Address | None:
    """Parse an address and drop its zone and port: databases reject a zone, and some proxies add the client's port."""
    host = text[1:].partition("]")[0] if text.startswith("[") else text
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
