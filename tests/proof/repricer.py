"""A re-pricing, or the revert of a batch, as a process (`python -m tests.proof.repricer [BATCH]`).

Prints "step" after each committed step; a kill after such a line hits the next step at an arbitrary point.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import django

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BATCH_SIZE = 20


def main(revert: str = "") -> None:
    django.setup()
    from billing.corrections import repricing
    from billing.corrections.repricing import RepricingChoice
    from billing.models import CorrectionBatch

    if revert:
        steps = repricing.revert(
            CorrectionBatch.objects.get(pk=revert), actor="proof", size=BATCH_SIZE, clock=lambda: AT
        )
    else:
        batch = repricing.start(RepricingChoice(unpriced=True), reason="proof", actor="proof", at=AT)
        steps = repricing.run(batch, size=BATCH_SIZE, clock=lambda: AT)
    for _ in steps:
        sys.stdout.write("step\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
