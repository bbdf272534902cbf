"""The rule book: in memory by version, memoised, and renewed in every process when rules or providers change."""

from __future__ import annotations

import pytest
from django.db import transaction
from pytest_django import DjangoAssertNumQueries

from providers import rulebook
from providers.detection import Call
from providers.models import CatalogVersion, DetectionRule, Price, Provider
from providers.versioned_cache import VersionedCache

pytestmark = pytest.mark.django_db

ACME = Call("openai", "gpt-4o", "https://llm.acme.example/v1")


def add_rule(provider: str = "azure") -> DetectionRule:
    return DetectionRule.objects.create(
        slug="acme", evidence="host", pattern="llm.acme.example", provider=Provider.objects.get(slug=provider)
    )


def test_it_answers_from_the_tables() -> None:
    book = rulebook.current()
    assert book.detect(Call("video", "", "/video-generation/wavespeed")).actual_provider == "wavespeed"
    assert book.labels["huggingface"] == "Hugging Face"
    assert book.label("acme-cloud") == "acme-cloud"


def test_an_unchanged_book_costs_one_query_and_none_where_the_version_is_known(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    book = rulebook.current()
    with django_assert_num_queries(1):
        assert rulebook.current() is book
    with django_assert_num_queries(0):
        assert rulebook.current(book.version) is book
        book.detect(ACME)


def test_a_change_is_in_force_with_the_next_look(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    before = rulebook.current()
    assert before.detect(ACME).actual_provider == "unknown"
    add_rule()
    rulebook.changed()
    with django_assert_num_queries(3):
        after = rulebook.current()
    assert after.version > before.version
    assert after.detect(ACME).actual_provider == "azure"
    assert after.detect(ACME) is after.detect(ACME)


def test_another_process_sees_the_change_by_the_version_alone() -> None:
    held = rulebook.current()
    add_rule()
    assert rulebook.current() is held
    CatalogVersion.objects.filter(book="rules").update(version=held.version + 1)
    assert rulebook.current().detect(ACME).actual_provider == "azure"


def test_a_book_read_in_a_transaction_that_is_rolled_back_is_never_taken_for_a_later_one() -> None:
    elsewhere = VersionedCache("rules", rulebook._loaded)  # another process
    before = rulebook.current()
    with transaction.atomic():
        add_rule()
        rulebook.changed()
        assert rulebook.current().detect(ACME).actual_provider == "azure"
        transaction.set_rollback(True)
    assert rulebook.current().detect(ACME).actual_provider == "unknown"
    with transaction.atomic():
        add_rule()
        rulebook.changed()
        seen = rulebook.current().version
        transaction.set_rollback(True)
    assert rulebook.read_version() == before.version
    add_rule("google")
    elsewhere.changed()
    assert rulebook.read_version() != seen
    assert rulebook.current().detect(ACME).actual_provider == "google"


def test_a_rule_that_is_switched_off_counts_no_more() -> None:
    rule = add_rule()
    DetectionRule.objects.filter(pk=rule.pk).update(active=False)
    rulebook.changed()
    assert rulebook.current().detect(ACME).actual_provider == "unknown"


def test_without_any_rule_nothing_is_guessed() -> None:
    DetectionRule.objects.all().delete()
    Price.objects.all().delete()
    Provider.objects.all().delete()
    CatalogVersion.objects.all().delete()
    book = rulebook.current()
    assert (book.version, book.detect(Call("openai", "gpt-4o", "")).actual_provider) == (0, "unknown")
    rulebook.changed()
    assert rulebook.read_version() > 1


def test_a_slug_is_never_taken_for_another_providers_alias() -> None:
    Provider.objects.filter(slug="acme").delete()
    Provider.objects.create(slug="acme", name="Acme", aliases=["openai"])
    rulebook.changed()
    assert rulebook.current().detect(Call("x", "", "", "openai")).actual_provider == "openai"
