"""`manage.py detect_provider`: its text and JSON output."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("detect_provider", *arguments, stdout=out)
    return out.getvalue()


def test_it_prints_the_detection_as_text() -> None:
    assert run("video", "--model", "x", "--endpoint", "/video-generation/wavespeed").splitlines() == [
        "WaveSpeed (wavespeed)",
        "confidence: strong",
        "category: video",
        "rule: path-wavespeed",
        "evidence: path wavespeed",
    ]


def test_it_prints_the_detection_as_json() -> None:
    assert json.loads(run("openai", "--served-by", "OpenRouter", "--json")) == {
        "label": "OpenRouter",
        "actual_provider": "openrouter",
        "confidence": "exact",
        "category": "text",
        "rule": "served_by",
        "evidence": "caller's statement OpenRouter",
    }


def test_a_missing_label_is_reported_by_name() -> None:
    with pytest.raises(CommandError, match="the following arguments are required: provider"):
        run()
