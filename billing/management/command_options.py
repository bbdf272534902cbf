"""What the options of commands that choose logs mean: an account, and a moment. Called by these commands."""

from __future__ import annotations

from datetime import UTC, datetime

from billing.accounts import accounts
from billing.models import Account
from lib import commands


def account(external_id: str | None) -> Account | None:
    """The account of `--account`; none where it was not given."""
    if external_id is None:
        return None
    found = accounts.get(external_id)
    if found is None:
        raise commands.bad_use(f"There is no account {external_id!r}.")
    return found


def moment(text: str | None, option: str) -> datetime | None:
    """The instant of `--since` or `--until`; UTC where it says nothing."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise commands.bad_use(
            f"{option}: {text!r} is no date or time such as 2026-11-01 or 2026-11-01T09:30Z."
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
