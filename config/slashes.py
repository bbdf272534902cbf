"""Middleware for addresses without their last slash: GET is redirected; other methods, whose body a redirect may lose, are
answered as with the slash.
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.urls import Resolver404, resolve


class SlashMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        path = request.path_info
        if path.endswith("/") or _is_page(path) or not _is_page(path + "/"):
            return self.get_response(request)
        if request.method in ("GET", "HEAD"):
            return HttpResponsePermanentRedirect(request.get_full_path(force_append_slash=True))
        request.path_info += "/"
        request.path += "/"
        return self.get_response(request)


def _is_page(path: str) -> bool:
    """Whether a URL pattern other than those that catch everything has this path."""
    try:
        match = resolve(path)
    except Resolver404:
        return False
    return match.url_name != "not-found" and "url" not in match.kwargs  # the admin catches its own by `url`
