"""Detection by the shipped rules: a table of real calls, and the order of the evidence."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers import shipped
from providers.detection import CATEGORIES, CONFIDENCE, EVIDENCE
from tests.providers.rulesets import detect, detected_provider, shipped_rules

TABLE_PATH = Path(__file__).with_name("detection_table.csv")
MODALITIES = ["video", "audio", "image", "image_edit"]


def table_rows() -> list[dict[str, str]]:
    with TABLE_PATH.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "case", table_rows(), ids=lambda case: f"{case['reason']}-{case['declared']}-{case['endpoint'][:60]}"
)
def test_a_real_call_is_attributed_to_the_provider_that_bills_it(case: dict[str, str]) -> None:
    assert detected_provider(case["declared"], case["model"], case["endpoint"]) == case["expected"]


def test_the_table_names_every_shipped_provider() -> None:
    assert {row["slug"] for row in shipped.read_rows("providers.json")} == {case["expected"] for case in table_rows()}


def test_served_by_beats_the_host() -> None:
    detection = detect("openai", "gpt-4o", "https://api.openai.com/v1/chat/completions", "openrouter")
    assert (detection.actual_provider, detection.confidence, detection.rule) == ("openrouter", "exact", "served_by")


@pytest.mark.parametrize("stated", ["Hugging Face", "huggingface", "HUGGING-FACE", " hf ", "hugging_face"])
def test_served_by_may_be_slug_alias_or_label_in_any_spelling(stated: str) -> None:
    assert detected_provider("video", served_by=stated) == "huggingface"


def test_an_unknown_served_by_becomes_a_slug_marked_as_unreviewed() -> None:
    detection = detect("openai", "gpt-4o", "https://api.openai.com/v1/responses", "Acme Cloud (EU)")
    assert detection.actual_provider == "acme-cloud-eu"
    assert (detection.confidence, detection.rule) == ("exact", "served_by-unreviewed")
    assert detection.evidence == "caller's statement Acme Cloud (EU)"


@pytest.mark.parametrize("stated", ["", "  ", "unknown", "---", "百度"])
def test_a_served_by_without_a_name_leaves_the_decision_to_other_evidence(stated: str) -> None:
    assert detected_provider("openai", "gpt-4o", "https://api.groq.com/openai/v1/responses", stated) == "groq"


@pytest.mark.parametrize(
    ("call", "confidence", "rule", "evidence"),
    [
        (("openai", "x", "https://api.openai.com/v1"), "exact", "host-openai.com", "host api.openai.com"),
        (("video", "x", "/video-generation/wavespeed"), "strong", "path-wavespeed", "path wavespeed"),
        (("video", "wavespeed-ai/x", ""), "strong", "namespace-wavespeed-ai-any-path", "model wavespeed-ai/x"),
        (("audio", "tts-1-hd", ""), "weak", "family-tts-1-any", "model tts-1-hd"),
        (("openai", "", ""), "fallback", "label-openai", "label openai"),
        (("video", "x", ""), "fallback", "no-evidence", "label video alone"),
        (("openai", "x", "https://acme.example/"), "fallback", "unknown-host", "host acme.example"),
        (("openai", "x", "http://10.0.0.1/"), "exact", "private-host", "host 10.0.0.1"),
    ],
)
def test_a_detection_has_its_confidence_rule_and_evidence(
    call: tuple[str, str, str], confidence: str, rule: str, evidence: str
) -> None:
    detection = detect(*call)
    assert (detection.confidence, detection.rule, detection.evidence) == (confidence, rule, evidence)


def test_host_beats_path_beats_namespace_beats_family_beats_label() -> None:
    url, path, namespace, family = "https://fal.run/x/wavespeed", "/x/wavespeed", "replicate/x", "dall-e-3"
    assert detected_provider("stability", namespace, url) == "fal"
    assert detected_provider("stability", namespace, path) == "wavespeed"
    assert detected_provider("stability", namespace) == "replicate"
    assert detected_provider("stability", family) == "openai"
    assert detected_provider("stability") == "stability"


@pytest.mark.parametrize("label", MODALITIES)
def test_a_modality_without_evidence_is_unknown(label: str) -> None:
    assert detected_provider(label) == detected_provider(label, "some-model", "/generate") == "unknown"


@pytest.mark.parametrize("label", [" gemini", "GEMINI", "gemini ", "Google", "vertex-ai", "google.ai"])
def test_a_label_matches_regardless_of_case_blanks_and_punctuation(label: str) -> None:
    assert detected_provider(label) == "google"


@pytest.mark.parametrize("slug", sorted({row["slug"] for row in shipped.read_rows("providers.json")}))
def test_every_provider_is_detected_by_its_own_slug(slug: str) -> None:
    assert detected_provider(slug) == slug


def test_a_gateways_label_is_not_overruled_by_the_model() -> None:
    assert detected_provider("wavespeed", "openai/gpt-oss-120b") == "wavespeed"
    assert detected_provider("azure", "gpt-4o") == "azure"
    assert detected_provider("wavespeed", "openai/gpt-oss-120b", "/text-generation/huggingface") == "huggingface"


def test_declared_mistral_is_hugging_face_only_if_model_or_path_says_so() -> None:
    assert detected_provider("mistral", "openai/gpt-oss-120b:groq") == "huggingface"
    assert detected_provider("mistral", "openai/gpt-oss-120b:groq", "/text-generation/mistral") == "huggingface"
    assert detected_provider("mistral", "mistral-large-latest", "/text-generation/huggingface") == "huggingface"
    assert detected_provider("mistral", "mistral-large-latest", "/text-generation") == "mistral"
    assert detected_provider("mistral", "openai/gpt-oss-120b:groq", "https://api.mistral.ai/v1/chat") == "mistral"
    assert detected_provider("mistral") == "mistral"


@pytest.mark.parametrize(
    ("call", "category"),
    [
        (("video", "dall-e-3", "https://api.openai.com/v1/images/generations"), "video"),
        (("image", "x", "/image-edit/wavespeed"), "image"),
        (("stability", "", ""), "image"),
        (("stability", "qwen-edit-plus", ""), "image_edit"),
        (("stability", "x", "/image-edit/wavespeed"), "image_edit"),
        (("openai", "gpt-4o", "/v1/chat/completions"), "text"),
        (("openai", "dall-e-3", ""), "image"),
        (("openai", "x", "https://api.openai.com/v1/images/edits"), "image_edit"),
        (("openai", "whisper-1", ""), "audio"),
        (("openai", "gpt-4o-mini-tts", ""), "audio"),
        (("openai", "sora-2", "https://api.openai.com/v1/videos"), "video"),
        (("openai", "text-embedding-3-small", ""), "embedding"),
        (("openai", "x", "https://acme.openai.azure.com/openai/deployments/x/embeddings"), "embedding"),
        (("gemini", "gemini-embedding-001", ""), "embedding"),
        (("gemini", "gemini-2.5-flash-image", ""), "image"),
        (("gemini", "gemini-2.5-flash", "/generate"), "text"),
        (("openai", "eleven_v3", "https://api.elevenlabs.io/v1/x"), "audio"),
        (("openai", "google/gemini-2.5-flash-image", "https://openrouter.ai/api/v1/chat/completions"), "image"),
        (("wavespeed", "openai/gpt-oss-120b", "/text-generation/wavespeed"), "text"),
        (("wavespeed", "alibaba/wan-2.5/text-to-video", ""), "video"),
        (("tavily", "tavily-search", "/search/tavily"), "search"),
        (("tavily", "", "https://api.tavily.com/crawl"), "crawl"),
        (("metaphor", "", ""), "search"),
        (("exa", "", "https://api.exa.ai/contents"), "search"),
        (("serper", "", ""), "search"),
        (("firecrawl", "firecrawl-extract", "/scrape"), "crawl"),
        (("firecrawl", "", "https://api.firecrawl.dev/v2/search"), "search"),
        (("embedding", "", ""), "embedding"),
        (("acme-ai", "acme-1", ""), "other"),
    ],
)
def test_the_category_comes_from_the_label_or_else_from_path_or_model(
    call: tuple[str, str, str], category: str
) -> None:
    assert detect(*call).category == category


@pytest.mark.parametrize("junk", ["\x00", "[", "]", "//", "http://[", "://", "\ud800", "@", "%", "a" * 5000, "(((("])
def test_no_input_raises(junk: str) -> None:
    for declared, model, endpoint, served_by in (
        (junk, "", "", ""),
        ("openai", junk, junk, ""),
        ("video", "", junk, junk),
    ):
        assert detect(declared, model, endpoint, served_by).confidence in {"exact", "fallback"}


@settings(max_examples=300, deadline=None)
@given(st.text(), st.text(), st.text() | st.text(alphabet="htps:/\\@.[]%?#1a-_ é"), st.text())
def test_the_provider_is_a_slug_and_detection_is_repeatable(
    declared: str, model: str, endpoint: str, served_by: str
) -> None:
    detection = detect(declared, model, endpoint, served_by)
    assert re.fullmatch(r"[a-z0-9_][a-z0-9_-]{0,49}", detection.actual_provider)
    assert detection.category in CATEGORIES
    assert detection == detect(declared, model, endpoint, served_by)


def test_long_evidence_is_truncated() -> None:
    assert len(detect("mistral", "a/" + "b" * 500).evidence) == 200


def test_shipped_rules_are_well_formed() -> None:
    rules, slugs = shipped_rules(), {row["slug"] for row in shipped.read_rows("providers.json")}
    assert len({rule.slug for rule in rules}) == len(rules)
    assert {rule.evidence for rule in rules} == set(EVIDENCE) == set(CONFIDENCE)
    assert {rule.provider for rule in rules if rule.provider} == slugs
    assert {rule.category for rule in rules if rule.category} == set(CATEGORIES) - {"other"}
    for rule in rules:
        assert rule.pattern == rule.pattern.strip().lower()
        assert rule.ignore_host is (rule.provider is None), rule.slug
