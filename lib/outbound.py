"""POST requests to URLs that customers choose: never into the local network, and with a total time limit.

The host name is resolved once, all its addresses are checked, and the connection goes to a checked address, so a name
that resolves differently a moment later gains nothing. Redirects are not followed.
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

CONNECT_TIMEOUT_SECONDS = 5  # per address
MAX_ADDRESSES_TRIED = 2
TIMEOUT_SECONDS = 10  # for everything after connecting
MAX_BYTES_READ = 2_000  # of the response body
MAX_TEXT_LENGTH = 500  # characters of the body that are returned
DEFAULT_PORTS = {"http": 80, "https": 443}
MIN_OTHER_PORT = 1024  # services other than web servers use the ports below
# Cloud metadata services at addresses that are public, or were until lately.
METADATA_NETWORKS = [ipaddress.ip_network(network) for network in ("168.63.129.16/32", "192.0.0.0/24")]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressNotAllowed(Exception):
    """The URL, or an address of its host, must not be called; the message says why."""


class NoResponse(Exception):
    """No HTTP response in time."""


class UrlParts(NamedTuple):
    """`path` includes the query."""

    scheme: str
    host: str
    port: int
    path: str


class PostResponse(NamedTuple):
    status: int
    text: str


def parse_url(url: str) -> UrlParts:
    """Raises AddressNotAllowed unless `url` is an http or https URL with a host, no login and an allowed port."""
    if not url.isascii() or not url.isprintable() or " " in url:
        raise AddressNotAllowed("Use printable ASCII without spaces; percent-encode all other characters.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AddressNotAllowed("This is not a URL.") from error
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise AddressNotAllowed("The URL must start with http:// or https:// and name a host.")
    if "@" in parts.netloc:
        raise AddressNotAllowed("The URL must not contain a user name or password.")
    if port is not None and port not in DEFAULT_PORTS.values() and port < MIN_OTHER_PORT:
        raise AddressNotAllowed(f"The port must be 80, 443, or {MIN_OTHER_PORT} or above.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return UrlParts(parts.scheme, parts.hostname, port or DEFAULT_PORTS[parts.scheme], path)


def post(url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool = False) -> PostResponse:
    """Send the request and return the response, whatever its status. Raises AddressNotAllowed or NoResponse."""
    target = parse_url(url)
    addresses = _resolve(target)
    if not allow_private:
        check_addresses(addresses)
    timed_out = threading.Event()
    try:
        with _connect(addresses, target.port) as connection, _time_limit(connection, timed_out):
            response = _send(target, connection, body, headers)
    except (OSError, http.client.HTTPException) as error:
        raise NoResponse(_describe_error(error, timed_out=timed_out.is_set())) from error
    if timed_out.is_set():
        raise NoResponse(_describe_error(TimeoutError(), timed_out=True))
    return response


def check_addresses(addresses: list[Address]) -> None:
    """Raises AddressNotAllowed if any address is outside the public internet."""
    for address in addresses:
        if not _is_public(address):
            raise AddressNotAllowed(f"{address} is a private or special address (WEBHOOK_ALLOW_PRIVATE).")


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner:
            return _is_public(inner)
        if address.is_site_local:
            return False
    special = address.is_multicast or address.is_reserved or any(address in network for network in METADATA_NETWORKS)
    return address.is_global and not special


def _resolve(target: UrlParts) -> list[Address]:
    """All addresses of the host. The system's resolver also accepts 2130706433 and 0x7f.1 as addresses."""
    try:
        results = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NoResponse(f"The name {target.host} does not resolve.") from error
    return list(dict.fromkeys(ipaddress.ip_address(str(result[4][0])) for result in results))


def _connect(addresses: list[Address], port: int) -> socket.socket:
    """Connect to the first address that accepts."""
    *others, last = addresses[:MAX_ADDRESSES_TRIED]
    for address in others:
        try:
            return socket.create_connection((str(address), port), timeout=CONNECT_TIMEOUT_SECONDS)
        except OSError:
            continue
    return socket.create_connection((str(last), port), timeout=CONNECT_TIMEOUT_SECONDS)


@contextmanager
def _time_limit(connection: socket.socket, timed_out: threading.Event) -> Iterator[None]:
    """Shut the connection down after TIMEOUT_SECONDS: the socket's own time-out restarts with each byte received."""

    def shut_down() -> None:
        timed_out.set()
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(TIMEOUT_SECONDS, shut_down)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _send(target: UrlParts, connection: socket.socket, body: bytes, headers: Mapping[str, str]) -> PostResponse:
    """Send one request over an open connection; Host and SNI are those of the URL."""
    connection.settimeout(TIMEOUT_SECONDS)
    secure = target.scheme == "https"
    client_class = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    client = client_class(target.host, target.port)
    client.sock = _ssl_context().wrap_socket(connection, server_hostname=target.host) if secure else connection
    try:
        client.request("POST", target.path, body, dict(headers))
        response = client.getresponse()
        return PostResponse(response.status, _read_text(response))
    finally:
        client.close()


@cache
def _ssl_context() -> ssl.SSLContext:
    return ssl.create_default_context()


def _read_text(response: http.client.HTTPResponse) -> str:
    """The start of the body, as text that every database accepts; the rest is not read."""
    try:
        body = response.read(MAX_BYTES_READ)
    except http.client.HTTPException:  # the status is what counts
        return ""
    text = body.decode("utf-8", "replace")
    return "".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in text)[:MAX_TEXT_LENGTH]


def _describe_error(error: Exception, *, timed_out: bool) -> str:
    if timed_out or isinstance(error, TimeoutError):
        return f"No answer within {TIMEOUT_SECONDS} seconds."
    return f"{type(error).__name__}: {error}"
