"""Hosts that a price source names: read from its expressions, proposed as detection rules, accepted in the admin."""

from __future__ import annotations

from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client

from providers import rulebook
from providers.detection import Call
from providers.models import DetectionRule, Provider
from providers.price_sources.api_hosts import hosts_of
from tests.providers.offers import accept, offer, sync
from tests.providers.proposal_pages import change_url, visible_text

RULES_URL = "/admin/providers/detectionrule/"
NEW_PROVIDER: dict[str, Any] = {"provider": "newco", "provider_name": "New Co", "hosts": ("api.newco.ai", "newco.eu")}
CALL = Call("text", "m-1", "https://api.newco.ai/v1/chat/completions")


@pytest.mark.parametrize(
    ("expression", "hosts"),
    [
        (r"https://api\.acme\.ai", ("api.acme.ai",)),
        (r"https://api\.acme\.ai(?:/|$)", ("api.acme.ai",)),
        (r"https?://api\.acme\.(?:ai|com)/v1", ("api.acme.ai", "api.acme.com")),
        (r"(https?://)?([^.]*\.)?(?:openai\.acme\.com|acme-api\.net)", ("acme-api.net", "openai.acme.com")),
        (r"https://(.*\.)?acme\.com", ("acme.com",)),
        (r"https://[^/]+\.acme\.(?:run|direct)(?:/|$)", ("acme.direct", "acme.run")),
        (r"https://run-time\.[a-z0-9-]+\.acme\.com(/|$)", ("run-time.*.acme.com",)),
        (r"https://api\.(?:(?:us|eu\.home)\.)?acme\.io", ("api.acme.io", "api.eu.home.acme.io", "api.us.acme.io")),
        (r"https://api\.acme\.", ()),  # anybody can complete it
        (r"https://.*\.com", ()),
        (r"https://.*", ()),
        ("", ()),
        (r"https://(a|b)(a|b)(a|b)(a|b)(a|b)\.acme\.com", ()),  # too many
        (r"https://ac\dme\.com|^x{3}", ()),
    ],
)
def test_the_hosts_of_an_expression(expression: str, hosts: tuple[str, ...]) -> None:
    assert hosts_of(expression) == hosts


def proposed() -> list[tuple[str, str, str, bool]]:
    rules = DetectionRule.objects.filter(proposed=True).select_related("provider").order_by("pattern")
    return [(rule.evidence, rule.pattern, str(rule.provider), rule.active) for rule in rules]


@pytest.mark.django_db
class TestProposing:
    def test_a_provider_that_comes_with_prices_comes_with_proposed_rules(self, operator: Client, propose: Any) -> None:
        (proposal,) = propose(offer(**NEW_PROVIDER))
        assert proposed() == []
        assert "Hosts api.newco.ai, newco.eu (accepting proposes detection rules" in visible_text(
            operator.get(change_url(proposal))
        )
        accept(proposal)
        assert proposed() == [("host", "api.newco.ai", "New Co", False), ("host", "newco.eu", "New Co", False)]
        assert DetectionRule.objects.get(pattern="newco.eu").note == "Proposed by genai-prices 1.0"
        assert rulebook.current().detect(CALL).actual_provider == "unknown"

    def test_a_new_host_of_a_known_provider_is_proposed_once(self) -> None:
        hosts = ("api.openai.com", "azure-api.net", "openai.example")
        for _ in range(2):
            sync(offer("m-1", hosts=hosts), offer("m-2", hosts=hosts))
            assert proposed() == [("host", "openai.example", "OpenAI", False)]

    def test_a_dry_run_proposes_none(self) -> None:
        sync(offer("m-1", hosts=("openai.example",)), dry_run=True)
        assert proposed() == []

    def test_a_host_of_another_provider_is_not_proposed(self) -> None:
        Provider.objects.create(slug="newco", name="New Co")
        sync(offer(**{**NEW_PROVIDER, "hosts": ("api.anthropic.com", "eu.api.anthropic.com")}))
        assert proposed() == []

    @pytest.mark.usefixtures("genai_prices")
    def test_all_hosts_of_the_installed_package_but_two_have_a_shipped_rule(self) -> None:
        from providers.price_sources import genai

        statements = list(genai.offers())
        assert sum(bool(getattr(statement, "hosts", ())) for statement in statements) > 2000
        sync(*statements)
        assert [(host, provider) for _, host, provider, _ in proposed()] == [
            ("api.minimax.com", "MiniMax"),
            ("api.minimaxi.io", "MiniMax"),
        ]


@pytest.mark.django_db
class TestDeciding:
    @pytest.fixture
    def rules(self, propose: Any) -> list[DetectionRule]:
        accept(*propose(offer(**NEW_PROVIDER)))
        return list(DetectionRule.objects.filter(proposed=True).order_by("pattern"))

    def act(self, client: Client, action: str, *rules: DetectionRule) -> Any:
        return client.post(RULES_URL, {"action": action, "_selected_action": [rule.pk for rule in rules]}, follow=True)

    def test_an_accepted_rule_is_in_force_at_once_and_audited(
        self, operator: Client, rules: list[DetectionRule]
    ) -> None:
        assert "2 detection rules" in visible_text(operator.get(f"{RULES_URL}?proposed__exact=1"))
        response = self.act(operator, "accept_proposed", rules[0])
        assert "1 proposed rule accepted." in visible_text(response)
        assert "Stored logs are unchanged." in visible_text(response)
        detection = rulebook.current().detect(CALL)
        assert (detection.actual_provider, detection.confidence, detection.rule) == (
            "newco",
            "exact",
            "listed-host-api.newco.ai",
        )
        assert [rule for _, rule, _, _ in proposed()] == ["newco.eu"]
        entry = LogEntry.objects.get_for_object(rules[0]).latest("pk")
        assert entry.changes == {"active": ["False", "True"], "proposed": ["True", "False"]}
        assert entry.actor is not None

    def test_a_rejected_rule_is_not_proposed_again(self, operator: Client, rules: list[DetectionRule]) -> None:
        assert "2 proposed rules rejected." in visible_text(self.act(operator, "reject_proposed", *rules))
        sync(offer("m-2", **NEW_PROVIDER))
        assert proposed() == []
        assert rulebook.current().detect(CALL).actual_provider == "unknown"

    def test_a_rule_made_active_by_hand_is_decided(self, operator: Client, rules: list[DetectionRule]) -> None:
        rule = rules[0]
        fields = {
            "evidence": "host",
            "pattern": rule.pattern,
            "order": 1000,
            "active": "on",
            "declared": "",
            "note": "",
        }
        operator.post(f"{RULES_URL}{rule.pk}/change/", fields | {"provider": rule.provider_id, "category": ""})
        assert [pattern for _, pattern, _, _ in proposed()] == ["newco.eu"]
        assert rulebook.current().detect(CALL).actual_provider == "newco"

    def test_other_rules_are_not_touched(self, operator: Client) -> None:
        shipped = DetectionRule.objects.get(slug="host-moonshot.ai")
        before = list(DetectionRule.objects.values()), rulebook.read_version()
        assert "0 proposed rules rejected." in visible_text(self.act(operator, "reject_proposed", shipped))
        assert (list(DetectionRule.objects.values()), rulebook.read_version()) == before

    def test_only_who_may_change_rules_decides(self, client: Client, rules: list[DetectionRule]) -> None:
        viewer = User.objects.create_user("viewer", is_staff=True)
        viewer.user_permissions.add(Permission.objects.get(codename="view_detectionrule"))
        client.force_login(viewer)
        before = list(DetectionRule.objects.values())
        self.act(client, "accept_proposed", *rules)
        assert list(DetectionRule.objects.values()) == before
