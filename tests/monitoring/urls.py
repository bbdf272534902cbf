"""Views of every kind that the request log must tell apart."""

from types import SimpleNamespace

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import include, path

from config import probes


def plain(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello")


def broken(_request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a fault of the view")


def missing(_request: HttpRequest, name: str) -> HttpResponse:
    raise Http404(name)


def streamed(_request: HttpRequest) -> HttpResponseBase:
    return StreamingHttpResponse(["a", "b"])


def called(request: HttpRequest) -> HttpResponse:
    request.tollgate_caller = SimpleNamespace(account_id=7, key_id=11)  # type: ignore[attr-defined]  # set by billing
    return HttpResponse()


urlpatterns = [
    path("plain/", plain),
    path("broken/", broken),
    path("things/<str:name>/", missing),
    path("streamed/", streamed),
    path("called/", called),
    path("api/v1/", include("monitoring.urls")),
    path("admin/", admin.site.urls),
    path("livez", probes.livez),
    path("readyz", probes.readyz),
]
