"""Template filters for money, percentages and durations."""

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
    """All digits, without the dollar sign."""
    return money.exact_usd(nano)


@register.filter
def cents(amount: int) -> str:
    """Cents as dollars: 870 is $8.70."""
    return money.format_usd(amount * money.CENT)


@register.filter
def percent(value: Decimal | float | None) -> str:
    """12.5 %, or a dash for None."""
    return "–" if value is None else f"{value:.1f} %"  # noqa: RUF001 - an en dash, on purpose


@register.filter
def sentence(alert: UsageAlert) -> str:
    """The alert's text."""
    return alert_text.message(alert)


@register.filter
def milliseconds(value: float | None) -> str:
    """9.5 ms, 850 ms, 12.5 s, or a dash for None."""
    if value is None:
        return "–"  # noqa: RUF001 - an en dash, on purpose
    if value >= 10_000:
        return f"{value / 1000:.1f} s"
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.1f} ms"
