"""One row in a process of its own (`python -m bench.row WHERE [--full]`): prints its outcomes as JSON. Called by bench."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import asdict

import django

from bench.rows import FULL, MODERATE


def main(where: str, *, full: bool) -> None:
    django.setup()
    module, _, function = where.partition(":")
    measure = getattr(importlib.import_module(f"bench.{module}"), function)
    outcomes = measure(FULL if full else MODERATE)
    print(json.dumps([asdict(outcome) for outcome in outcomes]))


if __name__ == "__main__":
    main(sys.argv[1], full="--full" in sys.argv)
