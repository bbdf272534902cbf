"""`manage.py seed_demo`: a small, clearly labelled demonstration data set."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from billing import demo
from billing.accounts import accounts


class Command(BaseCommand):
    help = "Fill three accounts named “Demo: …” with up to three months of usage. Where there are accounts it changes nothing."

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401
        calls = demo.seed(timezone.now())
        names = ", ".join(demo.ACCOUNTS)
        if calls:
            self.stdout.write(f"{calls} demonstration calls made for {names}")
        elif accounts.find(demo.ACCOUNTS):
            self.stdout.write(f"demonstration data is there already: {names}")
        else:
            self.stdout.write("There are accounts already: no demonstration data was made.")
