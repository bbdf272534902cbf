"""The data set of the targets, in the empty database of DATABASE_URL (`python -m bench.fill LOGS`)."""

from __future__ import annotations

import sys

import django

if __name__ == "__main__":
    django.setup()
    from django.utils import timezone

    from bench import large  # imports models

    large.fill(int(sys.argv[1]), at=timezone.now())
