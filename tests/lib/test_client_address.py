"""Which client address is trusted, and how it is normalized."""

from typing import Any

import pytest
from django.test import RequestFactory
from pytest_django import Settings

from lib import client_address


def resolve(peer: str, forwarded: str | None = None) -> str | None:
    extra: dict[str, Any] = {"REMOTE_ADDR": peer}
    if forwarded is not None:
        extra["HTTP_X_FORWARDED_FOR"] = forwarded
    return client_address.from_request(RequestFactory().get("/", **extra))


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", None),
        ("unix:", None),
        ("not an address", None),
    ],
)
def test_the_address_of_the_peer_is_normalized(settings: Settings, peer: str, expected: str | None) -> None:
    settings.TRUSTED_PROXIES = []
    assert resolve(peer) == expected


def test_without_a_configured_proxy_the_header_is_ignored(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = []
    assert resolve("10.0.0.1", "198.51.100.9") == "10.0.0.1"


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.5", "198.51.100.9", "203.0.113.5"),  # not one of our proxies
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "198.51.100.9", "198.51.100.9"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.9", "198.51.100.9"),  # the client wrote 1.1.1.1
        ("10.0.0.1", "1.1.1.1, 198.51.100.9, 10.0.0.7", "198.51.100.9"),
        ("10.0.0.1", "1.1.1.1,198.51.100.9,2001:db8::7", "198.51.100.9"),
        ("10.0.0.1", "10.0.0.9, 10.0.0.7", "10.0.0.9"),  # every hop is our proxy: the farthest counts
        ("10.0.0.1", "198.51.100.9:55012", "198.51.100.9"),
        ("10.0.0.1", "[2001:db9::1]:443", "2001:db9::1"),
        ("10.0.0.1", "198.51.100.9, unknown", None),  # our proxy did not know the client
        ("10.0.0.1", "198.51.100.9, ", None),
        ("::ffff:10.0.0.1", "198.51.100.9", "198.51.100.9"),
        ("192.0.2.77", "198.51.100.9", "198.51.100.9"),  # a proxy listed as a single address
        ("", "198.51.100.9", None),
    ],
)
def test_behind_trusted_proxies_the_client_is_the_rightmost_untrusted_hop(
    settings: Settings, peer: str, forwarded: str | None, expected: str | None
) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.77"]
    assert resolve(peer, forwarded) == expected


def test_the_credentials_that_axes_passes_are_ignored(settings: Settings) -> None:
    request = RequestFactory().post("/", REMOTE_ADDR="192.0.2.1")
    assert client_address.from_request(request, {"username": "ann"}) == "192.0.2.1"


def test_a_proxy_that_is_neither_address_nor_network_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'proxy\.internal' does not appear to be an IPv4 or IPv6 network"):
        client_address.parse_networks(["10.0.0.0/8", "proxy.internal"])
