"""`manage.py seed_demo`: a small, clearly labelled demonstration data set."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from billing import demo


class Command(BaseCommand):
    help = "Fill three accounts named “Demo: …” with 45 days of usage. A second time it changes nothing."

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401
        stored = [result for result in demo.seed(timezone.now()) if result.status == "accepted"]
        accounts = ", ".join(demo.ACCOUNTS)
        if stored:
            self.stdout.write(f"{len(stored)} demonstration calls made for {accounts}")
        else:
            self.stdout.write(f"demonstration data is there already: {accounts}")
