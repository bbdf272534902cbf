"""The real cases and the earlier system's rows; and that no rule was written for one of them."""

from __future__ import annotations

import csv
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from providers.detection import place
from tests.providers.rulesets import provider, shipped_rules

pytestmark = pytest.mark.shared_data

Case = tuple[str, str, str, str]
REGIONS = {"us-east-1": "eu-south-2", "us-central1": "europe-west9", "dashscope-intl": "dashscope-us"}


@pytest.fixture(scope="module")
def cases(shared_data: Path) -> list[Case]:
    with (shared_data / "detection_cases.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [(row["declared_provider"], row["model"], row["endpoint"], row["expected_actual_provider"]) for row in rows]


def wrong(cases: list[Case], change: Callable[[Case], tuple[str, str, str]] = lambda case: case[:3]) -> list[object]:
    asked = [(change(case), case[3]) for case in cases]
    return [(call, expected, found) for call, expected in asked if (found := provider(*call)) != expected]


def test_every_case(cases: list[Case]) -> None:
    assert len(cases) == 60
    assert wrong(cases) == []


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
    for here, there in REGIONS.items():
        endpoint = endpoint.replace(here, there)
    return case[0], case[1], endpoint


def without_scheme(case: Case) -> tuple[str, str, str]:
    return case[0], case[1], case[2].removeprefix("https://")


@pytest.mark.parametrize(
    "change",
    [upper_case, with_blanks, with_port, with_trailing_dot, with_user, with_noise, in_another_region, without_scheme],
)
def test_the_same_call_written_differently_has_the_same_answer(
    cases: list[Case], change: Callable[[Case], tuple[str, str, str]]
) -> None:
    assert wrong(cases, change) == []


@pytest.mark.parametrize("model", ["", "brand-new-model-9", "gpt-4o", "wavespeed-ai/x", "claude-opus-9"])
def test_any_other_model_at_the_same_address_has_the_same_answer(cases: list[Case], model: str) -> None:
    at_an_address = [case for case in cases if place(case[2]).host]
    assert len(at_an_address) == 58
    assert wrong(at_an_address, lambda case: (case[0], model, case[2])) == []


def test_a_look_alike_of_any_of_the_hosts_is_unknown(cases: list[Case]) -> None:
    for declared, model, endpoint, _ in cases:
        host = place(endpoint).host
        for fake in (
            (f"{host}.evil.example", f"evil.example/{host}", f"x{host.replace('.', '-')}.example") if host else ()
        ):
            assert provider(declared, model, f"https://{fake}/v1") == "unknown", fake


def test_no_shipped_rule_is_a_whole_case(cases: list[Case]) -> None:
    models, endpoints = {case[1].lower() for case in cases}, {case[2].lower() for case in cases}
    for rule in shipped_rules():
        assert rule.pattern not in models | endpoints, rule.slug
        assert f"/{rule.pattern.strip('/')}" not in endpoints, rule.slug


def test_the_earlier_systems_rows(shared_data: Path) -> None:
    with (shared_data / "legacy_usage_logs.expected.csv").open(encoding="utf-8", newline="") as file:
        expected = {int(row["id"]): row["expected"] for row in csv.DictReader(file)}
    database = sqlite3.connect(f"file:{shared_data / 'legacy_usage_logs.sqlite3'}?mode=ro", uri=True)
    try:
        rows = database.execute("SELECT id, provider, model_used, endpoint FROM api_usage_logs").fetchall()
    finally:
        database.close()
    found = {number: provider(declared, model or "", endpoint) for number, declared, model, endpoint in rows}
    assert len(found) == 500
    assert {number for number in found if expected[number] not in ("?", found[number])} == set()
