"""Tokens of invitations and of password resets stand in no log line, and in no row of the request log."""

from __future__ import annotations

import logging

import pytest
from django.test import Client

from lib.log_secrets import NoTokens


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/usage/invitation/s3cret/", "/usage/invitation/…"),
        ("/usage/password/reset/Mg/s3cret/", "/usage/password/reset/…"),
        ("/usage/invitation/s3cret/?a=1", "/usage/invitation/…?a=1"),
        ("/usage/logs/", "/usage/logs/"),
        ("/usage/invitation/", "/usage/invitation/"),
    ],
)
def test_a_token_is_cut_out_of_a_line(path: str, told: str) -> None:
    record = logging.LogRecord("django.request", logging.WARNING, "", 0, "Not Found: %s", (path,), None)
    assert NoTokens().filter(record)
    assert record.getMessage() == f"Not Found: {told}"


def test_the_console_has_the_filter() -> None:
    (handler,) = [one for one in logging.getLogger().handlers if one.get_name() == "console"]
    assert [type(one) for one in handler.filters] == [NoTokens]


def test_a_refused_token_is_in_no_line(db: None, caplog: pytest.LogCaptureFixture) -> None:
    Client().get("/usage/invitation/s3cret/")
    assert "Not Found: /usage/invitation/…" in caplog.text
    assert "s3cret" not in caplog.text
