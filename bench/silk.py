"""What django-silk adds to a request (`python -m bench.silk`, with bench.silk_settings): prints microseconds of CPU."""

from __future__ import annotations

import sys

import django
from django.core.management import call_command

SILK = ["silk.middleware.SilkyMiddleware"]
REQUESTS, ROUNDS = 200, 3


def main() -> None:
    django.setup()
    from bench import rows_middleware  # imports models

    call_command("migrate", "silk", verbosity=0)
    bare, silk = rows_middleware.costs([[], SILK], ROUNDS, REQUESTS)
    sys.stdout.write(f"{silk - bare}\n")


if __name__ == "__main__":
    main()
