"""How a call failed, as a usage event tells it: a status and one line. Pure; asked by metered calls."""

from __future__ import annotations

import re
import traceback

CANCELLED = 499  # given up by this side: interrupted, cancelled, or a stream that nobody reads on
NO_STATUS = 599  # failed without an HTTP status: which one the provider would have sent is not guessed
LONGEST_MESSAGE = 500
_URL = re.compile(r"(\w+://)(?:[^\s/@]*@)?([^\s?#]*)(?:[?#]\S*)?")
_SECRET = re.compile(
    r"(?i)\b(bearer\s+|basic\s+|(?:sk|tg|hf|gsk|xai|r8)[-_]|AIza|[\w-]*(?:key|token|secret|password)['\"]?\s*[=:]\s*)\S+"
)


def status(error: BaseException) -> int:
    """The HTTP status that the error, or the response in it, names: as OpenAI, Anthropic, Google, httpx and aiohttp do."""
    if not isinstance(error, Exception):
        return CANCELLED
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "code", "status"):
            found = getattr(holder, name, None)
            if isinstance(found, int) and 400 <= found <= 599:
                return int(found)
    return NO_STATUS


def message(error: BaseException) -> str:
    """The exception's type and the first line of its message: bounded, storable, without what looks like a secret."""
    line = traceback.format_exception_only(error)[0].partition("\n")[0][: 4 * LONGEST_MESSAGE]
    line = _SECRET.sub(r"\1[...]", _URL.sub(r"\1\2", line))
    return "".join(sign if sign.isprintable() else " " for sign in line)[:LONGEST_MESSAGE]
