"""A POST to an address that somebody else chose: never into the own network, never on for long. Webhooks call it.

The name is resolved once, every address that it has is checked, and a checked address is connected to, so that a name
which resolves to something else a moment later leads nowhere. Redirects are not followed.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import NamedTuple
from urllib.parse import urlsplit

CONNECT = 5  # seconds to connect to an address
TRIED = 2  # addresses of a name
TIMEOUT = 10  # seconds for all that follows
READ = 2_000  # bytes of an answer that are looked at
KEPT = 500  # characters of them that are told
DEFAULT_PORTS = {"http": 80, "https": 443}
LEAST_OTHER_PORT = 1024  # below live services that are no web servers
# What clouds tell their machines, at addresses that are public or were until lately.
METADATA = [ipaddress.ip_network(one) for one in ("168.63.129.16/32", "192.0.0.0/24")]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class NotAllowed(Exception):
    """The URL, or an address that its host has, is none that is called; the message says why."""


class NoAnswer(Exception):
    """Nobody answered, or not in time, or not in HTTP."""


class Target(NamedTuple):
    """A URL in parts; `path` with its query."""

    scheme: str
    host: str
    port: int
    path: str


class Answer(NamedTuple):
    status: int
    text: str


def target(url: str) -> Target:
    """Raises NotAllowed for what is no http or https URL of a host, or has a login or an unusual port."""
    if not url.isascii() or not url.isprintable() or " " in url:
        raise NotAllowed("Only printable ASCII without blanks; write anything else percent-encoded.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise NotAllowed("This is no URL.") from error
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise NotAllowed("Only http:// or https:// and a host.")
    if "@" in parts.netloc:
        raise NotAllowed("No user or password.")
    if port is not None and port not in DEFAULT_PORTS.values() and port < LEAST_OTHER_PORT:
        raise NotAllowed(f"Only the ports 80, 443, and {LEAST_OTHER_PORT} or above.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, parts.hostname, port or DEFAULT_PORTS[parts.scheme], path)


def post(url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool = False) -> Answer:
    """What the address answers, whatever the status. Raises NotAllowed or NoAnswer."""
    to = target(url)
    addresses = _resolved(to)
    if not allow_private:
        check(addresses)
    late = threading.Event()
    try:
        with _connected(addresses, to.port) as connected, _not_for_long(connected, late):
            answer = _exchanged(to, connected, body, headers)
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(_in_words(error, late=late.is_set())) from error
    if late.is_set():
        raise NoAnswer(_in_words(TimeoutError(), late=True))
    return answer


def check(addresses: list[Address]) -> None:
    """Raises NotAllowed where any of them is not of the public internet."""
    for address in addresses:
        if not _is_public(address):
            raise NotAllowed(f"{address} is a private or special address (WEBHOOK_ALLOW_PRIVATE).")


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner:
            return _is_public(inner)
        if address.is_site_local:
            return False
    special = address.is_multicast or address.is_reserved or any(address in one for one in METADATA)
    return address.is_global and not special


def _resolved(to: Target) -> list[Address]:
    """All addresses of the host; the system's resolver also reads 2130706433 and 0x7f.1 as addresses."""
    try:
        found = socket.getaddrinfo(to.host, to.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NoAnswer(f"The name {to.host} does not resolve.") from error
    return list(dict.fromkeys(ipaddress.ip_address(str(one[4][0])) for one in found))


def _connected(addresses: list[Address], port: int) -> socket.socket:
    """The first address that takes a connection."""
    *others, last = addresses[:TRIED]
    for address in others:
        try:
            return socket.create_connection((str(address), port), timeout=CONNECT)
        except OSError:
            continue
    return socket.create_connection((str(last), port), timeout=CONNECT)


@contextmanager
def _not_for_long(connected: socket.socket, late: threading.Event) -> Iterator[None]:
    """Ends the connection after TIMEOUT: its own time-out starts anew with each byte that trickles in."""

    def end() -> None:
        late.set()
        with suppress(OSError):
            connected.shutdown(socket.SHUT_RDWR)

    watch = threading.Timer(TIMEOUT, end)
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


def _exchanged(to: Target, connected: socket.socket, body: bytes, headers: Mapping[str, str]) -> Answer:
    """One request over a connection that is there already; Host and SNI are those of the URL."""
    connected.settimeout(TIMEOUT)
    secure = to.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    request = kind(to.host, to.port)
    request.sock = _context().wrap_socket(connected, server_hostname=to.host) if secure else connected
    try:
        request.request("POST", to.path, body, dict(headers))
        response = request.getresponse()
        return Answer(response.status, _text(response))
    finally:
        request.close()


@cache
def _context() -> ssl.SSLContext:
    return ssl.create_default_context()


def _text(response: http.client.HTTPResponse) -> str:
    """The start of the answer as text that every database takes; the rest is not read."""
    try:
        read = response.read(READ)
    except http.client.HTTPException:  # the status is what counts
        return ""
    text = read.decode("utf-8", "replace")
    return "".join(one if one.isprintable() or one in "\n\t" else "\ufffd" for one in text)[:KEPT]


def _in_words(error: Exception, *, late: bool) -> str:
    if late or isinstance(error, TimeoutError):
        return f"No answer within {TIMEOUT} seconds."
    return f"{type(error).__name__}: {error}"
