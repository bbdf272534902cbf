"""`migrate` loads what a release ships: into new databases, and into those of the release before."""

from __future__ import annotations

import json
from datetime import date
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client

from billing.models import Meter, Plan, PlanLimit
from billing.plans import shipped_plans
from providers import attribution, price_book, price_decisions, price_edits, rulebook, shipped, shipped_prices
from providers.detection import Call
from providers.models import DetectionRule, Price, PriceProposal, PriceRate, Provider
from tests.providers.historical_apps import apps_after

pytestmark = pytest.mark.django_db
Row = dict[str, Any]


class Release:
    """A copy of the shipped files, for a newer release to change."""

    def __init__(self, folder: Path) -> None:
        self.paths = {
            "providers": folder / "providers.json",
            "rules": folder / "rules.json",
            "prices": folder / "prices.json",
            "plans": folder / "plans.json",
        }
        for name, path in self.paths.items():
            source = shipped_plans.DATA if name == "plans" else shipped.DATA / path.name
            path.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")

    def read(self, name: str) -> Any:
        return json.loads(self.paths[name].read_text(encoding="utf-8"))

    def write(self, name: str, rows: Any) -> None:
        self.paths[name].write_text(json.dumps(rows), encoding="utf-8")

    def change(self, name: str, slug: str, **values: Any) -> None:
        rows = self.read(name)
        next(row for row in rows if row["slug"] == slug).update(values)
        self.write(name, rows)

    def add(self, name: str, *rows: Row) -> None:
        self.write(name, [*self.read(name), *rows])


@pytest.fixture
def newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    release = Release(tmp_path)
    monkeypatch.setattr(shipped, "DATA", tmp_path)
    monkeypatch.setattr(shipped_prices, "DATA", release.paths["prices"])
    monkeypatch.setattr(shipped_plans, "DATA", release.paths["plans"])
    return release


def migrate(**options: Any) -> list[str]:
    """Runs `migrate` and returns what it says of shipped data."""
    out = StringIO()
    call_command("migrate", stdout=out, **options)
    return [line for line in out.getvalue().splitlines() if line.startswith(("Prov", "Det", "Pri", "Met"))]


def price(provider: str, pattern: str, day: str, usd: str) -> Row:
    amounts = {"input_tokens": usd, "output_tokens": "10"}
    rates = [{"unit": unit, "usd": amount, "per": 1_000_000} for unit, amount in amounts.items()]
    columns = {"aliases": [], "category": "text", "source": "release 2"}
    return {"provider": provider, "pattern": pattern, "valid_from": day, "rates": rates} | columns


def input_rate(provider: str, model: str) -> int | None:
    match = price_book.current().find(provider, model, date(2026, 11, 22))
    return match.rates[0].nano_per_million if match else None


def shipped_state() -> list[list[str]]:
    """Everything shipped, without ids and times of creation."""
    models = (Provider, DetectionRule, Price, PriceRate, Meter, Plan, PlanLimit)
    ids = {"id", "created_at", "provider_id", "price_id", "plan_id", "meter_id"}
    return [
        sorted(str({name: value for name, value in row.items() if name not in ids}) for row in model.objects.values())
        for model in models
    ]


def test_the_same_release_again_changes_nothing_and_says_nothing() -> None:
    before = shipped_state(), rulebook.read_version(), price_book.read_version()
    assert migrate() == []
    assert (shipped_state(), rulebook.read_version(), price_book.read_version()) == before


def test_two_new_installations_are_equal() -> None:
    before = shipped_state()
    for model in (PlanLimit, Plan, Meter, PriceRate, Price, DetectionRule, Provider):
        model.objects.all().delete()
    lines = migrate()
    assert [line.partition(":")[0] for line in lines] == ["Providers", "Detection rules", "Prices", "Meters and plans"]
    assert shipped_state() == before


def test_an_upgrade_adds_a_provider_with_its_rule_price_meter_and_plan(newer: Release) -> None:
    newer.add("providers", {"slug": "acme", "name": "Acme AI", "aliases": ["acme"]})
    newer.add("rules", {"slug": "host-acme", "evidence": "host", "pattern": "acme.example", "provider": "acme"})
    newer.add("prices", price("acme", "road-runner", "2026-01-01", "2"))
    plans = newer.read("plans")
    plans["meters"].append(
        {"slug": "acme_calls", "label": "Acme", "scope": "actual", "values": ["acme"], "unit": "calls"}
    )
    plans["plans"].append(plans["plans"][0] | {"slug": "acme-fans", "name": "Acme fans", "limits": {"acme_calls": 7}})
    newer.write("plans", plans)

    assert migrate() == [
        "Providers: 1 added",
        "Detection rules: 1 added",
        "Prices: 1 added, 0 waiting as proposals",
        "Meters and plans: 1 meters and 1 plans added",
    ]
    book, prices = attribution.current_books()
    call = Call("openai", "road-runner", "https://api.acme.example/v1", "")
    assert attribution.detect(call, book, prices).actual_provider == "acme"
    assert input_rate("acme", "road-runner") == 2 * 10**9
    assert Plan.objects.get(slug="acme-fans").limits.get().amount == 7
    assert migrate() == []


def test_an_upgrade_replaces_a_rule_that_nobody_edited(newer: Release) -> None:
    newer.change("rules", "host-openai.com", pattern="openai.example", category="text")
    DetectionRule.objects.filter(slug="host-openai.com").update(active=False)
    version = rulebook.read_version()
    assert migrate() == ["Detection rules: 1 replaced (host-openai.com)"]
    rule = DetectionRule.objects.get(slug="host-openai.com")
    assert (rule.pattern, rule.category, rule.active) == ("openai.example", "text", False)
    assert rulebook.read_version() > version
    assert migrate() == []


def test_an_upgrade_keeps_an_edited_rule_and_says_so_once(newer: Release, admin_client: Client) -> None:
    rule = DetectionRule.objects.get(slug="host-openai.com")
    form = {"evidence": "host", "pattern": "eu.openai.com", "provider": rule.provider_id, "order": 1000, "active": "on"}
    assert admin_client.post(f"/admin/providers/detectionrule/{rule.pk}/change/", form).status_code == 302
    newer.change("rules", "host-openai.com", category="text")
    assert migrate() == ["Detection rules: 1 kept as edited (host-openai.com)"]
    rule.refresh_from_db()
    assert (rule.pattern, rule.category) == ("eu.openai.com", "")
    assert migrate() == []

    newer.change("rules", "host-openai.com", category="audio")
    assert migrate() == ["Detection rules: 1 kept as edited (host-openai.com)"]


def test_a_rule_that_is_no_longer_shipped_is_switched_off_unless_edited(newer: Release) -> None:
    DetectionRule.objects.filter(slug="host-groq.com").update(pattern="eu.groq.com")
    withdrawn = {"host-openai.com", "host-groq.com"}
    newer.write("rules", [row for row in newer.read("rules") if row["slug"] not in withdrawn])
    assert migrate() == ["Detection rules: 1 switched off, no longer shipped (host-openai.com)"]
    active = dict(DetectionRule.objects.filter(slug__in=withdrawn).values_list("slug", "active"))
    assert active == {"host-openai.com": False, "host-groq.com": True}
    DetectionRule.objects.filter(slug="host-openai.com").update(active=True)  # an operator needs it
    assert migrate() == []


def test_an_operators_row_with_the_slug_of_a_shipped_one_is_kept(newer: Release) -> None:
    acme = Provider.objects.create(slug="acme", name="Acme")
    DetectionRule.objects.create(slug="host-acme", evidence="host", pattern="acme.test", provider=acme)
    newer.add("providers", {"slug": "acme", "name": "Acme AI", "aliases": []})
    newer.add("rules", {"slug": "host-acme", "evidence": "host", "pattern": "acme.example", "provider": "acme"})
    assert migrate() == []
    assert DetectionRule.objects.get(slug="host-acme").pattern == "acme.test"
    assert Provider.objects.get(slug="acme").name == "Acme"


def test_a_provider_whose_name_another_has_is_left_out_with_its_rules(newer: Release) -> None:
    Provider.objects.create(slug="acme-eu", name="Acme", aliases=["acme ai"])
    newer.add("providers", {"slug": "acme", "name": "Acme AI", "aliases": []})
    newer.add("rules", {"slug": "host-acme", "evidence": "host", "pattern": "acme.example", "provider": "acme"})
    assert migrate() == ["Providers: 1 left out, as another provider has its name (acme)"]
    assert not DetectionRule.objects.filter(slug="host-acme").exists()


def test_an_upgrade_proposes_the_price_of_a_model_that_has_one(newer: Release, admin_user: Any, now: Any) -> None:
    newer.add("prices", price("openai", "gpt-4o", "2026-06-01", "2"))
    before = list(Price.objects.values())
    assert migrate() == ["Prices: 0 added, 1 waiting as proposals"]
    assert list(Price.objects.values()) == before
    proposal = PriceProposal.objects.get()
    assert (proposal.source, proposal.kind, proposal.edition) == ("shipped", "changed", "release 2")
    assert migrate() == ["Prices: 0 added, 1 waiting as proposals"]

    result = price_decisions.accept([proposal.pk], actor=admin_user, at=now, drop_rates=True)  # it has no output rate
    assert len(result.done) == 1
    assert input_rate("openai", "gpt-4o") == 2 * 10**9
    accepted = Price.objects.latest("pk")
    price_edits.add_revision(price=accepted, rates=[PriceRate(unit="input_tokens", nano_per_million=5)])
    assert migrate() == []  # the operator's own price is not put in question again
    assert input_rate("openai", "gpt-4o") == 5


def test_a_rejected_price_of_a_release_is_not_proposed_again(newer: Release, admin_user: Any, now: Any) -> None:
    newer.add("prices", price("openai", "gpt-4o", "2026-06-01", "2"))
    migrate()
    price_decisions.reject([PriceProposal.objects.get().pk], actor=admin_user, at=now)
    assert migrate() == []
    assert [proposal.state for proposal in PriceProposal.objects.all()] == ["rejected"]


def test_a_shipped_price_takes_no_model_from_an_operators_glob(newer: Release) -> None:
    openai = Provider.objects.get(slug="openai")
    own = Price(provider=openai, pattern="gpt-9*", valid_from=date(2026, 1, 1), source="contract")
    price_edits.add_revision(price=own, rates=[PriceRate(unit="input_tokens", nano_per_million=7)])
    newer.add("prices", price("openai", "gpt-9-mini", "2026-06-01", "2"))
    assert migrate() == ["Prices: 0 added, 1 waiting as proposals"]
    assert input_rate("openai", "gpt-9-mini") == 7


def test_plans_and_meters_that_exist_stay_as_they_are(newer: Release) -> None:
    plans = newer.read("plans")
    plans["plans"][0]["limits"] = dict.fromkeys(plans["plans"][0]["limits"], 1)
    plans["meters"][0]["label"] = "Other"
    newer.write("plans", plans)
    before = shipped_state()
    assert migrate() == []
    assert shipped_state() == before


@pytest.mark.parametrize("options", [{"app_label": "providers"}, {"plan": True}, {"check_unapplied": True}])
def test_a_partial_run_loads_nothing(newer: Release, options: Row) -> None:
    newer.add("providers", {"slug": "acme", "name": "Acme AI", "aliases": []})
    assert migrate(**options) == []
    assert not Provider.objects.filter(slug="acme").exists()


class TestUnedited:
    """The migration that records what the release before has shipped."""

    migration: Any = import_module("providers.migrations.0013_unedited_shipped_rows")

    def record(self) -> None:
        self.migration.record(apps_after("0013_unedited_shipped_rows"), connection.schema_editor())

    def test_rows_of_the_release_before_are_replaced_unless_the_audit_trail_has_an_edit(self, newer: Release) -> None:
        DetectionRule.objects.update(shipped_values=None)
        edited = DetectionRule.objects.get(slug="host-groq.com")
        edited.pattern = "eu.groq.com"
        edited.save(update_fields=["pattern"])
        switched_off = DetectionRule.objects.get(slug="host-openai.com")
        switched_off.active = False
        switched_off.save(update_fields=["active"])
        self.record()
        unknown = DetectionRule.objects.filter(shipped=True, shipped_values__isnull=True)
        assert [rule.slug for rule in unknown] == ["host-groq.com"]

        newer.change("rules", "host-openai.com", pattern="openai.example")
        newer.change("rules", "host-groq.com", category="text")
        assert migrate() == [
            "Detection rules: 1 replaced (host-openai.com), 1 kept as edited (host-groq.com)",
        ]

    def test_it_runs_twice_and_records_what_the_loader_records(self) -> None:
        before = shipped_state()
        DetectionRule.objects.update(shipped_values=None)
        Provider.objects.update(shipped_values=None)
        self.record()
        self.record()
        assert not DetectionRule.objects.filter(shipped_values__isnull=True).exists()
        assert migrate() == []
        assert [len(rows) for rows in shipped_state()] == [len(rows) for rows in before]
