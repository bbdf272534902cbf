"""Detection of real calls and of the earlier system's rows; no shipped rule may copy one of them."""

from __future__ import annotations

import csv
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from providers.endpoints import parse_endpoint
from tests.providers.rulesets import detected_provider, shipped_rules

pytestmark = pytest.mark.shared_data

Case = tuple[str, str, str, str]
REGIONS = {"us-east-1": "eu-south-2", "us-central1": "europe-west9", "dashscope-intl": "dashscope-us"}


@pytest.fixture(scope="module")
def cases(shared_data: Path) -> list[Case]:
    with (shared_data / "detection_cases.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [(row["declared_provider"], row["model"], row["endpoint"], row["expected_actual_provider"]) for row in rows]


def mismatches(
    cases: list[Case], change: Callable[[Case], tuple[str, str, str]] = lambda case: case[:3]
) -> list[object]:
    expectations = [(change(case), case[3]) for case in cases]
    return [
        (call, expected, detected)
        for call, expected in expectations
        if (detected := detected_provider(*call)) != expected
    ]


def test_every_case_has_the_expected_provider(cases: list[Case]) -> None:
    assert len(cases) == 60
    assert mismatches(cases) == []


def upper_case(case: Case) -> tuple[str, str, str]:
    return case[0].upper(), case[1].upper(), case[2].upper()


def with_blanks(case: Case) -> tuple[str, str, str]:
    return f" {case[0]} ", f" {case[1]}  ", f" {case[2]} "


def with_port(case: Case) -> tuple[str, str, str]:
    return case[0], case[1], re.sub(r"^(https://[^/]+)", r"\1:8443", case[2])


def with_trailing_dot(case: Case) -> tuple[str, str, str]:
    return case[0], case[1], re.sub(r"^(https://[^/]+)", r"\1.", case[2])


def with_user(case: Case) -> tuple[str, str, str]:
    return case[0], case[1], case[2].replace("https://", "https://wavespeed:openai@")


def with_noise(case: Case) -> tuple[str, str, str]:
    return case[0], case[1], f"{case[2]}?provider=wavespeed&u=https://api.openai.com#/huggingface"


def in_another_region(case: Case) -> tuple[str, str, str]:
    endpoint = case[2]
    for region, other_region in REGIONS.items():
        endpoint = endpoint.replace(region, other_region)
    return case[0], case[1], endpoint


def without_scheme(case: Case) -> tuple[str, str, str]:
    return case[0], case[1], case[2].removeprefix("https://")


@pytest.mark.parametrize(
    "change",
    [upper_case, with_blanks, with_port, with_trailing_dot, with_user, with_noise, in_another_region, without_scheme],
)
def test_the_same_call_written_differently_has_the_same_provider(
    cases: list[Case], change: Callable[[Case], tuple[str, str, str]]
) -> None:
    assert mismatches(cases, change) == []


@pytest.mark.parametrize("model", ["", "brand-new-model-9", "gpt-4o", "wavespeed-ai/x", "claude-opus-9"])
def test_any_model_at_the_same_host_has_the_same_provider(cases: list[Case], model: str) -> None:
    with_host = [case for case in cases if parse_endpoint(case[2]).host]
    assert len(with_host) == 58
    assert mismatches(with_host, lambda case: (case[0], model, case[2])) == []


def test_a_lookalike_host_is_unknown(cases: list[Case]) -> None:
    for declared, model, endpoint, _ in cases:
        host = parse_endpoint(endpoint).host
        for fake in (
            (f"{host}.evil.example", f"evil.example/{host}", f"x{host.replace('.', '-')}.example") if host else ()
        ):
            assert detected_provider(declared, model, f"https://{fake}/v1") == "unknown", fake


def test_no_shipped_rule_copies_a_whole_case(cases: list[Case]) -> None:
    models, endpoints = {case[1].lower() for case in cases}, {case[2].lower() for case in cases}
    for rule in shipped_rules():
        assert rule.pattern not in models | endpoints, rule.slug
        assert f"/{rule.pattern.strip('/')}" not in endpoints, rule.slug


def test_rows_of_the_earlier_system_have_the_expected_provider(shared_data: Path) -> None:
    with (shared_data / "legacy_usage_logs.expected.csv").open(encoding="utf-8", newline="") as file:
        expected = {int(row["id"]): row["expected"] for row in csv.DictReader(file)}
    database = sqlite3.connect(f"file:{shared_data / 'legacy_usage_logs.sqlite3'}?mode=ro", uri=True)
    try:
        rows = database.execute("SELECT id, provider, model_used, endpoint FROM api_usage_logs").fetchall()
    finally:
        database.close()
    detected = {
        row_id: detected_provider(declared, model or "", endpoint) for row_id, declared, model, endpoint in rows
    }
    assert len(detected) == 500
    assert {row_id for row_id in detected if expected[row_id] not in ("?", detected[row_id])} == set()
