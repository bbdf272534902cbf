"""`create_api_key`: prints only the token, once; invalid arguments create no key."""

from __future__ import annotations

import pytest

from billing.accounts import access
from billing.models import Account, ApiKey
from tests.billing.ledger_rows import NOON, run

pytestmark = pytest.mark.django_db


def test_a_service_key_is_printed_and_works() -> None:
    result = run("create_api_key", "ingest", "--scope", "read", "--scope", "ingest")

    key = access.find_key(result.out.strip(), at=NOON)
    assert result.status == 0
    assert key is not None
    assert (key.name, key.scopes, key.account) == ("ingest", ["ingest", "read"], None)
    assert result.out.strip() not in result.err


def test_a_key_can_be_bound_to_an_account(account: Account) -> None:
    result = run("create_api_key", "theirs", "--scope", "read", "--account", "acct_42")

    key = access.find_key(result.out.strip(), at=NOON)
    assert key is not None
    assert key.account == account


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x", "--scope", "read", "--account", "nobody"), "Account 'nobody' does not exist."),
        ((" ", "--scope", "read"), "The name must have 1 to 100 characters."),
        (("x" * 101, "--scope", "read"), "The name must have 1 to 100 characters."),
    ],
)
def test_a_usage_error_creates_no_key(arguments: tuple[str, ...], message: str) -> None:
    result = run("create_api_key", *arguments)

    assert (result.status, result.err, ApiKey.objects.count()) == (2, message, 0)


@pytest.mark.parametrize("arguments", [("x",), ("x", "--scope", "everything"), ("--scope", "read")])
def test_arguments_refused_by_argparse_create_no_key(arguments: tuple[str, ...]) -> None:
    assert run("create_api_key", *arguments).out == ""
    assert ApiKey.objects.count() == 0
