"""Detection rules and providers in the admin: changes apply at once, validation, and the "Detect provider" form."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from providers import rulebook
from providers.detection import Call
from providers.models import DetectionRule, Provider

RULES_URL, PROVIDERS_URL = "/admin/providers/detectionrule/", "/admin/providers/provider/"
ACME_CALL = Call("openai", "gpt-4o", "https://llm.acme.example/v1")


@pytest.fixture
def operator(db: None, client: Client) -> Client:
    client.force_login(User.objects.create_superuser("operator"))
    return client


def rule_form(**changed: Any) -> dict[str, Any]:
    fields = {"slug": "acme", "evidence": "host", "pattern": "llm.acme.example", "order": 1000, "active": "on"}
    azure = Provider.objects.get(slug="azure").pk
    return {"declared": "", "provider": azure, "category": "", "note": ""} | fields | changed


def stored_state() -> tuple[list[Any], list[Any], int]:
    return list(DetectionRule.objects.values()), list(Provider.objects.values()), rulebook.read_version()


def detected_provider(call: Call) -> str:
    return rulebook.current().detect(call).actual_provider


def test_a_saved_rule_is_in_force_at_once(operator: Client) -> None:
    assert detected_provider(ACME_CALL) == "unknown"
    response = operator.post(f"{RULES_URL}add/", rule_form(pattern=" LLM.acme.example ", declared="OpenAI\ntext\n"))
    assert response.status_code == 302
    created = DetectionRule.objects.get(slug="acme")
    assert (created.pattern, created.declared, created.shipped) == ("llm.acme.example", ["openai", "text"], False)
    assert detected_provider(ACME_CALL) == "azure"


def test_saving_and_deleting_a_rule_say_that_stored_logs_are_unchanged(operator: Client) -> None:
    message = "Stored logs are unchanged. To see how many would change, run manage.py backfill_actual_providers"
    page: Any = operator.post(f"{RULES_URL}add/", rule_form(), follow=True)
    assert message in page.content.decode()
    created = DetectionRule.objects.get(slug="acme")
    page = operator.post(f"{RULES_URL}{created.pk}/delete/", {"post": "yes"}, follow=True)
    assert message in page.content.decode()


def test_a_changed_rule_and_a_deleted_one_are_in_force_at_once(operator: Client) -> None:
    operator.post(f"{RULES_URL}add/", rule_form())
    created = DetectionRule.objects.get(slug="acme")
    groq = Provider.objects.get(slug="groq").pk
    operator.post(f"{RULES_URL}{created.pk}/change/", rule_form(provider=groq, slug="renamed"))
    created.refresh_from_db()
    assert (created.slug, detected_provider(ACME_CALL)) == ("acme", "groq")
    assert operator.post(f"{RULES_URL}{created.pk}/delete/", {"post": "yes"}).status_code == 302
    assert detected_provider(ACME_CALL) == "unknown"


def test_a_shipped_rule_can_be_switched_off_but_not_deleted(operator: Client) -> None:
    shipped = DetectionRule.objects.get(slug="host-groq.com")
    before = stored_state()
    assert operator.post(f"{RULES_URL}{shipped.pk}/delete/", {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [shipped.pk], "post": "yes"}
    operator.post(RULES_URL, chosen)
    assert stored_state() == before
    fields = rule_form(slug=shipped.slug, pattern="groq.com", provider=shipped.provider_id)
    del fields["active"]
    assert operator.post(f"{RULES_URL}{shipped.pk}/change/", fields).status_code == 302
    assert detected_provider(Call("openai", "x", "https://api.groq.com/openai/v1")) == "unknown"


def test_own_rules_can_be_deleted_by_the_list_action(operator: Client) -> None:
    operator.post(f"{RULES_URL}add/", rule_form())
    created = DetectionRule.objects.get(slug="acme")
    operator.post(RULES_URL, {"action": "delete_selected", "_selected_action": [created.pk], "post": "yes"})
    assert (DetectionRule.objects.filter(slug="acme").exists(), detected_provider(ACME_CALL)) == (False, "unknown")


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"pattern": "https://llm.acme.example/v1"}, "pattern"),
        ({"pattern": "llm.acme.example:8080"}, "pattern"),
        ({"pattern": "*"}, "pattern"),
        ({"evidence": "path", "pattern": "/*/"}, "pattern"),
        ({"evidence": "family", "pattern": "a*b*c*d*e*f*"}, "pattern"),
        ({"provider": ""}, "provider"),
        ({"ignore_host": "on"}, "ignore_host"),
        ({"category": "songs"}, "category"),
        ({"evidence": "regex"}, "evidence"),
        ({"slug": "host-groq.com"}, "slug"),
    ],
)
def test_an_invalid_rule_is_refused_and_nothing_changes(operator: Client, changed: dict[str, str], field: str) -> None:
    before = stored_state()
    response = operator.post(f"{RULES_URL}add/", rule_form(**changed))
    assert response.status_code == 200
    assert list(response.context["adminform"].form.errors) == [field]
    assert stored_state() == before


def test_a_providers_new_alias_is_in_force_at_once(operator: Client) -> None:
    groq = Provider.objects.get(slug="groq")
    fields = {"slug": "groq", "name": "Groq", "aliases": "GroqCloud\nlpu cloud", "is_gateway": "on"}
    assert operator.post(f"{PROVIDERS_URL}{groq.pk}/change/", fields).status_code == 302
    groq.refresh_from_db()
    assert groq.aliases == ["groqcloud", "lpu cloud"]
    assert detected_provider(Call("x", "", "", "LPU-Cloud")) == "groq"


def test_an_alias_of_another_provider_is_refused(operator: Client) -> None:
    before = stored_state()
    fields = {"slug": "acme", "name": "Acme", "aliases": "Hugging Face"}
    response = operator.post(f"{PROVIDERS_URL}add/", fields)
    assert response.context["adminform"].form.errors == {
        "aliases": ["'hugging face' already belongs to Hugging Face. Remove it here or there."]
    }
    assert stored_state() == before


def test_a_shipped_provider_cannot_be_deleted(operator: Client) -> None:
    before = stored_state()
    unused = Provider.objects.get(slug="pika")
    assert operator.post(f"{PROVIDERS_URL}{unused.pk}/delete/", {"post": "yes"}).status_code == 403
    assert stored_state() == before


def test_the_lists_show_their_rows_and_the_detect_provider_form(operator: Client) -> None:
    rules = operator.get(RULES_URL, {"q": "wavespeed"})
    assert "Detect provider" in rules.content.decode()
    assert {row.provider.slug for row in rules.context["cl"].result_list if row.provider} == {
        "wavespeed",
        "huggingface",
    }
    assert "dashscope" in operator.get(PROVIDERS_URL).content.decode()


def test_detect_provider_shows_the_result_and_the_matching_rules(operator: Client) -> None:
    call = {
        "declared": "stability",
        "model": "black-forest-labs/FLUX.1-Krea-dev",
        "endpoint": "/image-generation/huggingface",
    }
    response = operator.get(f"{RULES_URL}try/", call)
    assert response.status_code == 200
    assert (response.context["detected"].actual_provider, response.context["label"]) == ("huggingface", "Hugging Face")
    assert [(rule.slug, names) for rule, names in response.context["matching"]] == [
        ("kind-path-image-generation", ""),
        ("path-huggingface", "Hugging Face"),
        ("namespace-any-any-other-maker", "Unknown"),
        ("kind-model-flux-any", ""),
        ("label-stability", "Stability AI"),
    ]
    page = response.content.decode()
    assert "Hugging Face</strong> (huggingface)" in page
    assert "style=" not in page
    assert "<script>" not in page


def test_detect_provider_accepts_served_by_and_escapes_text(operator: Client) -> None:
    response = operator.get(f"{RULES_URL}try/", {"declared": "<script>", "served_by": "<b>Acme</b>"})
    assert response.context["detected"].actual_provider == "b-acme-b"
    assert "<b>Acme" not in response.content.decode()


def test_detect_provider_without_a_call_shows_the_form_and_writes_nothing(operator: Client) -> None:
    before = stored_state()
    response = operator.get(f"{RULES_URL}try/")
    assert (response.status_code, "detected" in response.context) == (200, False)
    assert stored_state() == before


def test_detect_provider_needs_the_permission_to_view_rules(db: None, client: Client) -> None:
    staff = User.objects.create_user("staff", is_staff=True)
    client.force_login(staff)
    assert client.get(f"{RULES_URL}try/").status_code == 403
    staff.user_permissions.add(Permission.objects.get(codename="view_detectionrule"))
    assert client.get(f"{RULES_URL}try/").status_code == 200
