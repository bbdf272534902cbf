"""`python -m bench.run_benchmark MODULE:FUNCTION [--full]`: runs one benchmark and prints its measurements as JSON."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import asdict

import django

from bench.benchmarks import DEFAULT_SIZES, FULL_SIZES


def main(path: str, *, full: bool) -> None:
    django.setup()
    module, _, function = path.partition(":")
    measure = getattr(importlib.import_module(f"bench.{module}"), function)
    measurements = measure(FULL_SIZES if full else DEFAULT_SIZES)
    print(json.dumps([asdict(measurement) for measurement in measurements]))


if __name__ == "__main__":
    main(sys.argv[1], full="--full" in sys.argv)
