"""`manage.py ensure_admin`: creates the first admin user with a random password, which is printed once."""

from __future__ import annotations

import secrets
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

USERNAME = "admin"


class Command(BaseCommand):
    help = "Create the user 'admin' and print its password and the log-in address. Running it again changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--address", default="http://127.0.0.1:8000")
        parser.add_argument("--new-password", action="store_true", help="Set and print a new password.")

    def handle(self, *args: Any, address: str, new_password: bool, **options: Any) -> None:  # noqa: ANN401
        user, created = get_user_model().objects.get_or_create(
            username=USERNAME, defaults={"is_staff": True, "is_superuser": True}
        )
        displayed = "as printed when the user was created (`make password` sets a new one)"
        if created or new_password:
            displayed = secrets.token_urlsafe(12)
            user.set_password(displayed)
            user.save(update_fields=["password"])
        self.stdout.write(f"\n  Tollgate   {address}/admin/\n  user       {USERNAME}\n  password   {displayed}\n\n")
