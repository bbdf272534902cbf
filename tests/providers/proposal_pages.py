"""Requests to the admin pages of price proposals, and their text and form fields."""

from __future__ import annotations

import re
from typing import Any

from django.test import Client

from providers.models import PriceProposal

LIST_URL = "/admin/providers/priceproposal/"
EMPTY_CELL = "\N{EN DASH}"
ALL_NEW_URL = f"{LIST_URL}all-new/genai/"


def visible_text(response: Any) -> str:
    """The text of the page, without markup."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def change_url(proposal: PriceProposal) -> str:
    return f"{LIST_URL}{proposal.pk}/change/"


def decide(client: Client, proposal: PriceProposal, decision: str, **fields: str) -> Any:
    return client.post(f"{LIST_URL}{proposal.pk}/decide/", {"decision": decision} | fields, follow=True)


def hidden_fields(response: Any) -> dict[str, Any]:
    """The hidden fields of the confirmation form."""
    fields: dict[str, Any] = {}
    for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', response.content.decode()):
        fields.setdefault(name, []).append(value)
    return fields


def run_action(client: Client, action: str, *chosen: PriceProposal, query: str = "", across: int = 0) -> Any:
    fields = {
        "action": action,
        "index": 0,
        "select_across": across,
        "_selected_action": [proposal.pk for proposal in chosen],
    }
    return client.post(LIST_URL + query, fields, follow=True)
