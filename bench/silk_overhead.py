"""`python -m bench.silk_overhead`, with bench.silk_settings: prints the CPU microseconds that django-silk adds to a request."""

from __future__ import annotations

import sys

import django
from django.core.management import call_command

SILK_MIDDLEWARE = ["silk.middleware.SilkyMiddleware"]
REQUESTS, ROUNDS = 200, 3


def main() -> None:
    django.setup()
    from bench import request_log_overhead  # imports models

    call_command("migrate", "silk", verbosity=0)
    without, with_silk = request_log_overhead.cpu_us_per_request([[], SILK_MIDDLEWARE], ROUNDS, REQUESTS)
    sys.stdout.write(f"{with_silk - without}\n")


if __name__ == "__main__":
    main()
