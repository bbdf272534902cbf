"""`GET /api/v1/`: the endpoints of the API by group."""

from __future__ import annotations

import re
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from billing.api import schema
from billing.api.api_view import ApiView

ROOT = "/api/v1/"
GROUPS = {
    "Usage": ("usage", "dashboard"),
    "Limits": ("preflight", "reservations", "alerts"),
    "Accounts and plans": ("accounts", "plans"),
    "Providers and prices": ("providers", "prices"),
    "Health": ("health",),
}
ARGUMENT = re.compile(r"<\w+:(\w+)>")
ENDPOINT = schema.obj(
    method=schema.TEXT,
    path=schema.TEXT,
    summary=schema.TEXT,
    description=schema.TEXT,
    scope=schema.nullable(schema.TEXT),
)


class RootView(ApiView):
    """Lists the endpoints. Each one states the scope that its caller needs; null means that everybody may call it."""

    required_scope = None

    @schema.operation(
        operation_id="endpoints",
        summary="Tollgate API",
        auth=[],
        responses={
            200: schema.obj(groups=schema.array(schema.obj(name=schema.TEXT, endpoints=schema.array(ENDPOINT))))
        },
    )
    def get(self, request: Request) -> Response:
        endpoints = list(_endpoints())
        groups = [
            {"name": name, "endpoints": [item for item in endpoints if item["path"].split("/")[3] in segments]}
            for name, segments in GROUPS.items()
        ]
        return Response({"groups": groups})


def _endpoints() -> Any:  # noqa: ANN401 - dicts of ENDPOINT
    from config.urls import api_urls

    patterns = [pattern for item in api_urls for pattern in getattr(item, "url_patterns", [item])]
    for pattern in patterns:
        view: Any = getattr(pattern.callback, "view_class", None)
        for method in ("get", "post"):
            summary = getattr(getattr(view, method, None), "summary", None)
            if summary and view is not RootView:
                yield {
                    "method": method.upper(),
                    "path": ROOT + ARGUMENT.sub(r"{\1}", str(pattern.pattern)),
                    "summary": summary,
                    "description": _first_sentence(view.__doc__ or ""),
                    "scope": view.required_scope,
                }


def _first_sentence(text: str) -> str:
    return text.strip().split(". ")[0].split(".\n")[0].rstrip(".") + "."
