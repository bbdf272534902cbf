"""A re-pricing in a process of its own (`python -m tests.proof.repricer OPTION …`): says "step" after each committed part.

Killed between two of these lines, it was anywhere in the part that follows.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import django

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SIZE = 20


def main(revert: str = "") -> None:
    django.setup()
    from billing.corrections import repricing
    from billing.corrections.repricing import Choice
    from billing.models import CorrectionBatch

    if revert:
        steps = repricing.revert(CorrectionBatch.objects.get(pk=revert), actor="proof", size=SIZE, at=AT)
    else:
        batch = repricing.start(Choice(unpriced=True), reason="proof", actor="proof", at=AT)
        steps = repricing.go_on(batch, size=SIZE, at=AT)
    for _ in steps:
        sys.stdout.write("step\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
