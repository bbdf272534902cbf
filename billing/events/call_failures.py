"""The status code and error message of a failed call, taken from its exception. Pure."""

from __future__ import annotations

import re
import traceback

CANCELLED = 499  # aborted on our side: interrupted, cancelled, or a stream that was not read to its end
NO_STATUS = 599  # failed without an HTTP status, e.g. a timeout; a provider's status is never guessed
MAX_MESSAGE_LENGTH = 500
_URL = re.compile(r"(\w+://)(?:[^\s/@]*@)?([^\s?#]*)(?:[?#]\S*)?")
_SECRET = re.compile(
    r"(?i)\b(bearer\s+|basic\s+|(?:sk|tg|hf|gsk|xai|r8)[-_]|AIza|[\w-]*(?:key|token|secret|password)['\"]?\s*[=:]\s*)\S+"
)


def status(error: BaseException) -> int:
    """The HTTP status on the error or on its response, as OpenAI, Anthropic, Google, httpx and aiohttp set it."""
    if not isinstance(error, Exception):
        return CANCELLED
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "code", "status"):
            code = getattr(holder, name, None)
            if isinstance(code, int) and 400 <= code <= 599:
                return int(code)
    return NO_STATUS


def message(error: BaseException) -> str:
    """The exception's type and the first line of its message: bounded, printable, with apparent secrets removed."""
    line = traceback.format_exception_only(error)[0].partition("\n")[0][: 4 * MAX_MESSAGE_LENGTH]
    line = _SECRET.sub(r"\1[...]", _URL.sub(r"\1\2", line))
    return "".join(char if char.isprintable() else " " for char in line)[:MAX_MESSAGE_LENGTH]
