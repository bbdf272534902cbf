"""The Content-Security-Policy: strict, sent with every kind of response, and obeyed by every template."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

POLICY = (
    "default-src 'self'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
ROOT = Path(settings.ROOT)
TEMPLATES = sorted(path for path in ROOT.glob("**/templates/**/*.html") if ".venv" not in path.parts)
REFUSED = re.compile(
    r"""\sstyle\s*=|<style|<script(?![^>]*\ssrc=)(?![^>]*application/json)|\son[a-z]+\s*=\s*["']|href\s*=\s*["']javascript:"""
)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/admin/login/", 200),
        ("/admin/", 302),
        ("/nothing-is-here/", 404),
        ("/livez", 200),
        ("/api/v1/usage/summary/", 401),
        ("/api/v1/docs/", 200),
        ("/api/v1/docs/?script=", 200),
        ("/api/v1/schema/", 200),
    ],
)
def test_an_anonymous_response_has_the_policy(db: None, client: Client, path: str, status: int) -> None:
    response = client.get(path)
    assert (response.status_code, response.headers["Content-Security-Policy"]) == (status, POLICY)


@pytest.mark.parametrize("path", ["/admin/", "/admin/auth/user/", "/admin/auth/user/add/", "/admin/nothing-is-here/"])
def test_an_operators_response_has_the_policy(db: None, client: Client, path: str) -> None:
    client.force_login(User.objects.create_superuser("operator"))
    assert client.get(path).headers["Content-Security-Policy"] == POLICY


def test_a_refused_form_has_the_policy(db: None) -> None:
    response = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "operator", "password": "wrong"})
    assert (response.status_code, response.headers["Content-Security-Policy"]) == (403, POLICY)
    assert "<h1>Form expired</h1>" in response.content.decode()


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_template_contains_what_the_policy_refuses(path: Path) -> None:
    assert REFUSED.findall(re.sub(r"{#.*?#}", "", path.read_text())) == []
