"""The sidebar of the admin: every registered model is in a group, and users see only what they may view."""

from __future__ import annotations

from html import unescape

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client, RequestFactory

from config.admin_site import GROUPS


def groups_of(user: User) -> list[tuple[str, list[str]]]:
    request = RequestFactory().get("/admin/")
    request.user = user
    return [
        (group["name"], [model["model"]._meta.label for model in group["models"] if "model" in model])
        for group in admin.site.get_app_list(request)
    ]


def test_every_label_in_the_groups_is_a_model() -> None:
    assert [apps.get_model(label)._meta.label for _, labels in GROUPS for label in labels] == [
        label for _, labels in GROUPS for label in labels
    ]


def test_every_registered_model_has_a_group(db: None) -> None:
    groups = groups_of(User.objects.create_superuser("operator"))
    registered = {model._meta.label for model in admin.site._registry}
    assert groups == [
        (name, [label for label in labels if label in registered])
        for name, labels in GROUPS
        if registered.intersection(labels)
    ]


def test_a_group_shows_only_models_that_the_user_may_view(db: None) -> None:
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_group"))
    assert groups_of(user) == [("People and audit", ["auth.Group"])]


def test_the_page_of_an_app_lists_only_that_app(db: None, client: Client) -> None:
    client.force_login(User.objects.create_superuser("operator"))
    response = client.get("/admin/auth/")
    assert [app["app_label"] for app in response.context["app_list"]] == ["auth"]


def test_the_index_has_tollgates_title_and_theme(db: None, client: Client) -> None:
    client.force_login(User.objects.create_superuser("operator"))
    page = client.get("/admin/").content.decode()
    assert "<title>Overview | Tollgate</title>" in page
    assert 'href="/static/tollgate/theme.css"' in page


def test_a_page_without_a_model_is_in_the_sidebar_of_users_who_may_view_it(db: None, client: Client) -> None:
    user = User.objects.create_user("viewer", is_staff=True)
    client.force_login(user)
    assert "/admin/billing/unpriced/" not in client.get("/admin/").content.decode()
    user.user_permissions.add(Permission.objects.get(codename="view_usagelog"))
    assert '<a href="/admin/billing/unpriced/">Unpriced models</a>' in client.get("/admin/").content.decode()


def test_an_empty_list_says_what_to_do_unless_a_search_emptied_it(admin_client: Client) -> None:
    texts = {
        model._meta: admin_class.empty_state
        for model, admin_class in admin.site._registry.items()
        if hasattr(admin_class, "empty_state")
    }
    assert len(texts) == 16
    for meta, text in texts.items():
        path = f"/admin/{meta.app_label}/{meta.model_name}/"
        assert text in unescape(admin_client.get(path).content.decode()), path
    searched = admin_client.get("/admin/billing/statement/?q=nobody").content.decode()
    assert "No statements yet." not in searched
