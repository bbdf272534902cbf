"""`manage.py sync_prices`: proposals from a public price list, for operators to accept; no price changes by itself."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import IntegrityError
from django.utils import timezone

from lib import commands
from providers import price_sync
from providers.models import PriceProposal
from providers.price_sources import Left, Offer

BATCH = 500  # statements between two looks at SIGTERM
Source = PriceProposal.Source


class Stopped(Exception):
    """SIGTERM came while the list was being read."""


class Command(BaseCommand):
    help = "Compares a public price list with the price book and proposes the differences; an operator accepts them."

    def add_arguments(self, parser: CommandParser | ArgumentParser) -> None:
        parser.add_argument("--source", required=True, choices=Source.values)
        parser.add_argument("file", nargs="?", metavar="FILE", help="LiteLLM's model_prices_and_context_window.json")
        parser.add_argument(
            "--valid-from", metavar="DATE", help="Where a new price without a date begins (35 days before today, UTC)."
        )
        parser.add_argument("--dry-run", action="store_true", help="Tell what would be proposed, write nothing.")

    def handle(self, *, source: str, file: str | None, valid_from: str | None, dry_run: bool, **_options: Any) -> None:  # noqa: ANN401 - argparse
        at = timezone.now()
        try:
            new_from = _day(valid_from, at.date())
            with commands.Progress(self, "statements") as progress:
                statements = list(_watched(_statements(source, file), progress))
            counts = price_sync.run(statements, source=source, at=at, new_from=new_from, dry_run=dry_run)
        except (ValueError, ImportError, OSError) as error:
            raise commands.bad_use(str(error)) from error
        except Stopped:
            commands.close(self, "Stopped before the end: nothing was written.", failed=True)
        except IntegrityError:
            commands.close(self, "Another run wrote the same proposals: nothing was written.", failed=True)
        else:
            for reason, count in sorted(counts.left.items()):
                self.stdout.write(f"left out {count}: {reason}")
            commands.close(self, _summary(counts, dry_run=dry_run))


def _statements(source: str, file: str | None) -> Iterator[Offer | Left]:
    """Raises ValueError where the file does not fit the source, or is no price list; ImportError, OSError."""
    if source == Source.GENAI:
        if file is not None:
            raise ValueError("genai reads the installed package genai-prices: it takes no FILE.")
        from providers.price_sources import genai

        return genai.offers()
    if file is None:
        raise ValueError("litellm reads a FILE: name LiteLLM's model_prices_and_context_window.json.")
    from providers.price_sources import litellm

    return litellm.offers(Path(file))


def _watched(statements: Iterator[Offer | Left], progress: commands.Progress) -> Iterator[Offer | Left]:
    for number, statement in enumerate(statements, start=1):
        yield statement
        if number % BATCH == 0:
            progress.add(BATCH)
        if progress.stopped:
            raise Stopped


def _day(text: str | None, today: date) -> date | None:
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"--valid-from: {text!r} is no date such as 2026-11-01.") from error
    if day > today:
        raise ValueError("--valid-from: a day up to today (UTC).")
    return day


def _summary(counts: price_sync.Counts, *, dry_run: bool) -> str:
    kinds = ", ".join(f"{counts.proposed[kind]} {kind}" for kind in PriceProposal.Kind.values)
    return (
        f"{counts.read} statements read: {counts.unchanged} unchanged, {kinds}; {counts.flagged} flagged, "
        f"{counts.rejected} rejected before, {counts.superseded} superseded, {counts.left.total()} left out."
        + (" Nothing was written." if dry_run else " Nothing is priced until an operator accepts it.")
    )
