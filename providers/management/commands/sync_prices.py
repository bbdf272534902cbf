"""`manage.py sync_prices`: creates price proposals from a public price list, and accepts them if asked to.

Without --accept no price changes until an operator accepts a proposal in the admin.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import IntegrityError
from django.utils import timezone

from lib import commands
from providers import price_decisions, price_sync
from providers.models import DetectionRule, PriceProposal
from providers.price_sources import Offer, Omission

PROGRESS_STEP = 500  # statements between progress updates
MAX_REASONS = 40  # lines about what is left out
ACCEPT_NEW, ACCEPT_ALL = "new", "all"
Source = PriceProposal.Source


class Interrupted(Exception):
    """SIGTERM was received while the list was being read."""


class Command(BaseCommand):
    help = "Compare a public price list with the price book and propose the differences for an operator to accept."

    def add_arguments(self, parser: CommandParser | ArgumentParser) -> None:
        parser.add_argument("--source", required=True, choices=[Source.GENAI.value, Source.LITELLM.value])
        parser.add_argument("file", nargs="?", metavar="FILE", help="LiteLLM's model_prices_and_context_window.json")
        parser.add_argument(
            "--valid-from", metavar="DATE", help="First day (UTC) of new prices without a date. Default: 35 days ago."
        )
        parser.add_argument("--dry-run", action="store_true", help="Show what would be proposed, store nothing.")
        parser.add_argument(
            "--accept",
            choices=[ACCEPT_NEW, ACCEPT_ALL],
            help="Then accept this source's open proposals: new prices without a flag, or all.",
        )
        parser.add_argument(
            "--drop-rates",
            action="store_true",
            help="With --accept all: also accept prices that lack rates of the current price. Default: they stay open.",
        )

    def handle(self, *, source: str, file: str | None, valid_from: str | None, dry_run: bool, **options: Any) -> None:  # noqa: ANN401 - argparse
        at, accepted = timezone.now(), options["accept"]
        try:
            _check_options(accepted, dry_run=dry_run, drop_rates=options["drop_rates"])
            new_from = _parse_day(valid_from, at.date())
            with commands.Progress(self, "statements") as progress:
                statements = list(_with_progress(_read_source(source, file), progress))
            counts = price_sync.run(statements, source=source, at=at, new_from=new_from, dry_run=dry_run)
        except (ValueError, ImportError, OSError) as error:
            raise commands.usage_error(str(error)) from error
        except Interrupted:
            commands.finish(self, "Stopped before the end. Nothing was stored.", failed=True)
        except IntegrityError:
            commands.finish(self, "Another run stored the same proposals. Nothing was stored by this one.", failed=True)
        else:
            for line in _left_out(counts):
                self.stdout.write(line)
            if not accepted:
                commands.finish(self, f"{_summary(counts)} {_effect(dry_run=dry_run)}")
                return
            self.stdout.write(_summary(counts))
            self._accept(source, accepted, drop_rates=options["drop_rates"], at=at)

    def _accept(self, source: str, choice: str, *, drop_rates: bool, at: datetime) -> None:
        """Accepts the proposals and says how many stay open. Exit status 1 if --accept all left any."""
        proposals = PriceProposal.objects.filter(source=source, state=PriceProposal.State.OPEN)
        selected = proposals
        if choice == ACCEPT_NEW:
            selected = proposals.filter(kind=PriceProposal.Kind.NEW).exclude(price_sync.FLAGGED)
        ids = list(selected.order_by().values_list("pk", flat=True))
        result = price_decisions.accept(ids, actor=None, at=at, drop_rates=drop_rates)
        flagged = proposals.filter(price_sync.FLAGGED).count()
        left = proposals.count()
        line = f"{len(result.done)} accepted, in force from now on; {left} still open: {flagged} flagged"
        if result.unconfirmed:
            line += f", {len(result.unconfirmed)} would drop rates (--drop-rates)"
        if result.stale:
            line += f", {len(result.stale)} because the price book has changed meanwhile"
        commands.finish(
            self, f"{line}.{_waiting_rules()}", failed=bool(result.stale or (choice == ACCEPT_ALL and left))
        )


def _check_options(accepted: str | None, *, dry_run: bool, drop_rates: bool) -> None:
    """Raises ValueError for options that exclude each other."""
    if accepted and dry_run:
        raise ValueError("--accept stores prices and --dry-run stores nothing: use one of them.")
    if drop_rates and accepted != ACCEPT_ALL:
        raise ValueError("--drop-rates needs --accept all.")


def _read_source(source: str, file: str | None) -> Iterator[Offer | Omission]:
    """Reads the source. Raises ValueError for a wrong or missing file, ImportError without the package, OSError."""
    if source == Source.GENAI:
        if file is not None:
            raise ValueError("genai reads the installed package genai-prices and takes no FILE.")
        from providers.price_sources import genai

        return genai.offers()
    if file is None:
        raise ValueError("litellm needs a FILE: LiteLLM's model_prices_and_context_window.json.")
    from providers.price_sources import litellm

    return litellm.offers(Path(file))


def _with_progress(statements: Iterator[Offer | Omission], progress: commands.Progress) -> Iterator[Offer | Omission]:
    for number, statement in enumerate(statements, start=1):
        yield statement
        if number % PROGRESS_STEP == 0:
            progress.add(PROGRESS_STEP)
        if progress.stopped:
            raise Interrupted


def _parse_day(text: str | None, today: date) -> date | None:
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"--valid-from: {text!r} is not a date such as 2026-11-01.") from error
    if day > today:
        raise ValueError("--valid-from must not be later than today (UTC).")
    return day


def _left_out(counts: price_sync.SyncCounts) -> list[str]:
    """Returns a line for each reason: prices that are left out, then what others are offered without."""
    lines = [f"left out {count}: {reason}" for reason, count in sorted(counts.omitted.items())]
    lines += [f"{count} offered without {name}" for name, count in sorted(counts.without.items())]
    more = len(lines) - MAX_REASONS
    return [*lines[:MAX_REASONS], *([f"and {more} more reasons"] if more > 0 else [])]


def _summary(counts: price_sync.SyncCounts) -> str:
    kinds = ", ".join(f"{counts.proposed[kind]} {kind}" for kind in PriceProposal.Kind.values)
    return (
        f"{counts.read} statements read: {counts.unchanged} unchanged, {kinds}; {counts.flagged} flagged, "
        f"{counts.rejected} rejected before, {counts.superseded} superseded, {counts.omitted.total()} left out."
    )


def _effect(*, dry_run: bool) -> str:
    if dry_run:
        return "Nothing was stored."
    return f"Proposals have no effect until an operator accepts them.{_waiting_rules()}"


def _waiting_rules() -> str:
    waiting = DetectionRule.objects.filter(proposed=True).count()
    return f" Proposed detection rules to review: {waiting}." if waiting else ""
