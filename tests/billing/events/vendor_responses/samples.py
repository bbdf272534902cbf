"""Responses shaped as the vendors send them, and what each of them says."""

from __future__ import annotations

from typing import Any, NamedTuple

from billing.events.vendor_responses.reading import Reading


class Sample(NamedTuple):
    name: str
    response: dict[str, Any]
    expected: Reading


def sample(name: str, response: dict[str, Any], reader: str, usage: dict[str, Any], **facts: Any) -> Sample:
    """A sample with the facts of its reading that are not at their defaults."""
    defaults: dict[str, Any] = {
        "variant": {},
        "model": response.get("model", ""),
        "response_id": response.get("id", ""),
        "cost_usd": None,
        "excludes_cached": False,
        "ignored": (),
        "unread": (),
    }
    return Sample(name, response, Reading(**{**defaults, "usage": usage, "reader": reader, **facts}))


TOTAL = ("usage.total_tokens",)
