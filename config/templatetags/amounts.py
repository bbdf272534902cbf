"""Money, percentages and times on pages: rounded in one way everywhere, money with the exact amount in the title."""

from __future__ import annotations

from decimal import Decimal

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from billing.alerts import alert_text
from billing.models import UsageAlert
from lib import money

register = template.Library()


@register.filter
def usd(nano: int) -> SafeString:
    """$1.25, with the exact amount in the title."""
    return format_html('<span title="${}">{}</span>', money.exact_usd(nano), money.format_usd(nano))


@register.filter
def exact(nano: int) -> str:
    """To the last nano-dollar, without the sign of the currency."""
    return money.exact_usd(nano)


@register.filter
def cents(amount: int) -> str:
    """Whole cents as dollars: 870 is $8.70."""
    return money.format_usd(amount * money.CENT)


@register.filter
def percent(value: Decimal | float | None) -> str:
    """12.5 %, or a dash where there was nothing to divide by."""
    return "–" if value is None else f"{value:.1f} %"  # noqa: RUF001 - a dash is meant


@register.filter
def sentence(alert: UsageAlert) -> str:
    """What an alert says."""
    return alert_text.sentence(alert)


@register.filter
def milliseconds(value: float | None) -> str:
    """850 ms, 12.5 s, or a dash where nothing was measured; below 10 ms with a tenth."""
    if value is None:
        return "–"  # noqa: RUF001 - a dash is meant
    if value >= 10_000:
        return f"{value / 1000:.1f} s"
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.1f} ms"
