"""Request bodies: bounded, perhaps gzip, strict JSON. The size holds after decompression."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework import parsers
from rest_framework.request import Request

from billing.api.errors import BadRequest, TooLarge, UnsupportedEncoding
from lib import strict_json

GZIP = 16 + zlib.MAX_WBITS


class StrictJSONParser(parsers.BaseParser):
    """One JSON object in UTF-8, as a dict. Raises BadJSON, which the exception handler knows."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        headers = (parser_context or {})["request"].META
        sent = _read(stream)
        if len(sent) < _length(headers):
            raise BadRequest("The body is shorter than its Content-Length.")
        body = _inflated(sent, headers.get("HTTP_CONTENT_ENCODING", "identity").strip().lower())
        return strict_json.loads(body)


def body_of(request: Request) -> dict[str, Any]:
    """The object in the body. DRF takes an empty body for `{}` and never asks the parser; here it is an error."""
    if not _length(request.META):
        raise BadRequest("The body is empty.")
    return dict(request.data)


def _length(headers: Mapping[str, Any]) -> int:
    """The declared length; junk counts as none, and config/wsgi.py has refused it already."""
    length: str = headers.get("CONTENT_LENGTH") or "0"
    return int(length) if len(length) < 30 and length.isascii() and length.isdigit() else 0


def _read(stream: IO[Any]) -> bytes:
    body: bytes = stream.read(settings.MAX_BODY_BYTES + 1)
    if len(body) > settings.MAX_BODY_BYTES:
        raise TooLarge(f"A body holds at most {settings.MAX_BODY_BYTES} bytes, after decompression.")
    return body


def _inflated(body: bytes, encoding: str) -> bytes:
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise UnsupportedEncoding(f"Content-Encoding {encoding[:50]!r} is not known here; gzip is.")
    inflater = zlib.decompressobj(GZIP)
    try:
        plain = inflater.decompress(body, settings.MAX_BODY_BYTES + 1)
    except zlib.error as error:
        raise BadRequest("The body is not gzip.") from error
    if len(plain) > settings.MAX_BODY_BYTES:
        raise TooLarge(f"A body holds at most {settings.MAX_BODY_BYTES} bytes, after decompression.")
    if not inflater.eof or inflater.unused_data:
        raise BadRequest("The gzip body is cut off, or something follows it.")
    return plain
