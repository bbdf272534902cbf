"""`manage.py migrate`: Django's command, which then loads the release's shipped data. docs/adr/0023 says why here."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate
from django.db import DEFAULT_DB_ALIAS
from django.utils import timezone

from config import shipped_data

PARTIAL = ("app_label", "plan", "check_unapplied", "fake")


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own types
        """Loads shipped data after a complete run only: the tables are then those of this release."""
        super().handle(*args, **options)
        if options["database"] != DEFAULT_DB_ALIAS or any(options[name] for name in PARTIAL):
            return
        for line in shipped_data.load(at=timezone.now()):
            if options["verbosity"]:
                self.stdout.write(line)
