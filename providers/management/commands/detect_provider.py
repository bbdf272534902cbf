"""`manage.py detect_provider`: who would be named for a call, and why; the same as the API, for a terminal."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from providers import rulebook
from providers.detection import Call


class Command(BaseCommand):
    help = "Names the provider that a call would be attributed to, with the rule and the evidence."

    def add_arguments(self, parser: CommandParser | ArgumentParser) -> None:
        parser.add_argument("provider", help="the declared provider: a vendor, a modality, or any other label")
        parser.add_argument("--model", default="")
        parser.add_argument("--endpoint", default="", help="a path or a whole URL")
        parser.add_argument("--served-by", default="", help="the provider, where the caller knows it")
        parser.add_argument("--json", action="store_true", help="print the answer as JSON")

    def handle(self, *_args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own types
        book = rulebook.current()
        found = book.detect(Call(options["provider"], options["model"], options["endpoint"], options["served_by"]))
        answer = {"label": book.label(found.actual_provider)} | asdict(found)
        if options["json"]:
            self.stdout.write(json.dumps(answer, ensure_ascii=False))
            return
        self.stdout.write(f"{answer['label']} ({found.actual_provider})")
        for name in ("confidence", "category", "rule", "evidence"):
            self.stdout.write(f"{name}: {answer[name]}")
