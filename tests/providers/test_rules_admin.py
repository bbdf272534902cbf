"""Detection rules and providers in the admin: the Try it box, what is refused, and that a change is in force at once."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from providers import rulebook
from providers.detection import Call
from providers.models import DetectionRule, Provider

RULES, PROVIDERS = "/admin/providers/detectionrule/", "/admin/providers/provider/"
ACME = Call("openai", "gpt-4o", "https://llm.acme.example/v1")


@pytest.fixture
def operator(db: None, client: Client) -> Client:
    client.force_login(User.objects.create_superuser("operator"))
    return client


def rule(**changed: Any) -> dict[str, Any]:
    fields = {"slug": "acme", "evidence": "host", "pattern": "llm.acme.example", "order": 1000, "active": "on"}
    azure = Provider.objects.get(slug="azure").pk
    return {"declared": "", "provider": azure, "category": "", "note": ""} | fields | changed


def stored() -> tuple[list[Any], list[Any], int]:
    return list(DetectionRule.objects.values()), list(Provider.objects.values()), rulebook.read_version()


def named(call: Call) -> str:
    return rulebook.current().detect(call).actual_provider


def test_a_saved_rule_is_in_force_at_once(operator: Client) -> None:
    assert named(ACME) == "unknown"
    answer = operator.post(f"{RULES}add/", rule(pattern=" LLM.acme.example ", declared="OpenAI\ntext\n"))
    assert answer.status_code == 302
    made = DetectionRule.objects.get(slug="acme")
    assert (made.pattern, made.declared, made.shipped) == ("llm.acme.example", ["openai", "text"], False)
    assert named(ACME) == "azure"


def test_saving_and_deleting_a_rule_say_that_no_stored_log_has_changed(operator: Client) -> None:
    told = "no stored log has changed. To see how many would be named otherwise: manage.py backfill_actual_providers"
    page: Any = operator.post(f"{RULES}add/", rule(), follow=True)
    assert told in page.content.decode()
    made = DetectionRule.objects.get(slug="acme")
    page = operator.post(f"{RULES}{made.pk}/delete/", {"post": "yes"}, follow=True)
    assert told in page.content.decode()


def test_a_changed_rule_and_a_deleted_one_are_in_force_at_once(operator: Client) -> None:
    operator.post(f"{RULES}add/", rule())
    made = DetectionRule.objects.get(slug="acme")
    groq = Provider.objects.get(slug="groq").pk
    operator.post(f"{RULES}{made.pk}/change/", rule(provider=groq, slug="renamed"))
    made.refresh_from_db()
    assert (made.slug, named(ACME)) == ("acme", "groq")
    assert operator.post(f"{RULES}{made.pk}/delete/", {"post": "yes"}).status_code == 302
    assert named(ACME) == "unknown"


def test_a_shipped_rule_can_be_switched_off_but_not_deleted(operator: Client) -> None:
    shipped = DetectionRule.objects.get(slug="host-groq.com")
    before = stored()
    assert operator.post(f"{RULES}{shipped.pk}/delete/", {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [shipped.pk], "post": "yes"}
    operator.post(RULES, chosen)
    assert stored() == before
    fields = rule(slug=shipped.slug, pattern="groq.com", provider=shipped.provider_id)
    del fields["active"]
    assert operator.post(f"{RULES}{shipped.pk}/change/", fields).status_code == 302
    assert named(Call("openai", "x", "https://api.groq.com/openai/v1")) == "unknown"


def test_own_rules_are_deleted_together(operator: Client) -> None:
    operator.post(f"{RULES}add/", rule())
    made = DetectionRule.objects.get(slug="acme")
    operator.post(RULES, {"action": "delete_selected", "_selected_action": [made.pk], "post": "yes"})
    assert (DetectionRule.objects.filter(slug="acme").exists(), named(ACME)) == (False, "unknown")


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
def test_a_rule_that_cannot_be_meant_is_refused_and_nothing_changes(
    operator: Client, changed: dict[str, str], field: str
) -> None:
    before = stored()
    answer = operator.post(f"{RULES}add/", rule(**changed))
    assert answer.status_code == 200
    assert list(answer.context["adminform"].form.errors) == [field]
    assert stored() == before


def test_a_providers_new_alias_is_in_force_at_once(operator: Client) -> None:
    groq = Provider.objects.get(slug="groq")
    fields = {"slug": "groq", "name": "Groq", "aliases": "GroqCloud\nlpu cloud", "is_gateway": "on"}
    assert operator.post(f"{PROVIDERS}{groq.pk}/change/", fields).status_code == 302
    groq.refresh_from_db()
    assert groq.aliases == ["groqcloud", "lpu cloud"]
    assert named(Call("x", "", "", "LPU-Cloud")) == "groq"


def test_an_alias_of_another_provider_is_refused(operator: Client) -> None:
    before = stored()
    fields = {"slug": "acme", "name": "Acme", "aliases": "Hugging Face"}
    answer = operator.post(f"{PROVIDERS}add/", fields)
    assert answer.context["adminform"].form.errors == {"aliases": ["'hugging face' is a name of Hugging Face already."]}
    assert stored() == before


def test_a_shipped_provider_cannot_be_deleted(operator: Client) -> None:
    before = stored()
    unused = Provider.objects.get(slug="pika")
    assert operator.post(f"{PROVIDERS}{unused.pk}/delete/", {"post": "yes"}).status_code == 403
    assert stored() == before


def test_the_lists_show_their_rows_and_the_try_it_box(operator: Client) -> None:
    rules = operator.get(RULES, {"q": "wavespeed"})
    assert "Who serves this call?" in rules.content.decode()
    assert {row.provider.slug for row in rules.context["cl"].result_list if row.provider} == {
        "wavespeed",
        "huggingface",
    }
    assert "dashscope" in operator.get(PROVIDERS).content.decode()


def test_try_it_answers_and_shows_which_rules_fit(operator: Client) -> None:
    asked = {
        "declared": "stability",
        "model": "black-forest-labs/FLUX.1-Krea-dev",
        "endpoint": "/image-generation/huggingface",
    }
    answer = operator.get(f"{RULES}try/", asked)
    assert answer.status_code == 200
    assert (answer.context["found"].actual_provider, answer.context["label"]) == ("huggingface", "Hugging Face")
    assert [(rule.slug, names) for rule, names in answer.context["fitting"]] == [
        ("kind-path-image-generation", ""),
        ("path-huggingface", "Hugging Face"),
        ("namespace-any-any-other-maker", "Unknown"),
        ("kind-model-flux-any", ""),
        ("label-stability", "Stability AI"),
    ]
    page = answer.content.decode()
    assert "Hugging Face</strong> (huggingface)" in page
    assert "style=" not in page
    assert "<script>" not in page


def test_try_it_takes_the_callers_statement_and_odd_text(operator: Client) -> None:
    answer = operator.get(f"{RULES}try/", {"declared": "<script>", "served_by": "<b>Acme</b>"})
    assert answer.context["found"].actual_provider == "b-acme-b"
    assert "<b>Acme" not in answer.content.decode()


def test_try_it_writes_nothing_and_asks_first_without_a_call(operator: Client) -> None:
    before = stored()
    answer = operator.get(f"{RULES}try/")
    assert (answer.status_code, "found" in answer.context) == (200, False)
    assert stored() == before


def test_try_it_is_for_those_who_may_see_rules(db: None, client: Client) -> None:
    staff = User.objects.create_user("staff", is_staff=True)
    client.force_login(staff)
    assert client.get(f"{RULES}try/").status_code == 403
    staff.user_permissions.add(Permission.objects.get(codename="view_detectionrule"))
    assert client.get(f"{RULES}try/").status_code == 200
