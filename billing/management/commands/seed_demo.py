"""`manage.py seed_demo`: creates a small, clearly labelled set of demo data."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from billing import demo
from billing.accounts import accounts


class Command(BaseCommand):
    help = "Fill three accounts named “Demo: …” with up to three months of usage, unless there are accounts already."

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401
        calls = demo.seed(timezone.now())
        names = ", ".join(demo.ACCOUNTS)
        if calls:
            self.stdout.write(f"{calls} demo calls created for {names}.")
        elif accounts.find(demo.ACCOUNTS):
            self.stdout.write(f"The demo data already exists: {names}.")
        else:
            self.stdout.write("There are accounts already: no demo data was created.")
