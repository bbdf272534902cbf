"""Which URLs and addresses may be called; connections go to the very address that was checked."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from typing import Any

import pytest

from lib import outbound
from lib.outbound import AddressNotAllowed, NoResponse, UrlParts

PUBLIC = "93.184.215.14"


def resolver(*answers: list[str]) -> Any:
    """A fake getaddrinfo: each call returns the next list of addresses; the last list repeats."""
    remaining = list(answers)

    def getaddrinfo(_host: str, port: int, **_options: object) -> list[Any]:
        addresses = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return getaddrinfo


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The addresses of all connection attempts; every attempt is refused."""
    attempts: list[Any] = []

    def create_connection(address: Any, **_options: object) -> socket.socket:
        attempts.append(address)
        raise ConnectionRefusedError("nobody there")

    monkeypatch.setattr(socket, "create_connection", create_connection)
    return attempts


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://example.com", UrlParts("https", "example.com", 443, "/")),
        ("http://EXAMPLE.com/a/b?c=d", UrlParts("http", "example.com", 80, "/a/b?c=d")),
        ("https://example.com:8443/x#y", UrlParts("https", "example.com", 8443, "/x")),
        ("http://[2606:2800:21f::1]:1024/", UrlParts("http", "2606:2800:21f::1", 1024, "/")),
    ],
)
def test_a_url_is_split_into_its_parts(url: str, target: UrlParts) -> None:
    assert outbound.parse_url(url) == target


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "https://",
        "https:///path",
        "https://user:pass@example.com/",
        "https://user@example.com/",
        "https://example.com:22/",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:port/",
        "https://[::1/",
        "https://example.com/a b",
        "https://example.com/\r\nX: y",
        "https://exämple.com/",
    ],
)
def test_a_url_that_may_not_be_called_is_refused(url: str) -> None:
    with pytest.raises(AddressNotAllowed):
        outbound.parse_url(url)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "100.100.100.200",
        "169.254.169.254",
        "168.63.129.16",
        "192.0.0.192",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:db8::1",
        "fe80::1",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
    ],
)
def test_special_addresses_are_never_called(monkeypatch: pytest.MonkeyPatch, dialled: list[Any], address: str) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolver([address]))
    with pytest.raises(AddressNotAllowed):
        outbound.post("https://looks-fine.example/", b"", {})
    assert dialled == []


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::1]", "0"])
def test_special_addresses_are_refused_in_every_spelling(dialled: list[Any], host: str) -> None:
    """The system resolver accepts all of these spellings."""
    with pytest.raises((AddressNotAllowed, NoResponse)):
        outbound.post(f"http://{host}/", b"", {})
    assert dialled == []


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::ffff:8.8.8.8"])
def test_public_addresses_are_called(monkeypatch: pytest.MonkeyPatch, dialled: list[Any], address: str) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolver([address]))
    with pytest.raises(NoResponse, match="ConnectionRefusedError"):
        outbound.post("https://example.com/", b"", {})
    assert dialled == [(str(ipaddress.ip_address(address)), 443)]


def test_one_private_address_among_public_ones_refuses_the_url(
    monkeypatch: pytest.MonkeyPatch, dialled: list[Any]
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolver([PUBLIC, "10.0.0.1"]))
    with pytest.raises(AddressNotAllowed, match=r"10\.0\.0\.1"):
        outbound.post("https://example.com/", b"", {})
    assert dialled == []


def test_a_name_that_would_resolve_differently_later_is_not_resolved_again(
    monkeypatch: pytest.MonkeyPatch, dialled: list[Any]
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolver([PUBLIC], ["127.0.0.1"]))
    with pytest.raises(NoResponse):
        outbound.post("http://rebinding.example/", b"", {})
    assert dialled == [(PUBLIC, 80)]


def test_a_name_that_does_not_resolve_is_no_response(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(NoResponse, match="does not resolve"):
        outbound.post("http://nobody.example/", b"", {})


def test_only_the_first_two_addresses_are_tried(monkeypatch: pytest.MonkeyPatch, dialled: list[Any]) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolver(["8.8.8.8", PUBLIC, "1.1.1.1"]))
    with pytest.raises(NoResponse):
        outbound.post("http://example.com/", b"", {})
    assert [address for address, _ in dialled] == ["8.8.8.8", PUBLIC]


def test_https_verifies_the_urls_host_at_the_checked_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate must match the host name, although the name is not resolved again."""
    near, far = socket.socketpair()
    server_names: list[str] = []

    class Context:
        def wrap_socket(self, plain: socket.socket, *, server_hostname: str) -> socket.socket:
            server_names.append(server_hostname)
            return plain

    monkeypatch.setattr(socket, "getaddrinfo", resolver([PUBLIC], ["127.0.0.1"]))
    monkeypatch.setattr(socket, "create_connection", lambda address, **_: near if address == (PUBLIC, 443) else None)
    monkeypatch.setattr(outbound, "_ssl_context", Context)
    far.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nlater")

    assert outbound.post("https://hooks.example.com/a?b=c", b"{}", {"X-One": "1"}) == (202, "later")
    sent = far.recv(4096)
    far.close()
    assert server_names == ["hooks.example.com"]
    assert sent.startswith(b"POST /a?b=c HTTP/1.1\r\nHost: hooks.example.com\r\n")
    assert sent.endswith(b"\r\n\r\n{}")


def test_certificates_are_verified() -> None:
    context = outbound._ssl_context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
