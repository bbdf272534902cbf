"""`manage.py detect_provider`: detects the provider of a call and says why, like the API."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from providers import attribution, rulebook
from providers.detection import Call


class Command(BaseCommand):
    help = "Show the provider that a call would be attributed to, with the rule and the evidence."

    def add_arguments(self, parser: CommandParser | ArgumentParser) -> None:
        parser.add_argument("provider", help="the declared provider: a vendor, a modality, or any other label")
        parser.add_argument("--model", default="")
        parser.add_argument("--endpoint", default="", help="a path or a full URL")
        parser.add_argument("--served-by", default="", help="the provider, if the caller knows it")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *_args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own types
        rules, prices = attribution.current_books()
        call = Call(options["provider"], options["model"], options["endpoint"], options["served_by"])
        detection = attribution.detect(call, rules, prices)
        result = {"label": rulebook.provider_label(detection.actual_provider, rules.labels)} | asdict(detection)
        if options["json"]:
            self.stdout.write(json.dumps(result, ensure_ascii=False))
            return
        self.stdout.write(f"{result['label']} ({detection.actual_provider})")
        for name in ("confidence", "category", "rule", "evidence"):
            self.stdout.write(f"{name}: {result[name]}")
