"""Accepts an uploaded file on the import page only, and only up to IMPORT_MAX_MIB.

Django would write the file of any form to a temporary file, of any size, before a view could refuse it.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.files.uploadhandler import SkipFile, TemporaryFileUploadHandler
from django.http import HttpRequest

PERMISSION = "billing.import_usage"
UPLOAD_VIEW = "admin:billing_usageimport_upload"
TOO_LARGE = "_upload_too_large"  # attribute of the request


def max_bytes() -> int:
    return int(settings.IMPORT_MAX_MIB) * 1024 * 1024


def is_too_large(request: HttpRequest) -> bool:
    """Whether a file of the request was dropped because it exceeds the maximum."""
    return bool(getattr(request, TOO_LARGE, False))


class ImportUploadHandler(TemporaryFileUploadHandler):
    """Drops all other files while they arrive; the rest of the form is read as usual."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        if not _may_upload(self.request):
            raise SkipFile
        super().new_file(*args, **kwargs)
        self.received = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self.received += len(raw_data)
        if self.received > max_bytes():
            setattr(self.request, TOO_LARGE, True)
            raise SkipFile
        super().receive_data_chunk(raw_data, start)


def _may_upload(request: HttpRequest | None) -> bool:
    if request is None or request.resolver_match is None:
        return False
    user: Any = getattr(request, "user", None)
    return request.resolver_match.view_name == UPLOAD_VIEW and user is not None and user.has_perm(PERMISSION)
