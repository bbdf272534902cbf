"""Parses request bodies: strict JSON, optionally gzip, with a size limit that applies after decompression."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework import parsers
from rest_framework.request import Request

from billing.api.errors import BadRequest, TooLarge, UnsupportedEncoding
from lib import strict_json

GZIP_WBITS = 16 + zlib.MAX_WBITS


class StrictJSONParser(parsers.BaseParser):
    """Parses one JSON object in UTF-8 into a dict. Raises BadJSON, BadRequest, TooLarge or UnsupportedEncoding."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        headers = (parser_context or {})["request"].META
        raw = _read_body(stream)
        if len(raw) < _content_length(headers):
            raise BadRequest("The body is shorter than its Content-Length.")
        body = _decompress(raw, headers.get("HTTP_CONTENT_ENCODING", "identity").strip().lower())
        return strict_json.loads(body)


def json_body(request: Request) -> dict[str, Any]:
    """Returns the object in the body. Raises BadRequest for an empty one, which DRF would treat as `{}`."""
    if not _content_length(request.META):
        raise BadRequest("The body is empty.")
    return dict(request.data)


def _content_length(headers: Mapping[str, Any]) -> int:
    """Returns the declared length in bytes; 0 for invalid values, which config/wsgi.py refuses anyway."""
    length: str = headers.get("CONTENT_LENGTH") or "0"
    return int(length) if len(length) < 30 and length.isascii() and length.isdigit() else 0


def _read_body(stream: IO[Any]) -> bytes:
    body: bytes = stream.read(settings.MAX_BODY_BYTES + 1)
    if len(body) > settings.MAX_BODY_BYTES:
        raise TooLarge(f"The body must not exceed {settings.MAX_BODY_BYTES} bytes after decompression.")
    return body


def _decompress(body: bytes, encoding: str) -> bytes:
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise UnsupportedEncoding(f"Content-Encoding {encoding[:50]!r} is not supported. Use gzip.")
    inflater = zlib.decompressobj(GZIP_WBITS)
    try:
        plain = inflater.decompress(body, settings.MAX_BODY_BYTES + 1)
    except zlib.error as error:
        raise BadRequest("The body is not valid gzip.") from error
    if len(plain) > settings.MAX_BODY_BYTES:
        raise TooLarge(f"The body must not exceed {settings.MAX_BODY_BYTES} bytes after decompression.")
    if not inflater.eof or inflater.unused_data:
        raise BadRequest("The gzip body is truncated or has trailing data.")
    return plain
