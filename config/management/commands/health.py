"""`manage.py health`: runs the checks of /readyz and prints a line for each; exit status 0 ok, 1 warning, 2 critical."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from lib import readiness


class Command(BaseCommand):
    help = "Run the readiness checks. Exit status: 0 ok, 1 warning, 2 critical."
    requires_system_checks = ()  # so that it also works with wrong settings

    def handle(self, **_options: Any) -> None:  # noqa: ANN401 - argparse
        results = readiness.run_checks()
        status = readiness.worst_status(results.values())
        for name, result in results.items():
            self.stdout.write(f"{name}: {result.status}: {result.detail}")
        self.stdout.write(status)
        self.stdout.flush()
        sys.exit(("ok", "warning", "critical").index(status))
