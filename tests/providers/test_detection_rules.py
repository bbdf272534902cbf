"""How rules match and which one wins, with small rule sets; what an operator's own rules can do."""

from __future__ import annotations

import time

import pytest

from providers.detection import Call, Rule, RuleSet
from providers.endpoints import Endpoint, parse_endpoint
from tests.providers.rulesets import rule, with_own_rules

NAMES = {"acme": "acme", "Acme Cloud": "acme", "other": "other", "gate": "gate"}


def provider_for(rules: list[Rule], declared: str = "label", model: str = "", endpoint: str = "") -> str:
    return RuleSet(rules, NAMES, ["gate"]).detect(Call(declared, model, endpoint)).actual_provider


@pytest.mark.parametrize(
    ("endpoint", "host", "path"),
    [
        ("https://API.Acme.Example/V1/Chat?key=secret#x", "api.acme.example", "/v1/chat"),
        ("wss://user:pass@acme.example:443", "acme.example", "/"),
        ("https://[2001:DB8::1]:8000/x", "2001:db8::1", "/x"),
        ("acme.example:8000/x", "acme.example", "/x"),
        ("/v1/chat", "", "/v1/chat"),
        ("agent_action", "", "/agent_action"),
        ("v1.0/chat", "", "/v1.0/chat"),
        ("//video-generation//acme", "", "/video-generation//acme"),
        ("", "", "/"),
        ("https://a b/x", "?", "/x"),
    ],
)
def test_an_endpoint_is_split_into_host_and_path(endpoint: str, host: str, path: str) -> None:
    assert parse_endpoint(endpoint) == Endpoint(host, path)


@pytest.mark.parametrize(
    ("pattern", "host", "matches"),
    [
        ("acme.example", "acme.example", True),
        ("acme.example", "eu.api.acme.example", True),
        ("acme.example", "notacme.example", False),
        ("acme.example", "acme.example.evil.example", False),
        ("*.acme.example", "eu.acme.example", True),
        ("llm.*.acme.example", "llm.eu-west-1.acme.example", True),
        ("llm.*.acme.example", "llm.a.b.acme.example", False),
        ("llm-*.acme.example", "llm-eu.acme.example", True),
        ("llm-*.acme.example", "llm.acme.example", False),
        ("a.me.example", "axme.example", False),
    ],
)
def test_a_host_pattern_matches_whole_labels_from_the_end(pattern: str, host: str, matches: bool) -> None:
    assert provider_for([rule("host", pattern, "acme")], endpoint=f"https://{host}/") == (
        "acme" if matches else "unknown"
    )


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("acme", "/x/acme", True),
        ("acme", "/acme-video/x", True),
        ("acme", "/x_acme", True),
        ("acme", "/acmes", False),
        ("acme", "/faacme", False),
        ("acme", "/acmé", False),
        ("big-acme", "/big_acme", True),
        ("big-acme", "/big/acme", False),
        ("/acme/", "/x/acme", True),
        ("/acme/", "/acme-video", False),
        ("openai/acme", "/v1/openai/acme/x", True),
        ("openai/acme", "/v1/openai/x/acme", False),
        ("model/*/run", "/model/some.thing:0/run", True),
        ("model/*/run", "/model/a/b/run", False),
        ("arn:*:acme", "/arn:x:acme", True),
        ("/arn:*:acme/", "/arn:x:y:acme", True),
    ],
)
def test_a_path_pattern_matches_whole_tokens_or_with_a_slash_whole_segments(
    pattern: str, path: str, matches: bool
) -> None:
    assert provider_for([rule("path", pattern, "acme")], endpoint=path) == ("acme" if matches else "unknown")


@pytest.mark.parametrize(
    ("pattern", "model", "matches"),
    [
        ("acme-*", "ACME-1", True),
        ("acme-*", "my-acme-1", False),
        ("acme/*", "acme/x/y", True),
        ("*:acme", "x/y:acme", True),
        ("*:acme", "x:acme-2", False),
        ("*-acme-*", "x-acme-1", True),
        ("a*b*c", "axxbyyc", True),
        ("a*b*c", "axxcyyb", False),
        ("ac.e", "acme", False),
        ("*", "anything\nat all", True),
    ],
)
@pytest.mark.parametrize("evidence", ["namespace", "family"])
def test_a_model_pattern_is_a_glob_over_the_whole_name(evidence: str, pattern: str, model: str, matches: bool) -> None:
    assert provider_for([rule(evidence, pattern, "acme")], model=model) == ("acme" if matches else "unknown")


def test_matching_time_is_linear_in_the_text_length() -> None:
    rules = RuleSet([rule("family", "a*a*a*a*a*b", "acme"), rule("path", "a*a*a*a*a*b/*/c", "acme")], NAMES)

    def seconds(length: int) -> float:
        started = time.process_time()
        for number in range(20):
            rules.detect(Call("label", "a" * length + str(number), "/" + "a" * length))
        return time.process_time() - started

    assert min(seconds(80_000) for _ in range(3)) < 10 * min(seconds(20_000) for _ in range(3))


def test_a_rule_applies_only_to_its_labels() -> None:
    rules = [rule("family", "x-*", "acme", declared=frozenset({"Image_Edit"}))]
    assert provider_for(rules, "image edit", "x-1") == "acme"
    assert provider_for(rules, "image", "x-1") == "unknown"


def test_an_operators_rule_comes_before_a_shipped_one_then_lower_order_then_longer_pattern() -> None:
    shipped = rule("family", "x-long-*", "other", shipped=True, order=1)
    assert provider_for([shipped, rule("family", "x-*", "acme")], model="x-long-1") == "acme"
    assert (
        provider_for([rule("family", "x-long-*", "other"), rule("family", "x-*", "acme", order=1)], model="x-long-1")
        == "acme"
    )
    assert (
        provider_for([rule("family", "x-*", "other"), rule("family", "x-long-*", "acme")], model="x-long-1") == "acme"
    )
    assert provider_for([rule("family", "x-*", "other"), rule("family", "*-long", "acme")], model="x-long") == "acme"


def test_the_first_of_two_names_in_a_path_wins() -> None:
    rules = [rule("path", "acme", "acme"), rule("path", "other", "other")]
    assert provider_for(rules, endpoint="/other/acme") == "other"
    assert provider_for(rules, endpoint="/acme/other") == "acme"


def test_a_path_rule_without_a_provider_removes_its_segments_from_the_evidence() -> None:
    rules = [rule("path", "acme", "acme"), rule("path", "other", "other"), rule("path", "acme/v1")]
    assert provider_for(rules, endpoint="/acme/v1/chat") == "unknown"
    assert provider_for(rules, endpoint="/acme/v1/other") == "other"
    assert provider_for(rules, endpoint="/acme/chat") == "acme"


def test_a_gateways_label_is_overruled_by_the_path_but_not_by_the_model() -> None:
    rules = [rule("namespace", "x/*", "acme"), rule("path", "acme", "acme"), rule("declared", "gate", "gate")]
    assert provider_for(rules, "gate", "x/1") == "gate"
    assert provider_for(rules, "gate", "x/1", "/acme") == "acme"


def test_an_alias_is_detected_by_the_label_rule_of_its_provider() -> None:
    rules = [rule("declared", "acme", "acme", category="audio")]
    detection = RuleSet(rules, NAMES).detect(Call("acme cloud", "", ""))
    assert (detection.actual_provider, detection.category, detection.rule) == ("acme", "audio", "own-declared-acme")
    assert RuleSet([], NAMES).detect(Call("acme cloud", "", "")).rule == "declared-label"


def test_an_operators_rule_can_match_an_unknown_host_and_a_private_one() -> None:
    rules = with_own_rules(rule("host", "llm.acme.example", "azure"), rule("host", "10.1.2.3", "groq"))
    detections = [
        rules.detect(Call("openai", "gpt-4o", url)) for url in ("https://llm.acme.example/v1", "http://10.1.2.3:8000/")
    ]
    assert [(detection.actual_provider, detection.confidence) for detection in detections] == [
        ("azure", "exact"),
        ("groq", "exact"),
    ]


@pytest.mark.parametrize(
    ("declared", "endpoint", "provider", "evidence"),
    [
        ("acme", "https://api.acme.example/v1", "acme", "label acme; no rule for host api.acme.example"),
        ("Acme Cloud", "https://other.example/v1", "acme", "label Acme Cloud; no rule for host other.example"),
        ("gate", "https://api.acme.example/v1", "gate", "label gate; no rule for host api.acme.example"),
        ("other", "https://api.acme.example/v1", "unknown", "host api.acme.example"),
        ("nobody", "https://api.acme.example/v1", "unknown", "host api.acme.example"),
        ("acme", "https://api.other.example/v1", "other", "host api.other.example"),
        ("acme", "https://other.example.evil/v1", "acme", "label acme; no rule for host other.example.evil"),
        ("acme", "https://exa mple/v1", "unknown", "host ?"),
    ],
)
def test_at_an_unknown_host_the_label_counts_only_for_a_provider_whose_hosts_are_not_known(
    declared: str, endpoint: str, provider: str, evidence: str
) -> None:
    rules = RuleSet([rule("host", "api.other.example", "other")], NAMES, ["gate"])
    detection = rules.detect(Call(declared, "claude-x", endpoint))
    assert (detection.actual_provider, detection.evidence) == (provider, evidence)
    assert detection.confidence == ("exact" if provider == "other" else "fallback")


def test_a_label_unknown_stays_unknown_at_an_unknown_host() -> None:
    detection = with_own_rules().detect(Call("unknown", "gpt-4o", "https://llm.acme.example/v1"))
    assert (detection.actual_provider, detection.rule) == ("unknown", "unknown-host")


def test_an_operators_host_rule_comes_before_a_shipped_one() -> None:
    rules = with_own_rules(rule("host", "openai.com", "azure"))
    assert rules.detect(Call("openai", "gpt-4o", "https://api.openai.com/v1")).actual_provider == "azure"


def test_an_ignored_host_leaves_the_decision_to_path_model_and_label() -> None:
    rules = with_own_rules(rule("host", "proxy.acme.example"), rule("host", "gateway"))
    calls = [
        ("video", "x", "https://proxy.acme.example/video-generation/wavespeed"),
        ("video", "fal-ai/x", "https://proxy.acme.example/run"),
        ("audio", "tts-1", "http://gateway:4000/v1/audio/speech"),
        ("openai", "x", "https://proxy.acme.example/v1/chat/completions"),
        ("video", "x", "https://proxy.acme.example/run"),
    ]
    providers = [rules.detect(Call(*call)).actual_provider for call in calls]
    assert providers == ["wavespeed", "fal", "openai", "openai", "unknown"]


def test_an_operators_label_rule_can_match_a_new_label() -> None:
    rules = with_own_rules(rule("declared", "acme-ai", "azure", category="text"))
    detection = rules.detect(Call("ACME AI", "acme-1", ""))
    assert (detection.actual_provider, detection.confidence, detection.category) == ("azure", "fallback", "text")


def test_every_rule_of_the_label_is_considered_in_evaluation_order() -> None:
    rules = [
        rule("declared", "label", "other"),
        rule("family", "x-*", "acme", shipped=True),
        rule("host", "acme.example", "acme"),
        rule("path", "chat", None, category="text"),
        rule("family", "x-*", "other", declared=frozenset({"someone else"})),
        rule("family", "y-*", "other"),
    ]
    considered = RuleSet(rules, NAMES).considered(Call("label", "x-1", "/v1/chat"))
    assert [(candidate.slug, matches) for candidate, matches in considered] == [
        ("own-host-acme.example", False),
        ("own-path-chat", True),
        ("own-family-y-*", False),
        ("own-family-x-*", True),
        ("own-declared-label", True),
    ]
