"""`python -m bench.fill_data_set LOGS`: creates the data set of the targets in the empty database of DATABASE_URL."""

from __future__ import annotations

import sys

import django

if __name__ == "__main__":
    django.setup()
    from django.utils import timezone

    from bench import large_data_set  # imports models

    large_data_set.fill(int(sys.argv[1]), at=timezone.now())
