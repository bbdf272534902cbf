"""`manage.py reprice`: re-prices recorded calls by the current price book, as adjustments; or reverts such a batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from billing.corrections import batch_progress, corrections, repricing
from billing.corrections.apply_corrections import BatchClosed
from billing.corrections.batch_pass import ACCOUNT_FAILED
from billing.corrections.repricing import CorrectionStep, CostChange, RepricingChoice
from billing.management import command_options
from billing.models import CorrectionBatch
from lib import commands, money
from providers import model_ids

FILTERS = ("unpriced", "provider", "model", "account", "since", "until")
ACTOR = "reprice"


class Command(BaseCommand):
    help = "Re-price recorded calls by the current prices. Without a filter: only unpriced calls."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--unpriced", action="store_true", help="Only unpriced calls.")
        parser.add_argument("--provider", default="", metavar="SLUG", help="Only calls served by this provider.")
        parser.add_argument("--model", default="", metavar="ID", help="Only calls with exactly this model.")
        parser.add_argument("--account", metavar="ID", help="Only this account's calls.")
        parser.add_argument("--since", metavar="TIME", help="Only calls from this date or time on (UTC).")
        parser.add_argument("--until", metavar="TIME", help="Only calls before this date or time.")
        parser.add_argument(
            "--reason", default="priced again", metavar="TEXT", help="Reason stored with the adjustments."
        )
        parser.add_argument(
            "--batch-size", type=int, default=1000, metavar="N", help="Logs per transaction (default: 1000)."
        )
        parser.add_argument("--dry-run", action="store_true", help="Show what would change, change nothing.")
        parser.add_argument("--revert", metavar="BATCH", help="Revert the batch with this id.")

    def handle(self, *, batch_size: int, dry_run: bool, revert: str | None, **options: Any) -> None:  # noqa: ANN401
        if not 1 <= batch_size <= 10_000:
            raise commands.usage_error("--batch-size must be 1 to 10000.")
        if not 1 <= len(options["reason"].strip()) <= corrections.MAX_REASON_LENGTH:
            raise commands.usage_error(f"--reason must have 1 to {corrections.MAX_REASON_LENGTH} characters.")
        if revert is not None:
            if dry_run or any(options[name] for name in FILTERS):
                raise commands.usage_error("--revert reverts a whole batch and can only be combined with --batch-size.")
            self._revert(_get_batch(revert), batch_size)
        elif dry_run:
            preview = repricing.preview(_parse_choice(options))
            self._write_changes(preview.changes)
            total = _describe_total(preview.changes, "would be re-priced")
            commands.finish(self, f"{preview.examined} logs examined, {total}.")
        else:
            self._reprice(_parse_choice(options), options["reason"].strip(), batch_size)

    def _reprice(self, choice: RepricingChoice, reason: str, size: int) -> None:
        batch = repricing.start(choice, reason=reason, actor=ACTOR, at=timezone.now())
        self._run(repricing.run(batch, size=size, clock=timezone.now), batch, "re-priced", {ACCOUNT_FAILED})

    def _revert(self, batch: CorrectionBatch, size: int) -> None:
        try:
            steps = repricing.revert(batch, actor=ACTOR, size=size, clock=timezone.now)
        except corrections.NotReverted as error:
            raise commands.usage_error(str(error)) from error
        self._run(steps, batch, "reverted", corrections.OPEN_REASONS)

    def _run(
        self, steps: Iterator[CorrectionStep], batch: CorrectionBatch, outcome: str, open_reasons: Collection[str]
    ) -> None:
        done: list[CorrectionStep] = []
        stopped = ""
        with commands.Progress(self, "logs") as progress:
            try:
                for step in steps:
                    done.append(step)
                    progress.add(step.examined)
                    if progress.stopped:
                        stopped = " Stopped before the end: run the command again to continue."
                        break
            except BatchClosed:
                stopped = " Stopped: another process finished or reverted this batch."
        changes = _sum_by_account(step.change for step in done)
        self._write_changes(changes)
        skipped = sum((step.skipped for step in done), Counter[str]())
        for line in [*sorted({step.failed for step in done} - {""}), *batch_progress.describe_skips(skipped)]:
            self.stdout.write(line)
        examined, total = sum(step.examined for step in done), _describe_total(changes, outcome)
        unfinished = stopped or _describe_open(sum(skipped[reason] for reason in open_reasons))
        commands.finish(
            self,
            f"{examined} logs examined, {total}, {skipped.total()} skipped. Batch {batch.id}.{unfinished}",
            failed=bool(unfinished),
        )

    def _write_changes(self, changes: Iterable[CostChange]) -> None:
        for change in changes:
            if change.calls or change.unpriced:
                self.stdout.write(f"{change.account}: {_describe_change(change)}")


def _describe_open(logs: int) -> str:
    return f" {logs} of them are still open: run the command again when the reason is gone." if logs else ""


def _describe_change(change: CostChange) -> str:
    old, new = money.exact_usd(change.old_nano), money.exact_usd(change.new_nano)
    return f"{change.calls} calls, {old} -> {new} USD, {change.unpriced} unpriced"


def _describe_total(changes: Iterable[CostChange], outcome: str) -> str:
    total = sum(changes, CostChange(""))
    old, new = money.exact_usd(total.old_nano), money.exact_usd(total.new_nano)
    return f"{total.calls} {outcome}: {old} -> {new} USD, {total.unpriced} unpriced"


def _sum_by_account(changes: Iterable[CostChange]) -> list[CostChange]:
    totals: dict[str, CostChange] = {}
    for change in changes:
        totals[change.account] = totals.get(change.account, CostChange(change.account)) + change
    return list(totals.values())


def _parse_choice(options: dict[str, Any]) -> RepricingChoice:
    return RepricingChoice(
        unpriced=options["unpriced"] or not any(options[name] for name in FILTERS),
        provider=model_ids.normalize(options["provider"]),
        model=model_ids.normalize(options["model"]),
        account=command_options.get_account(options["account"]),
        since=command_options.parse_time(options["since"], "--since"),
        until=command_options.parse_time(options["until"], "--until"),
    )


def _get_batch(text: str) -> CorrectionBatch:
    try:
        return CorrectionBatch.objects.get(pk=UUID(text))
    except (ValueError, CorrectionBatch.DoesNotExist) as error:
        raise commands.usage_error(f"Batch {text!r} does not exist.") from error
