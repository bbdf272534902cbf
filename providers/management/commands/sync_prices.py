"""`manage.py sync_prices`: creates price proposals from a public price list. No price changes until one is accepted."""

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
from providers.price_sources import Offer, Omission

PROGRESS_STEP = 500  # statements between progress updates
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

    def handle(self, *, source: str, file: str | None, valid_from: str | None, dry_run: bool, **_options: Any) -> None:  # noqa: ANN401 - argparse
        at = timezone.now()
        try:
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
            for reason, count in sorted(counts.omitted.items()):
                self.stdout.write(f"left out {count}: {reason}")
            commands.finish(self, _summary(counts, dry_run=dry_run))


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


def _summary(counts: price_sync.SyncCounts, *, dry_run: bool) -> str:
    kinds = ", ".join(f"{counts.proposed[kind]} {kind}" for kind in PriceProposal.Kind.values)
    return (
        f"{counts.read} statements read: {counts.unchanged} unchanged, {kinds}; {counts.flagged} flagged, "
        f"{counts.rejected} rejected before, {counts.superseded} superseded, {counts.omitted.total()} left out."
        + (" Nothing was stored." if dry_run else " Proposals have no effect until an operator accepts them.")
    )
