"""`manage.py create_api_key NAME --scope …`: a key for a machine, printed once."""

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from billing.accounts import access
from billing.management import command_options
from billing.models import ApiKey
from lib import commands


class Command(BaseCommand):
    help = "Make an API key and print it: this once, as only its hash is stored."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="What it is for.")
        parser.add_argument(
            "--scope", action="append", required=True, choices=ApiKey.Scope.values, help="May be given several times."
        )
        parser.add_argument(
            "--account", metavar="ID", help="Bind it to this account; else it is a service key for all."
        )

    def handle(self, *, name: str, scope: list[str], account: str | None, **_options: object) -> None:
        if not name.strip() or len(name) > 100:
            raise commands.bad_use("The name has 1 to 100 characters.")
        bound = command_options.account(account)
        key, token = access.create_key(name=name.strip(), scopes=scope, at=timezone.now(), account=bound)
        whose = f"account {bound.external_id}" if bound else "every account"
        self.stderr.write(f"Key “{key.name}” for {whose}, scopes {', '.join(key.scopes)}. It is not shown again:")
        self.stdout.write(token)
