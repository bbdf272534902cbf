"""The price of a call by provider, model id, alias, glob and day; changes are in force at once."""

from __future__ import annotations

from datetime import date

import pytest
from pytest_django import DjangoAssertNumQueries

from providers import model_ids, price_book, price_edits
from providers.costing import Cost, PricedModel, Rate, cost
from providers.models import CatalogVersion, Price, PriceRate, Provider
from providers.price_book import PriceBook, PriceEntry
from providers.quantities import Quantities

DAY = date(2026, 11, 22)
FIRST_DAY = date(2025, 1, 1)


def entry(pattern: str, *aliases: str, key: int = 1, since: date = FIRST_DAY, provider: str = "acme") -> PriceEntry:
    rates = (Rate("input_tokens", "", 0, key),)
    return PriceEntry(PricedModel(key, provider, pattern, since, "test", rates), frozenset(aliases))


def book(*entries: PriceEntry, **vendors: set[str]) -> PriceBook:
    slugs = {price_entry.price.provider for price_entry in entries}
    return PriceBook(1, entries, {slug: model_ids.vendor_names(slug, vendors.get(slug, ())) for slug in slugs})


def match(prices: PriceBook, model: str, provider: str = "acme", on: date = DAY) -> tuple[int, str] | None:
    price = prices.find(provider, model, on)
    return (price.id, price.matched_by) if price else None


class TestIds:
    @pytest.mark.parametrize("model", ["gpt-4o", "GPT-4o", "  gpt-4o "])
    def test_an_exact_id_matches_in_any_case(self, model: str) -> None:
        assert match(book(entry("gpt-4o")), model) == (1, "exact")

    @pytest.mark.parametrize(
        "model",
        [
            "m-1-20250514",
            "m-1-2024-07-18",
            "m-1@20250514",
            "models/m-1",
            "models/acme/m-1",
            "publishers/google/models/m-1",
            "projects/p/locations/us-east5/publishers/anthropic/models/m-1@20250514",
            "acme/m-1",
            "acme-ai/m-1",
            "Acme_AI/M-1-2024-07-18",
            "m-1:batch",
            "m-1-2024-07-18:batch",
            "other-name",
            "other-name-20250514",
        ],
    )
    def test_another_name_of_the_same_model_matches_as_an_alias(self, model: str) -> None:
        assert match(book(entry("m-1", "other-name"), acme={"acme ai"}), model) == (1, "alias")

    @pytest.mark.parametrize(
        "model",
        [
            "us.anthropic.claude-x-20240620-v1:0",
            "eu.anthropic.claude-x-20240620-v1:0",
            "us-gov.anthropic.claude-x",
            "global.anthropic.claude-x",
            "in.anthropic.claude-x",
            "anthropic.claude-x-20240620-v2:0",
            "bedrock/apac.anthropic.claude-x",
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-x-20240620-v1:0",
        ],
    )
    def test_bedrock_regions_and_revisions_match_only_at_bedrock(self, model: str) -> None:
        assert match(book(entry("anthropic.claude-x", provider="bedrock")), model, "bedrock") == (1, "alias")
        assert match(book(entry("anthropic.claude-x", provider="other")), "us.anthropic.claude-x", "other") is None

    @pytest.mark.parametrize(
        "model",
        [
            "m-1-0613",  # four digits name another version of the model, with its own price
            "m-1-2411",
            "m-1-preview",
            "m-1-20251399",
            "m-1-mini",
            "m-1:groq",  # served and billed by another provider
            "m-1:free",
            "m-1:thinking",
            "openai/m-1",  # another vendor's namespace
            "models/openai/m-1",
            "my-m-1",
            "xm-1",
            "m-",
            "",
            "*",
            "ft:m-1:org::1",
            "ft:m-1-2024-07-18:org::1",
            "acme/ft:m-1",
        ],
    )
    def test_a_similar_id_does_not_match(self, model: str) -> None:
        assert match(book(entry("m-1")), model) is None

    def test_a_price_never_applies_at_another_provider(self) -> None:
        prices = book(entry("gpt-4o", provider="openai"), entry("*", provider="local"))
        assert match(prices, "gpt-4o", "azure") is None
        assert match(prices, "gpt-4o-mini", "openai") is None

    def test_a_gateway_has_its_own_price(self) -> None:
        prices = book(
            entry("openai/gpt-oss-120b", key=1, provider="wavespeed"),
            entry("openai/gpt-oss-120b:groq", key=2, provider="huggingface"),
            entry("gpt-oss-120b", key=3, provider="huggingface"),
        )
        assert match(prices, "openai/gpt-oss-120b", "wavespeed") == (1, "exact")
        assert match(prices, "openai/gpt-oss-120b:groq", "huggingface") == (2, "exact")
        assert match(prices, "openai/gpt-oss-120b:cerebras", "huggingface") is None

    def test_an_id_after_models_keeps_its_namespace(self) -> None:
        prices = book(entry("openai/m-1", key=1, provider="huggingface"), entry("m-1", key=2, provider="huggingface"))
        assert match(prices, "models/openai/m-1", "huggingface") == (1, "alias")
        assert match(prices, "my-models/m-1", "huggingface") is None

    def test_a_free_variant_is_never_priced_as_the_paid_model(self) -> None:
        paid = [entry("m-1", "m-one", key=1), entry("m*", key=2), entry("*", key=3)]
        assert match(book(*paid), "m-1:free") is None
        assert match(book(*paid), "acme/m-one:free") is None
        assert match(book(*paid, entry("m-1:free", key=4)), "m-1:free") == (4, "exact")
        assert match(book(*paid, entry("*:free", key=5)), "acme/m-1:free") == (5, "glob")
        assert match(book(entry("*:free", key=5)), "m-1") is None

    def test_the_batch_suffix_selects_the_batch_rate(self) -> None:
        rates = (Rate("input_tokens", "", 0, 2_000_000), Rate("input_tokens", "service_tier=batch", 0, 1_000_000))
        prices = book(PriceEntry(PricedModel(1, "acme", "m-1", FIRST_DAY, "", rates), frozenset()))
        answers = [prices.find("acme", model, DAY) for model in ("m-1", "m-1:batch")]
        assert [cost(price, Quantities(input_tokens=1)).total_nano for price in answers if price] == [2, 1]


class TestOrder:
    def test_exact_comes_before_stored_alias_before_derived_name_before_glob(self) -> None:
        rows = [
            entry("m-1-20250514", key=1),
            entry("m-x", "m-1-20250514", key=2),
            entry("m-1", key=3),
            entry("m-1*", key=4),
        ]
        matches = [match(book(*rows[n:]), "m-1-20250514") for n in range(4)]
        assert matches == [(1, "exact"), (2, "alias"), (3, "alias"), (4, "glob")]

    def test_the_glob_with_the_most_fixed_text_wins(self) -> None:
        prices = book(entry("*", key=1), entry("m-*", key=2), entry("m-1*", key=3), entry("*-1-turbo", key=4))
        assert [match(prices, model) for model in ("x", "m-2", "m-1-x", "m-1-turbo")] == [
            (1, "glob"),
            (2, "glob"),
            (3, "glob"),
            (4, "glob"),
        ]

    def test_only_the_star_is_special_in_a_glob(self) -> None:
        assert match(book(entry("m.[1]?*")), "m.[1]?-x") == (1, "glob")
        assert match(book(entry("m.[1]?*")), "ma1x-x") is None

    def test_a_hostile_glob_does_not_take_long(self) -> None:
        assert match(book(entry("*a" * 60 + "b")), "a" * 200) is None

    def test_a_glob_also_matches_derived_names(self) -> None:
        assert match(book(entry("m-1-pro*")), "models/m-1-pro-exp") == (1, "glob")

    def test_a_fine_tune_with_its_own_price_uses_it(self) -> None:
        base = entry("m-1", key=1)
        assert match(book(base, entry("ft:m-1", key=2)), "ft:m-1-2024-07-18:org::a") == (2, "alias")
        assert match(book(base, entry("ft:m-1*", key=2)), "ft:m-1-2024-07-18:org::a") == (2, "glob")
        assert match(book(base, entry("ft:m-1:org::a", key=2)), "ft:m-1:org::a") == (2, "exact")

    def test_no_price_of_the_base_model_is_one_of_its_fine_tune(self) -> None:
        base = (entry("m-1", "other", key=1), entry("m-*", key=2), entry("*m-1*", key=3))
        assert match(book(*base), "ft:m-1:org::a") is None
        assert match(book(*base), "ft:other:org::a") is None
        assert match(book(*base, entry("ft:*", key=4)), "ft:m-1:org::a") == (4, "glob")
        assert match(book(*base, entry("ft*", key=4)), "ft:m-1-2024-07-18:org::a") == (4, "glob")
        assert match(book(*base, entry("*", key=4)), "ft:m-1:org::a") == (4, "glob")

    def test_the_closest_glob_wins_whichever_name_it_matches(self) -> None:
        prices = book(entry("*", key=1), entry("m-1-pro*", key=2))
        assert match(prices, "models/m-1-pro-exp") == (2, "glob")

    def test_of_two_prices_with_the_same_alias_always_the_same_one_wins(self) -> None:
        rows = [entry("m-b", "x", key=2), entry("m-a", "x", key=1)]
        assert match(book(*rows), "x") == match(book(*reversed(rows)), "x") == (1, "alias")


class TestDays:
    ROWS = (entry("m", "x", key=1, since=date(2025, 1, 1)), entry("m", key=2, since=date(2026, 3, 1)))

    @pytest.mark.parametrize(
        ("on", "expected"),
        [
            (date(2024, 12, 31), None),
            (date(2025, 1, 1), (1, "exact")),
            (date(2026, 2, 28), (1, "exact")),
            (date(2026, 3, 1), (2, "exact")),
            (date(9999, 12, 31), (2, "exact")),
        ],
    )
    def test_a_call_has_the_price_of_its_own_day(self, on: date, expected: tuple[int, str] | None) -> None:
        assert match(book(*self.ROWS), "m", on=on) == expected
        assert match(book(*reversed(self.ROWS)), "m", on=on) == expected

    def test_an_alias_ends_with_its_price(self) -> None:
        assert match(book(*self.ROWS), "x", on=date(2026, 2, 28)) == (1, "alias")
        assert match(book(*self.ROWS), "x", on=date(2026, 3, 1)) is None

    def test_before_an_exact_price_begins_a_derived_name_still_matches(self) -> None:
        prices = book(entry("m", key=1), entry("m-20260301", key=2, since=date(2026, 3, 1)))
        assert match(prices, "m-20260301", on=date(2026, 2, 1)) == (1, "alias")
        assert match(prices, "m-20260301", on=date(2026, 3, 1)) == (2, "exact")

    def test_a_match_is_cached_and_shared(self) -> None:
        prices = book(entry("m*"))
        assert prices.find("acme", "m1", DAY) is prices.find("acme", "m1", DAY) is prices.find("acme", "m2", DAY)


def shipped(provider: str, model: str) -> PricedModel:
    price = price_book.current().find(provider, model, DAY)
    assert price is not None
    return price


@pytest.mark.django_db
class TestCurrent:
    def test_an_unchanged_book_costs_one_query_and_is_reused(
        self, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        first = price_book.current()
        with django_assert_num_queries(1):
            assert price_book.current() is first
        with django_assert_num_queries(0):
            assert price_book.current(first.version) is first

    def test_a_change_by_another_process_is_in_force_on_the_next_lookup(self) -> None:
        old = price_book.current()
        assert old.find("openai", "gpt-9", DAY) is None
        row = Price.objects.create(
            provider=Provider.objects.get(slug="openai"), pattern="gpt-9", valid_from=FIRST_DAY, source="t"
        )
        PriceRate.objects.create(price=row, unit="input_tokens", nano_per_million=7)
        assert price_book.current() is old
        CatalogVersion.objects.filter(book="prices").update(version=old.version + 1)
        assert price_book.current().find("openai", "gpt-9", DAY) == PricedModel(
            row.pk, "openai", "gpt-9", FIRST_DAY, "t", (Rate("input_tokens", "", 0, 7),)
        )
        assert old.find("openai", "gpt-9", DAY) is None

    def test_invalidate_raises_the_version_even_if_none_was_stored(self) -> None:
        CatalogVersion.objects.filter(book="prices").delete()
        assert price_book.read_version() == 0
        price_book.invalidate()
        first = price_book.read_version()
        price_book.invalidate()
        assert 1 < first < price_book.read_version()

    def test_loading_a_book_takes_a_fixed_number_of_queries(
        self, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        price_book.invalidate()
        with django_assert_num_queries(4):  # version, prices, rates, providers
            price_book.current()

    def test_the_highest_revision_of_a_day_wins(self) -> None:
        price = Price.objects.get(pattern="gpt-4o")
        first = price.pk
        price_edits.add_revision(price=price, rates=[PriceRate(unit="input_tokens", nano_per_million=3_000_000)])
        assert (shipped("openai", "gpt-4o").id, price.revision) == (price.pk, 2)
        old = price_book.load_price(first, "gpt-4o-2024-08-06", date(2026, 1, 1))
        assert old is not None
        assert cost(old, Quantities(input_tokens=1)) == Cost(
            2500, 0, 0, 2500, cost(old, Quantities(input_tokens=1)).lines, billed=True
        )
        assert old.matched_by == "alias"
        assert price_book.load_price(10**9, "gpt-4o", date(2026, 1, 1)) is None

    def test_a_stored_price_is_loaded_with_the_service_tier_of_the_model_id(self) -> None:
        price = Price.objects.get(pattern="gpt-4o")
        batch = price_book.load_price(price.pk, "GPT-4o:batch", date(2026, 1, 1))
        other = price_book.load_price(price.pk, "nothing-like-it:batch", date(2026, 1, 1))
        assert batch is not None
        assert other is not None
        assert (batch.matched_by, batch.service_tier) == ("alias", "batch")
        assert (other.matched_by, other.service_tier) == ("", "batch")

    def test_a_revision_without_rates_withdraws_the_price(self) -> None:
        price_edits.add_revision(price=Price.objects.get(pattern="gpt-4o"), rates=[])
        assert cost(shipped("openai", "gpt-4o"), Quantities(input_tokens=1)).source == "unpriced"
