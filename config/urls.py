"""All URLs of the service."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, URLResolver, include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.pages import urls as pages
from config import customer_dashboard, metrics, probes
from providers.api.detect import DetectView, ProvidersView
from providers.api.prices import PricesView


class NotFoundView(APIView):
    """Answers unknown API paths with an error in the API's format."""

    schema = None
    permission_classes = ()

    def get(self, request: Request, **_: str) -> Response:
        raise exceptions.NotFound

    post = put = patch = delete = get


def home(request: HttpRequest) -> HttpResponse:
    """Send staff to the admin, customers to their account, and anonymous users to the customer log-in."""
    if not request.user.is_authenticated:
        return redirect("usage:login")
    return redirect("admin:index" if request.user.is_staff else "usage:overview")


api_urls: list[URLPattern | URLResolver] = [
    path("", include("billing.api.urls")),
    path("", include("monitoring.urls")),
    path("providers/", ProvidersView.as_view(), name="providers"),
    path("providers/detect/", DetectView.as_view(), name="providers-detect"),
    path("prices/", PricesView.as_view(), name="prices"),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    re_path(r"^(?P<rest>.*)$", NotFoundView.as_view(), name="not-found"),
]

customer_urls: list[URLPattern | URLResolver] = [
    path("", customer_dashboard.dashboard_page, name="overview"),
    path("health-card/", customer_dashboard.health_card, name="health-card"),
    *pages.urlpatterns,
]

urlpatterns = [
    path("", home, name="home"),
    path("admin/", admin.site.urls),
    path("usage/", include((customer_urls, "usage"))),
    path("api/v1/", include(api_urls)),
    path("livez", probes.livez, name="livez"),
    path("readyz", probes.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
]
