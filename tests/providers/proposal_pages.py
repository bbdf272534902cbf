"""How the tests press the buttons of price proposals, and read their pages."""

from __future__ import annotations

import re
from typing import Any

from django.test import Client

from providers.models import PriceProposal

LIST = "/admin/providers/priceproposal/"
NOTHING = "\N{EN DASH}"  # where there is nothing to show
ALL_NEW = f"{LIST}all-new/genai/"


def text(answer: Any) -> str:
    """The page's words, without its markup."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def page_of(one: PriceProposal) -> str:
    return f"{LIST}{one.pk}/change/"


def press(client: Client, one: PriceProposal, decision: str) -> Any:
    return client.post(f"{LIST}{one.pk}/decide/", {"decision": decision}, follow=True)


def hidden(answer: Any) -> dict[str, Any]:
    """The fields of the confirmation's form."""
    fields: dict[str, Any] = {}
    for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', answer.content.decode()):
        fields.setdefault(name, []).append(value)
    return fields


def choose(client: Client, action: str, *chosen: PriceProposal, query: str = "", across: int = 0) -> Any:
    fields = {"action": action, "index": 0, "select_across": across, "_selected_action": [one.pk for one in chosen]}
    return client.post(LIST + query, fields, follow=True)
