"""`manage.py reprice`: rate recorded calls again by today's price book, as adjustments; or take such a run back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from billing.corrections import corrections, repricing
from billing.corrections.apply_corrections import BatchClosed
from billing.corrections.repricing import Change, Choice, Step
from billing.management import command_options
from billing.models import CorrectionBatch
from lib import commands, money

CHOOSING = ("unpriced", "provider", "model", "account", "since", "until")
ACTOR = "reprice"


class Command(BaseCommand):
    help = "Rate recorded calls again by today's prices. Chosen by nothing else, those without a price."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--unpriced", action="store_true", help="Only calls without a price.")
        parser.add_argument("--provider", default="", metavar="SLUG", help="Only calls that this provider served.")
        parser.add_argument("--model", default="", metavar="ID", help="Only calls of exactly this model.")
        parser.add_argument("--account", metavar="ID", help="Only this account's calls.")
        parser.add_argument("--since", metavar="TIME", help="Only calls from this date or time on (UTC).")
        parser.add_argument("--until", metavar="TIME", help="Only calls before this date or time.")
        parser.add_argument("--reason", default="priced again", metavar="TEXT", help="What the adjustments say.")
        parser.add_argument("--batch-size", type=int, default=1000, metavar="N", help="Logs a transaction (1000).")
        parser.add_argument("--dry-run", action="store_true", help="Tell what would change, change nothing.")
        parser.add_argument("--revert", metavar="BATCH", help="Take back the run with this id.")

    def handle(self, *, batch_size: int, dry_run: bool, revert: str | None, **options: Any) -> None:  # noqa: ANN401
        if not 1 <= batch_size <= 10_000:
            raise commands.bad_use("--batch-size is 1 to 10000.")
        if not 1 <= len(options["reason"].strip()) <= corrections.REASON:
            raise commands.bad_use(f"--reason has 1 to {corrections.REASON} characters.")
        if revert is not None:
            if dry_run or any(options[name] for name in CHOOSING):
                raise commands.bad_use("--revert takes back a whole run, and goes with --batch-size only.")
            self._revert(_batch(revert), batch_size)
        elif dry_run:
            found = repricing.preview(_choice(options))
            self._tell(found.changes)
            commands.close(self, f"{found.looked} logs looked at, {_total(found.changes, 'would be re-priced')}.")
        else:
            self._reprice(_choice(options), options["reason"].strip(), batch_size)

    def _reprice(self, choice: Choice, reason: str, size: int) -> None:
        at = timezone.now()
        batch = repricing.start(choice, reason=reason, actor=ACTOR, at=at)
        self._run(repricing.go_on(batch, size=size, at=at), batch, "re-priced")

    def _revert(self, batch: CorrectionBatch, size: int) -> None:
        try:
            steps = repricing.revert(batch, actor=ACTOR, size=size, at=timezone.now())
        except corrections.NotReverted as error:
            raise commands.bad_use(str(error)) from error
        self._run(steps, batch, "taken back")

    def _run(self, steps: Iterator[Step], batch: CorrectionBatch, done: str) -> None:
        seen: list[Step] = []
        end = ""
        with commands.Progress(self, "logs") as progress:
            try:
                for step in steps:
                    seen.append(step)
                    progress.add(step.looked)
                    if progress.stopped:
                        end = " Stopped before the end: run it again to go on."
                        break
            except BatchClosed:
                end = " Stopped: somebody else finished or reverted this batch."
        changes = _by_account(step.change for step in seen)
        self._tell(changes)
        looked, skipped = sum(step.looked for step in seen), sum(step.skipped.total() for step in seen)
        line = f"{looked} logs looked at, {_total(changes, done)}, {skipped} skipped. Batch {batch.id}.{end}"
        commands.close(self, line, failed=bool(end))

    def _tell(self, changes: Iterable[Change]) -> None:
        for one in changes:
            if one.calls or one.unpriced:
                self.stdout.write(f"{one.account}: {_figures(one)}")


def _figures(one: Change) -> str:
    old, new = money.exact_usd(one.old_nano), money.exact_usd(one.new_nano)
    return f"{one.calls} calls, {old} -> {new} USD, {one.unpriced} without a price"


def _total(changes: Iterable[Change], done: str) -> str:
    total = sum(changes, Change(""))
    old, new = money.exact_usd(total.old_nano), money.exact_usd(total.new_nano)
    return f"{total.calls} {done}: {old} -> {new} USD, {total.unpriced} without a price"


def _by_account(changes: Iterable[Change]) -> list[Change]:
    found: dict[str, Change] = {}
    for change in changes:
        found[change.account] = found.get(change.account, Change(change.account)) + change
    return list(found.values())


def _choice(options: dict[str, Any]) -> Choice:
    return Choice(
        unpriced=options["unpriced"] or not any(options[name] for name in CHOOSING),
        provider=options["provider"].strip().lower(),
        model=options["model"].strip().lower(),
        account=command_options.account(options["account"]),
        since=command_options.moment(options["since"], "--since"),
        until=command_options.moment(options["until"], "--until"),
    )


def _batch(text: str) -> CorrectionBatch:
    try:
        return CorrectionBatch.objects.get(pk=UUID(text))
    except (ValueError, CorrectionBatch.DoesNotExist) as error:
        raise commands.bad_use(f"There is no batch {text!r}.") from error
