"""`create_api_key`: the token alone on stdout, once; a bad call makes nothing."""

from __future__ import annotations

import pytest

from billing.accounts import access
from billing.models import Account, ApiKey
from tests.billing.ledger_rows import NOW, run

pytestmark = pytest.mark.django_db


def test_a_service_key_is_printed_and_works() -> None:
    end = run("create_api_key", "ingest", "--scope", "read", "--scope", "ingest")

    key = access.find_key(end.out.strip(), at=NOW)
    assert end.status == 0
    assert key is not None
    assert (key.name, key.scopes, key.account) == ("ingest", ["ingest", "read"], None)
    assert end.out.strip() not in end.err


def test_a_key_can_be_bound_to_an_account(account: Account) -> None:
    end = run("create_api_key", "theirs", "--scope", "read", "--account", "acct_42")

    key = access.find_key(end.out.strip(), at=NOW)
    assert key is not None
    assert key.account == account


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x", "--scope", "read", "--account", "nobody"), "There is no account 'nobody'."),
        ((" ", "--scope", "read"), "The name has 1 to 100 characters."),
        (("x" * 101, "--scope", "read"), "The name has 1 to 100 characters."),
    ],
)
def test_bad_use_makes_no_key(arguments: tuple[str, ...], message: str) -> None:
    end = run("create_api_key", *arguments)

    assert (end.status, end.err, ApiKey.objects.count()) == (2, message, 0)


@pytest.mark.parametrize("arguments", [("x",), ("x", "--scope", "everything"), ("--scope", "read")])
def test_arguments_that_argparse_refuses_make_no_key(arguments: tuple[str, ...]) -> None:
    assert run("create_api_key", *arguments).out == ""
    assert ApiKey.objects.count() == 0
