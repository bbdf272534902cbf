"""The rule book: cached by version, and reloaded in every process when rules or providers change."""

from __future__ import annotations

import pytest
from django.db import transaction
from pytest_django import DjangoAssertNumQueries

from providers import rulebook
from providers.detection import Call
from providers.models import CatalogVersion, DetectionRule, Price, Provider
from providers.versioned_cache import VersionedCache

pytestmark = pytest.mark.django_db

ACME_CALL = Call("openai", "gpt-4o", "https://llm.acme.example/v1")


def add_rule(provider: str = "azure") -> DetectionRule:
    return DetectionRule.objects.create(
        slug="acme", evidence="host", pattern="llm.acme.example", provider=Provider.objects.get(slug=provider)
    )


def test_detection_and_labels_come_from_the_tables() -> None:
    book = rulebook.current()
    assert book.detect(Call("video", "", "/video-generation/wavespeed")).actual_provider == "wavespeed"
    assert book.labels["huggingface"] == "Hugging Face"
    assert rulebook.provider_label("acme-cloud", book.labels) == "acme-cloud"


def test_an_unchanged_book_costs_one_query_or_none_if_the_version_is_known(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    book = rulebook.current()
    with django_assert_num_queries(1):
        assert rulebook.current() is book
    with django_assert_num_queries(0):
        assert rulebook.current(book.version) is book
        book.detect(ACME_CALL)


def test_a_change_is_in_force_on_the_next_lookup(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    before = rulebook.current()
    assert before.detect(ACME_CALL).actual_provider == "unknown"
    add_rule()
    rulebook.invalidate()
    with django_assert_num_queries(3):
        after = rulebook.current()
    assert after.version > before.version
    assert after.detect(ACME_CALL).actual_provider == "azure"
    assert after.detect(ACME_CALL) is after.detect(ACME_CALL)


def test_another_process_sees_the_change_by_the_version_alone() -> None:
    cached = rulebook.current()
    add_rule()
    assert rulebook.current() is cached
    CatalogVersion.objects.filter(book="rules").update(version=cached.version + 1)
    assert rulebook.current().detect(ACME_CALL).actual_provider == "azure"


def test_a_book_loaded_in_a_rolled_back_transaction_is_never_reused() -> None:
    other_process_cache = VersionedCache("rules", rulebook._load)  # stands for another process
    before = rulebook.current()
    with transaction.atomic():
        add_rule()
        rulebook.invalidate()
        assert rulebook.current().detect(ACME_CALL).actual_provider == "azure"
        transaction.set_rollback(True)
    assert rulebook.current().detect(ACME_CALL).actual_provider == "unknown"
    with transaction.atomic():
        add_rule()
        rulebook.invalidate()
        rolled_back_version = rulebook.current().version
        transaction.set_rollback(True)
    assert rulebook.read_version() == before.version
    add_rule("google")
    other_process_cache.invalidate()
    assert rulebook.read_version() != rolled_back_version
    assert rulebook.current().detect(ACME_CALL).actual_provider == "google"


def test_an_inactive_rule_is_ignored() -> None:
    rule = add_rule()
    DetectionRule.objects.filter(pk=rule.pk).update(active=False)
    rulebook.invalidate()
    assert rulebook.current().detect(ACME_CALL).actual_provider == "unknown"


def test_without_rules_every_provider_is_unknown() -> None:
    DetectionRule.objects.all().delete()
    Price.objects.all().delete()
    Provider.objects.all().delete()
    CatalogVersion.objects.all().delete()
    book = rulebook.current()
    assert (book.version, book.detect(Call("openai", "gpt-4o", "")).actual_provider) == (0, "unknown")
    rulebook.invalidate()
    assert rulebook.read_version() > 1


def test_a_slug_beats_the_same_alias_of_another_provider() -> None:
    Provider.objects.filter(slug="acme").delete()
    Provider.objects.create(slug="acme", name="Acme", aliases=["openai"])
    rulebook.invalidate()
    assert rulebook.current().detect(Call("x", "", "", "openai")).actual_provider == "openai"
