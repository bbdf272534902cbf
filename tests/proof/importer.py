"""An import and its void as a process (`python -m tests.proof.importer IMPORT [void]`).

Prints "step" after each committed step; a kill after such a line hits the next step at an arbitrary point.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import django

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BATCH_SIZE = 20


def main(import_id: str, action: str = "") -> None:
    django.setup()
    from billing.corrections import import_voids
    from billing.imports import import_steps
    from billing.models import UsageImport

    usage_import = UsageImport.objects.get(pk=import_id)
    if action:
        batch = import_voids.start(usage_import, reason="proof", actor="proof", at=AT)
        for _ in import_voids.run(batch, size=BATCH_SIZE, clock=lambda: AT):
            _report_step()
        return
    import_steps.BATCH_SIZE = BATCH_SIZE
    while not import_steps.run(usage_import, seconds=0, clock=lambda: AT):
        _report_step()


def _report_step() -> None:
    sys.stdout.write("step\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
