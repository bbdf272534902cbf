"""Detects the provider of a call by the rule book and, behind a private host, by the price book (docs/adr/0020)."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from providers import model_ids, price_book, rulebook
from providers.detection import CONFIDENCE, DECLARED, FAMILY, LOCAL, UNKNOWN, Call, Detection, NamedVendors, Rule
from providers.models import CatalogVersion
from providers.price_book import PriceBook
from providers.rulebook import RuleBook

PROXY_RULE = "private-host-proxy"

# Anybody may run these models, so a price of their maker is no sign of a proxy.
_OPEN_WEIGHTS = ("gemma", "gpt-oss")
# As above, if only the model's name names the vendor: servers of open weights use these names too.
_SELF_HOSTED_VENDORS = frozenset({"cohere", "mistral"})
_SELF_HOSTED_NAMES = ("tts-", "whisper-")


class _Vendor(NamedTuple):
    """The provider of a call to a private host, and whose price of the model is the evidence."""

    provider: str
    seller: str


def detect(call: Call, rules: RuleBook, prices: PriceBook) -> Detection:
    """Detects the provider. On a private host it is a vendor if one prices the model, as a proxy stands there, or local."""
    detection = rules.detect(call)
    named = rules.rules.behind_private_host(call) if detection.actual_provider == LOCAL else None
    vendor = _vendor(named, model_ids.normalize(call.model), prices) if named else None
    if vendor is None:
        return detection
    return replace(
        detection,
        actual_provider=vendor.provider,
        confidence=CONFIDENCE[DECLARED],
        rule=PROXY_RULE,
        evidence=f"private host; {vendor.seller} prices this model",
    )


def current_books() -> tuple[RuleBook, PriceBook]:
    """Returns the rule book and the price book in force. One query, for their versions."""
    versions = dict(CatalogVersion.objects.values_list("book", "version"))
    return rulebook.current(versions.get("rules", 0)), price_book.current(versions.get("prices", 0))


def _vendor(named: NamedVendors, model: str, prices: PriceBook) -> _Vendor | None:
    """Returns the vendor behind the host, None if the model may be self-hosted.

    A gateway that the label or the model id names keeps the call even if only the maker prices the model: unpriced.
    """
    name = model.rpartition("/")[2]
    routed, maker = _vendor_of(named.by_model, name), _vendor_of(named.by_name, name)
    if LOCAL in (named.declared, routed, maker):
        return None
    is_open = name.startswith(_OPEN_WEIGHTS) and not named.is_gateway
    if not is_open and prices.sells(named.declared, model):
        return _Vendor(named.declared, named.declared)
    sellers = ((routed, model), (maker, name))
    seller = next((vendor for vendor, text in sellers if prices.sells(vendor, text)), "")
    return _Vendor(named.declared if named.is_gateway else routed or seller, seller) if seller else None


def _vendor_of(rule: Rule | None, name: str) -> str:
    """Returns the vendor of a model's rule, "" if the name is also that of a self-hosted model."""
    if rule is None or rule.provider in (None, UNKNOWN):
        return ""
    is_open = rule.provider in _SELF_HOSTED_VENDORS or name.startswith(_SELF_HOSTED_NAMES)
    return "" if rule.evidence == FAMILY and is_open else rule.provider or ""
