"""The first admin user, for `make run`: made once with a random password that is printed once."""

from __future__ import annotations

import secrets
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

NAME = "admin"


class Command(BaseCommand):
    help = "Make the user 'admin', print its password once, and say where to log in. A second time it changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--address", default="http://127.0.0.1:8000")
        parser.add_argument("--new-password", action="store_true", help="Give the user a new password.")

    def handle(self, *args: Any, address: str, new_password: bool, **options: Any) -> None:  # noqa: ANN401
        user, made = get_user_model().objects.get_or_create(
            username=NAME, defaults={"is_staff": True, "is_superuser": True}
        )
        shown = "as printed when it was made (`make password` sets a new one)"
        if made or new_password:
            shown = secrets.token_urlsafe(12)
            user.set_password(shown)
            user.save(update_fields=["password"])
        self.stdout.write(f"\n  Tollgate   {address}/admin/\n  user       {NAME}\n  password   {shown}\n\n")
