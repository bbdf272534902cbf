"""`manage.py explain_charge ID`: why a call costs what it costs; the same as the API, for a terminal."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from billing.archive import archive_file
from billing.models import UsageLog
from billing.reports import log_rows
from lib import commands, ids

COLUMNS = ("unit", "quantity", "rate_usd_per_million", "cost_usd")


class Command(BaseCommand):
    help = "Explains a charge: its units and rates, the price, what corrected it, and who served the call."

    def add_arguments(self, parser: CommandParser | ArgumentParser) -> None:
        parser.add_argument("id", nargs="+", help="the log's id, or the account's id and the event's id")
        parser.add_argument("--json", action="store_true", help="print the answer as JSON")

    def handle(self, *_args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own types
        told = log_rows.whole(_log(options["id"]))
        if options["json"]:
            self.stdout.write(json.dumps(told, cls=DjangoJSONEncoder, ensure_ascii=False))
            return
        state = "void" if told["voided"] else "unpriced" if told["cost_usd"] is None else f"${told['cost_usd']}"
        self.stdout.write(f"{told['account']} {told['event_id']} ({told['id']}): {state}")
        for sentence in told["explanation"]["text"]:
            self.stdout.write(sentence)
        self._table(told["explanation"])

    def _table(self, why: dict[str, Any]) -> None:
        if not why["lines"]:
            return
        lines = [COLUMNS, *([line[name] for name in COLUMNS] for line in why["lines"])]
        lines += [("rounding", "", "", why["rounding_usd"])]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for unit, *figures in lines:
            aligned = (figure.rjust(width) for figure, width in zip(figures, widths[1:], strict=True))
            self.stdout.write("  ".join((unit.ljust(widths[0]), *aligned)))


def _log(words: list[str]) -> UsageLog:
    logs = UsageLog.objects.select_related("account")
    match words:
        case [account, event_id]:
            logs = logs.filter(account__external_key=ids.key_of(account), event_key=ids.key_of(event_id))
        case [text] if (id_ := _uuid(text)) is not None:
            logs = logs.filter(pk=id_)
        case [text]:
            raise commands.bad_use(f"{text!r} is no log id; an event is found by ACCOUNT EVENT_ID.")
        case _:
            raise commands.bad_use("One log id, or ACCOUNT EVENT_ID.")
    found = logs.first()
    if found is None and len(words) == 2 and (path := archive_file.of_event(*words)):
        raise commands.bad_use(f"This call is archived, and no more in the log: see {path}.")
    if found is None:
        raise commands.bad_use(f"There is no log {' '.join(words)!r}.")
    return found


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
