"""One pass over the logs of a correction batch: what it skips and why, and the accounts that fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from itertools import islice
from typing import TypeVar

from billing.corrections.apply_corrections import BatchClosed, CorrectionStep, CostChange
from billing.models import CorrectionBatch
from lib import isolation

Step = TypeVar("Step")

ACCOUNT_FAILED = "an error occurred in their account"  # a reason to skip logs; they stay open
MAX_FAILED_ACCOUNTS = 1_000  # stored with a batch; a batch with more starts again with all accounts


class BatchPass:
    """Counts skipped logs by reason. An account is left out from its first error on; the others continue.

    A batch whose previous pass reached its end continues with the accounts that failed, in `only`; None means all accounts.
    """

    def __init__(self, batch: CorrectionBatch | None, *, whole: bool = False) -> None:
        failed = (batch and batch.failed_accounts) or {}
        self.batch = batch
        self.only = None if whole or not 0 < len(failed) < MAX_FAILED_ACCOUNTS else frozenset(failed)
        self.skips = Counter[str]((batch and batch.skips) or {}) if self.only else Counter[str]()
        del self.skips[ACCOUNT_FAILED]  # they are examined again
        self.failed: dict[str, str] = {}  # account, reason

    def attempt(self, account: str, work: Callable[[], Step]) -> Step | None:
        """What `work` returns; None if it fails, or if the account has failed before. Raises BatchClosed."""
        if account in self.failed:
            return None
        problems: list[str] = []
        result = isolation.attempt(work, name=account, problems=problems, passing=(BatchClosed,))
        for problem in problems:
            self.failed[account] = problem.removeprefix(f"{account}: ")
        return result

    def step(self, account: str, logs: int, work: Callable[[], CorrectionStep]) -> CorrectionStep:
        """The step that `work` does; where the account fails, a step that skips all of its `logs`. Raises BatchClosed."""
        done = self.attempt(account, work)
        if done is None:
            skipped, failed = Counter({ACCOUNT_FAILED: logs}), f"{account}: {self.failed[account]}"
            done = CorrectionStep(logs, CostChange(account), skipped, failed=failed)
        self.skips += done.skipped
        return done

    def finish(self, at: datetime) -> None:
        """Store what was skipped; the batch is finished unless an account failed."""
        if self.batch is None:
            return
        failed = dict(islice(self.failed.items(), MAX_FAILED_ACCOUNTS)) or None
        values = {"skipped": self.skips.total(), "skips": dict(self.skips), "failed_accounts": failed}
        if not failed:
            values["finished_at"] = at
        CorrectionBatch.objects.filter(pk=self.batch.pk, finished_at=None).update(**values)
        self.batch.refresh_from_db()
