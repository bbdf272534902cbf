"""`manage.py create_api_key NAME --scope …`: creates an API key and prints it once."""

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from billing.accounts import access
from billing.management import command_options
from billing.models import ApiKey
from lib import commands


class Command(BaseCommand):
    help = "Create an API key and print it. It is printed only once: only its hash is stored."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="What the key is for.")
        parser.add_argument(
            "--scope", action="append", required=True, choices=ApiKey.Scope.values, help="Can be repeated."
        )
        parser.add_argument(
            "--account", metavar="ID", help="Bind the key to this account. Default: a service key for all accounts."
        )

    def handle(self, *, name: str, scope: list[str], account: str | None, **_options: object) -> None:
        if not name.strip() or len(name) > 100:
            raise commands.usage_error("The name must have 1 to 100 characters.")
        bound_to = command_options.get_account(account)
        key, token = access.create_key(name=name.strip(), scopes=scope, at=timezone.now(), account=bound_to)
        owner = f"account {bound_to.external_id}" if bound_to else "all accounts"
        self.stderr.write(f"Key “{key.name}” for {owner}, scopes {', '.join(key.scopes)}. It will not be shown again:")
        self.stdout.write(token)
