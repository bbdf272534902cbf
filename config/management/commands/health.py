"""`manage.py health`: the checks of /readyz, a line each; exit status 0 ok, 1 warning, 2 critical."""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from lib import readiness


class Command(BaseCommand):
    help = "Run the readiness checks. Exit status: 0 ok, 1 warning, 2 critical."
    requires_system_checks = ()  # it is asked when something is wrong

    def handle(self, **_options: Any) -> None:  # noqa: ANN401 - argparse
        findings = readiness.run()
        status = readiness.worst(findings.values())
        for name, finding in findings.items():
            self.stdout.write(f"{name}: {finding.status}: {finding.detail}")
        self.stdout.write(status)
        self.stdout.flush()
        sys.exit(("ok", "warning", "critical").index(status))
