"""The WSGI application."""

import gc
import os
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

_django = get_wsgi_application()

# A batch creates tens of thousands of objects that reference counting frees. With Python's default threshold of 700, the
# garbage collector scans them and all modules again and again, which takes an eighth of the time of an ingest.
gc.freeze()
gc.set_threshold(50_000, 10, 10)

# As settings.MAX_BODY_BYTES. One more byte is read, so that Django rejects a longer body.
MAX_CHUNKED_BYTES = 5 * 1024 * 1024


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Call Django; buffer chunked bodies first, and answer 400 to an invalid Content-Length.

    Django treats a body without Content-Length as empty, although the server passes it on (`wsgi.input_terminated`), and
    an invalid length as 0.
    """
    length = environ.get("CONTENT_LENGTH")
    if length and not (length.isascii() and length.isdigit()):
        return _bad_request(start_response)
    if not length and environ.get("HTTP_TRANSFER_ENCODING"):
        body = environ["wsgi.input"].read(MAX_CHUNKED_BYTES + 1)
        environ |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    return _django(environ, start_response)


def _bad_request(start_response: Callable[..., Any]) -> list[bytes]:
    body = (
        b'{"type": "client_error", "errors": [{"code": "bad_request", '
        b'"detail": "Content-Length is not a number.", "attr": null}]}'
    )
    start_response("400 Bad Request", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
