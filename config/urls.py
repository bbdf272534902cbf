"""Every address of the service, in one place."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, URLResolver, include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config import customer_dashboard, probes
from providers.api.detect import DetectView, ProvidersView
from providers.api.prices import PricesView


class NotFoundView(APIView):
    """An address that the API does not have answers in the API's own shape."""

    schema = None

    def get(self, request: Request, **_: str) -> Response:
        raise exceptions.NotFound

    post = put = patch = delete = get


def home(_request: HttpRequest) -> HttpResponse:
    return redirect("admin:index")


api: list[URLPattern | URLResolver] = [
    path("", include("billing.api.urls")),
    path("", include("monitoring.urls")),
    path("providers/", ProvidersView.as_view(), name="providers"),
    path("providers/detect/", DetectView.as_view(), name="providers-detect"),
    path("prices/", PricesView.as_view(), name="prices"),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    re_path(r"^(?P<rest>.*)$", NotFoundView.as_view(), name="not-found"),
]

urlpatterns = [
    path("", home, name="home"),
    path("admin/", admin.site.urls),
    path("usage/", customer_dashboard.page, name="usage"),
    path("usage/health-card/", customer_dashboard.health_card, name="usage-health"),
    path("usage/", include("billing.pages.urls")),
    path("api/v1/", include(api)),
    path("livez", probes.livez, name="livez"),
    path("readyz", probes.readyz, name="readyz"),
]
