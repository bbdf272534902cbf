"""The refusal that every part of billing raises: a request, an event or a field of it that is not accepted."""

from __future__ import annotations


class Refused(ValueError):
    """An event, or a field of it, that can't be taken. `attr` is the field's path, "" for the whole event."""

    def __init__(self, code: str, detail: str, attr: str = "") -> None:
        super().__init__(detail)
        self.code, self.detail, self.attr = code, detail, attr
