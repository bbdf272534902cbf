"""Sets, edits and deletes account limits for tests as an operator does: on the account's admin page."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.test import Client

from billing.models import Account, LimitOverride, Meter

Row = dict[str, str]


def limit_row(usd: str | None, *, meter: str = "monthly_cost", kind: str = "soft", reason: str = "agreed") -> Row:
    """A row with this amount; None is unlimited."""
    allowance = {"allowance": "an amount", "quantity": usd} if usd is not None else {"allowance": "unlimited"}
    pk = str(Meter.objects.get(slug=meter).pk)
    return {"meter": pk, "per": "period", "kind": kind, "reason": reason, "expires_on": "", **allowance}


def save(operator: Client, account: Account, *rows: Row) -> None:
    """Posts the page with one row for each stored override, oldest first, then rows of new ones."""
    stored = list(LimitOverride.objects.filter(account=account).order_by("meter__position", "meter__slug", "-per"))
    prefix = "limit_overrides"
    form = {
        "timezone": account.timezone,
        "anchor_day": str(account.anchor_day),
        "active": "on",
        "memberships-TOTAL_FORMS": "0",
        "memberships-INITIAL_FORMS": "0",
        f"{prefix}-TOTAL_FORMS": str(len(rows)),
        f"{prefix}-INITIAL_FORMS": str(len(stored)),
    }
    for index, row in enumerate(rows):
        key = {"id": str(stored[index].pk)} if index < len(stored) else {}
        values = {**row, **key, "account": str(account.pk)}
        form |= {f"{prefix}-{index}-{name}": value for name, value in values.items()}
    log_in(operator)
    response = operator.post(f"/admin/billing/account/{account.pk}/change/", form)
    assert response.status_code == 302, response.context["errors"]


def log_in(operator: Client) -> None:
    """Starts a new session, as sessions end while the clock moves by weeks."""
    operator.force_login(User.objects.get(username="operator"))
