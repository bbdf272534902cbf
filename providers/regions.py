"""The region that an endpoint's host names: of Vertex AI, Bedrock, Azure and OpenAI. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

_HOST = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?/{0,2}([a-z0-9.-]+)")
_REGION = r"([a-z][a-z0-9-]*)"
_HOSTS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_REGION}-aiplatform\.googleapis\.com",
        rf"aiplatform\.{_REGION}\.rep\.googleapis\.com",
        rf"(?:.+\.)?bedrock(?:-[a-z]+)*\.{_REGION}\.(?:vpce\.)?(?:amazonaws\.com(?:\.cn)?|api\.aws)",
        rf"{_REGION}\.api\.cognitive\.microsoft\.com",
        rf"{_REGION}\.(?:stt|tts)\.speech\.microsoft\.com",
        r"(eu|us|gov)\.api\.openai\.com",
        rf"[^.]+\.{_REGION}\.(?:models\.ai|inference\.ml|inference\.ai)\.azure\.com",
    )
)
_GLOBAL_HOST = "aiplatform.googleapis.com"


@lru_cache(maxsize=4096)
def region_of(endpoint: str) -> str:
    """Returns the region in lower case, "global" for Vertex AI's global endpoint, and "" if the host names none."""
    match = _HOST.match(endpoint.strip().lower())
    host = match[1].rstrip(".") if match else ""
    if host == _GLOBAL_HOST:
        return "global"
    return next((named[1] for pattern in _HOSTS if (named := pattern.fullmatch(host))), "")
