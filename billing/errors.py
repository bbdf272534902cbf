"""The exception for input that is refused: a request, an event or one of its fields. Pure."""

from __future__ import annotations


class Refused(ValueError):
    """Input that is not accepted. `attr` is the path of the field, "" for the whole request or event."""

    def __init__(self, code: str, detail: str, attr: str = "") -> None:
        super().__init__(detail)
        self.code, self.detail, self.attr = code, detail, attr
