"""The WSGI application, as granian serves it."""

import gc
import os
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

_django = get_wsgi_application()

# A batch makes tens of thousands of objects that go without the collector: with Python's own threshold of 700 it looks
# through all of them, and through the modules, again and again: an eighth of the time of an ingest.
gc.freeze()
gc.set_threshold(50_000, 10, 10)


MAX_CHUNKED_BYTES = 5 * 1024 * 1024  # as settings.MAX_BODY_BYTES; a longer body is cut one byte above it, and refused


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Django, with bodies that come in chunks made readable and junk lengths refused.

    Django reads a body without Content-Length as empty, although the server hands the whole of it over
    (`wsgi.input_terminated`); and it takes a length that is no number for 0.
    """
    length = environ.get("CONTENT_LENGTH")
    if length and not (length.isascii() and length.isdigit()):
        return _refuse(start_response)
    if not length and environ.get("HTTP_TRANSFER_ENCODING"):
        body = environ["wsgi.input"].read(MAX_CHUNKED_BYTES + 1)
        environ |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    return _django(environ, start_response)


def _refuse(start_response: Callable[..., Any]) -> list[bytes]:
    body = (
        b'{"type": "client_error", "errors": [{"code": "bad_request", '
        b'"detail": "Content-Length is not a number.", "attr": null}]}'
    )
    start_response("400 Bad Request", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
