"""Detects the provider of a call by the rule book and, behind a private host, by the price book (docs/adr/0020)."""

from __future__ import annotations

from dataclasses import replace

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


def detect(call: Call, rules: RuleBook, prices: PriceBook) -> Detection:
    """Detects the provider. On a private host it is a vendor that prices the model, as a proxy stands there, or local."""
    detection = rules.detect(call)
    named = rules.rules.behind_private_host(call) if detection.actual_provider == LOCAL else None
    seller = _seller(named, model_ids.normalize(call.model), prices) if named else ""
    if not named or not seller:
        return detection
    return replace(
        detection,
        actual_provider=named.declared if named.is_gateway else seller,
        confidence=CONFIDENCE[DECLARED],
        rule=PROXY_RULE,
        evidence=f"private host; {seller} prices this model",
    )


def current_books() -> tuple[RuleBook, PriceBook]:
    """Returns the rule book and the price book in force. One query, for their versions."""
    versions = dict(CatalogVersion.objects.values_list("book", "version"))
    return rulebook.current(versions.get("rules", 0)), price_book.current(versions.get("prices", 0))


def _seller(named: NamedVendors, model: str, prices: PriceBook) -> str:
    """Returns the vendor that prices the model, of those that the call names; "" if it may be self-hosted."""
    if named.declared == LOCAL:
        return ""
    is_open = model.rpartition("/")[2].startswith(_OPEN_WEIGHTS)
    if (named.is_gateway or not is_open) and prices.sells(named.declared, model):
        return named.declared
    vendor = _vendor_of_model(named.by_model, model)
    return vendor if prices.sells(vendor, model) else ""


def _vendor_of_model(rule: Rule | None, model: str) -> str:
    """Returns the vendor that the model's name names, "" if the name is also that of a self-hosted model."""
    if rule is None or rule.provider in (None, LOCAL, UNKNOWN):
        return ""
    is_weak = rule.provider in _SELF_HOSTED_VENDORS or model.startswith(_SELF_HOSTED_NAMES)
    return "" if rule.evidence == FAMILY and is_weak else rule.provider or ""
