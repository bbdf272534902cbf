"""`manage.py explain_charge ID`: explains the cost of a call, like the API."""

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
    help = "Explain a charge: its units and rates, the price, its corrections, and who served the call."

    def add_arguments(self, parser: CommandParser | ArgumentParser) -> None:
        parser.add_argument("id", nargs="+", help="a log id, or an account id and an event id")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *_args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own types
        log = log_rows.explained_log(_find_log(options["id"]))
        if options["json"]:
            self.stdout.write(json.dumps(log, cls=DjangoJSONEncoder, ensure_ascii=False))
            return
        state = "void" if log["voided"] else "unpriced" if log["cost_usd"] is None else f"${log['cost_usd']}"
        self.stdout.write(f"{log['account']} {log['event_id']} ({log['id']}): {state}")
        for sentence in log["explanation"]["text"]:
            self.stdout.write(sentence)
        self._write_table(log["explanation"])

    def _write_table(self, explanation: dict[str, Any]) -> None:
        if not explanation["lines"]:
            return
        rows = [COLUMNS, *([line[name] for name in COLUMNS] for line in explanation["lines"])]
        rows += [("rounding", "", "", explanation["rounding_usd"])]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for unit, *numbers in rows:
            aligned = (number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True))
            self.stdout.write("  ".join((unit.ljust(widths[0]), *aligned)))


def _find_log(args: list[str]) -> UsageLog:
    logs = UsageLog.objects.select_related("account")
    match args:
        case [account, event_id]:
            logs = logs.filter(account__external_key=ids.lookup_key(account), event_key=ids.lookup_key(event_id))
        case [text] if (id_ := _parse_uuid(text)) is not None:
            logs = logs.filter(pk=id_)
        case [text]:
            raise commands.usage_error(f"{text!r} is not a log id. To find an event, give ACCOUNT EVENT_ID.")
        case _:
            raise commands.usage_error("Give one log id, or ACCOUNT EVENT_ID.")
    log = logs.first()
    if log is None and len(args) == 2 and (path := archive_file.find_event_file(*args)):
        raise commands.usage_error(f"This call is archived and no longer in the log: see {path}.")
    if log is None:
        raise commands.usage_error(f"Log {' '.join(args)!r} does not exist.")
    return log


def _parse_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
