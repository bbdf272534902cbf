"""The browsable API: an answer as a page, with a filter form, a pager, and a form with an example body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import msgspec
from django.urls import Resolver404, get_script_prefix, resolve
from django.utils.html import escape, linebreaks
from django.utils.safestring import SafeString, mark_safe
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer
from rest_framework.request import Request

from billing.accounts.access import Caller
from lib import query_string

if TYPE_CHECKING:
    from billing.api.api_view import ApiView

CODE = re.compile(r"`([^`]+)`")
CHOICES = {"boolean": ["true", "false"]}
WITHOUT_FORM = {401, 403, 404, 429}  # answers that would also refuse what a form sends


class PageRenderer(BrowsableAPIRenderer):
    template = "rest_framework/api.html"

    def get_context(
        self,
        data: Any,  # noqa: ANN401 - JSON
        accepted_media_type: str | None,
        renderer_context: Mapping[str, Any],
    ) -> dict[str, Any]:
        view = cast("ApiView", renderer_context["view"])
        request, response = renderer_context["request"], renderer_context["response"]
        json = cast("BaseRenderer", self.get_default_renderer(view))
        content = self.get_content(json, data, accepted_media_type, dict(renderer_context))
        answer = data if isinstance(data, dict) else {}
        caller = request.user if isinstance(request.user, Caller) else None
        scopes = {None, *(caller.scopes if caller else ())}  # of the views that the caller may open
        return {
            "name": view.title,
            "description": format_text(view.get_view_description()),
            "breadcrumblist": _breadcrumbs(request.path, scopes),
            "request": request,
            "response": response,
            "response_headers": {**dict(sorted(response.items())), "Content-Type": "application/json"},
            "content": content,
            "caller": caller,
            "scopes": sorted(caller.scopes) if caller else [],
            "filters": _filters(view, request, answer["errors"] if response.status_code >= 400 else []),
            "pages": {name: answer[name] for name in ("previous", "next") if answer.get(name)},
            "groups": [_format_group(group, scopes) for group in answer.get("groups", ())],
            "form": response.status_code not in WITHOUT_FORM and _form(view, request),
        }


def format_text(text: str) -> SafeString:
    """Formats paragraphs with `code` as HTML."""
    return mark_safe(linebreaks(_format_code(text)))  # noqa: S308 - escaped


def _format_group(group: dict[str, Any], scopes: set[str | None]) -> dict[str, Any]:
    """A group of endpoints with their sentences as HTML, and with links to those that the caller may open."""
    endpoints = [
        {
            **endpoint,
            "html": _format_code(endpoint["description"]),
            "link": "{" not in endpoint["path"] and endpoint["scope"] in scopes,
        }
        for endpoint in group["endpoints"]
    ]
    return {**group, "endpoints": endpoints}


def _format_code(text: str) -> SafeString:
    return mark_safe(CODE.sub(r"<code>\1</code>", escape(text)))  # noqa: S308 - escaped


def view_at(path: str) -> ApiView | None:
    """Returns the API view that has a page at the path."""
    try:
        callback: Any = resolve(path).func
    except Resolver404:
        return None
    view: Any = getattr(callback, "view_class", None)
    return cast("ApiView", view()) if hasattr(view, "title") else None


def _breadcrumbs(path: str, scopes: set[str | None]) -> list[tuple[str, str]]:
    """Names and paths of the pages from the API's root to this one; no path where the caller may not open it."""
    prefix = get_script_prefix().rstrip("/")
    parts = path.removeprefix(prefix).split("/")
    paths = ["/".join(parts[:length]) + "/" for length in range(2, len(parts))]
    views = [(view, prefix + path) for path in paths if (view := view_at(path)) and view.title]
    return [(view.title, path if view.required_scope in scopes else "") for view, path in views]


def _filters(view: ApiView, request: Request, errors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The fields of the filter form: one for each query parameter except a page's cursor."""
    if not hasattr(view, "get"):
        return []
    messages = {error["attr"]: error["detail"] for error in errors}
    return [
        {
            "name": name,
            "value": request.query_params.get(name, ""),
            "choices": schema.get("enum") or CHOICES.get(schema.get("type", "")),
            "schema": schema,
            "error": messages.get(name),
        }
        for name, schema in query_string.schemas(view.query_parameters).items()
        if name != "cursor"
    ]


def _form(view: ApiView, request: Request) -> dict[str, Any] | None:
    """The POST form: its address, and an example as its body. None where nothing is posted."""
    method = getattr(view, "post", None)
    if method is None:
        return None
    example = getattr(method, "example", None)
    body = msgspec.json.format(msgspec.json.encode(example), indent=2).decode() if example else ""
    return {"body": body, "url": request.get_full_path()}
