"""Views of each kind that the request log distinguishes."""

from types import SimpleNamespace

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import include, path

from config import probes
from config.system_health import SystemHealthView


def plain(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello")


def failing(_request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a fault in the view")


def missing(_request: HttpRequest, name: str) -> HttpResponse:
    raise Http404(name)


def streamed(_request: HttpRequest) -> HttpResponseBase:
    return StreamingHttpResponse(["a", "b"])


def with_caller(request: HttpRequest) -> HttpResponse:
    request.tollgate_caller = SimpleNamespace(account_id=7, key_id=11)  # type: ignore[attr-defined]  # set by billing
    return HttpResponse()


urlpatterns = [
    path("plain/", plain),
    path("failing/", failing),
    path("things/<str:name>/", missing),
    path("streamed/", streamed),
    path("with-caller/", with_caller),
    path("api/v1/", include([path("health/system/", SystemHealthView.as_view())])),
    path("admin/", admin.site.urls),
    path("livez", probes.livez),
    path("readyz", probes.readyz),
]
