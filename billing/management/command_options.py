"""Parses options that several commands share: an account, and a time."""

from __future__ import annotations

from datetime import UTC, datetime

from billing.accounts import accounts
from billing.models import Account
from lib import commands


def get_account(external_id: str | None) -> Account | None:
    """Returns the account of `--account`, or None if not given. Raises CommandError if it does not exist."""
    if external_id is None:
        return None
    account = accounts.get(external_id)
    if account is None:
        raise commands.usage_error(f"Account {external_id!r} does not exist.")
    return account


def parse_time(text: str | None, option: str) -> datetime | None:
    """Parses the time of `--since` or `--until`, in UTC unless it has an offset. Raises CommandError."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise commands.usage_error(
            f"{option}: {text!r} is not a date or time such as 2026-11-01 or 2026-11-01T09:30Z."
        ) from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)
