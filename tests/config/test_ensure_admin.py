"""`manage.py ensure_admin`: creates the user for `make run` and prints its password once."""

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
    match = re.search(r"password +(\S+)$", text, re.MULTILINE)
    assert match
    return match[1]


def test_the_first_run_prints_a_working_password() -> None:
    assert User.objects.exists() is False
    password = password_in(run())
    assert User.objects.get(username="admin").check_password(password)


def test_the_second_run_keeps_the_password_and_prints_address_and_user() -> None:
    password = password_in(run())
    output = run("--address", "http://127.0.0.1:9000")

    assert "http://127.0.0.1:9000/admin/" in output
    assert "user       admin" in output
    assert password not in output
    assert User.objects.get().check_password(password)


def test_a_new_password_replaces_the_old_one() -> None:
    old = password_in(run())
    new = password_in(run("--new-password"))

    assert User.objects.get().check_password(new)
    assert not User.objects.get().check_password(old)
