"""`manage.py ensure_admin`: the user that `make run` makes, its password printed once."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

pytestmark = pytest.mark.django_db


def run(*args: str) -> str:
    out = StringIO()
    call_command("ensure_admin", *args, stdout=out)
    return out.getvalue()


def password_in(text: str) -> str:
    found = re.search(r"password +(\S+)$", text, re.MULTILINE)
    assert found
    return found[1]


def test_the_first_time_it_prints_a_password_that_works() -> None:
    assert User.objects.exists() is False
    password = password_in(run())
    assert User.objects.get(username="admin").check_password(password)


def test_the_second_time_it_keeps_the_password_and_prints_address_and_user() -> None:
    password = password_in(run())
    again = run("--address", "http://127.0.0.1:9000")

    assert "http://127.0.0.1:9000/admin/" in again
    assert "user       admin" in again
    assert password not in again
    assert User.objects.get().check_password(password)


def test_a_new_password_replaces_the_old_one() -> None:
    old = password_in(run())
    new = password_in(run("--new-password"))

    assert User.objects.get().check_password(new)
    assert not User.objects.get().check_password(old)
